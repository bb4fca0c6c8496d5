//! The message broker over rumqttc, with the technician's login.
//!
//! WebSocket is tried first, because it needs nothing but the login. Where it cannot be reached, the tool registers a
//! certificate for itself, observes with it, and retires it.

mod link;
mod observer;
mod sink;
mod websocket;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use coldbench_sensor::identity::application_protocols;
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::{
    link::{Failure, Link},
    observer::Observer,
    sink::Sink,
    websocket::WebSocketAddress,
};
use super::{cloud::AwsCloud, tls};
use crate::{
    domain::{Problem, site::Site},
    ports::{
        broker::{Broker, BrokerError, Observation},
        cloud::Cloud,
    },
};

/// How often a connection is tried, at first and after a loss.
const TRIES: u32 = 3;
/// The wait before the second try; doubled for the third, and spread so that benches do not come back in step.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// All tries on one way end within this time.
const WAY_LIMIT: Duration = Duration::from_secs(20);
/// How long closing waits for the observations.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// A way to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// WebSocket on the HTTPS port, let in by the technician's login.
    WebSocket,
    /// A certificate of the tool's own, on the port of the boards.
    Certificate,
    /// The same on port 443, for networks that let nothing else out (ALPN `x-amzn-mqtt-ca`).
    CertificateOn443,
}

/// The broker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RumqttBroker {
    route: Arc<Route>,
    /// Observations that may still have something to retire.
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

#[derive(Debug)]
struct Route {
    site: Site,
    cloud: AwsCloud,
    ways: Vec<Way>,
}

impl RumqttBroker {
    /// The broker of a site, on every way that makes sense there.
    pub fn new(site: &Site, cloud: AwsCloud) -> Self {
        let mut ways = vec![Way::WebSocket, Way::Certificate];
        // Port 443 speaks MQTT at AWS alone.
        if cloud.endpoint_url().is_none() && site.iot_port.is_none() {
            ways.push(Way::CertificateOn443);
        }
        Self::over(site, cloud, ways)
    }

    /// The broker of a site, on these ways alone, in this order.
    pub fn over(site: &Site, cloud: AwsCloud, ways: Vec<Way>) -> Self {
        let route = Route { site: site.clone(), cloud, ways };
        RumqttBroker { route: Arc::new(route), open: Arc::default() }
    }
}

#[async_trait]
impl Broker for RumqttBroker {
    async fn observe(&self, topics: &[String]) -> Result<Observation, BrokerError> {
        let (sink, messages) = Sink::new();
        let (granted, answer) = oneshot::channel();
        let observing = tokio::spawn(observe(self.route.clone(), topics.to_vec(), granted, sink));
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|observation| !observation.is_finished());
            open.push(observing);
        }
        // When this is dropped half-way, so is the receiver, and the task ends and cleans up by itself.
        match answer.await {
            Ok(Ok(())) => Ok(Observation { messages }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(BrokerError::Lost { why: "the observation was broken off".to_owned() }),
        }
    }

    async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async {
            for observation in open {
                if let Err(error) = observation.await {
                    tracing::warn!(%error, "an observation ended badly");
                }
            }
        };
        if timeout(CLOSE_LIMIT, ended).await.is_err() {
            tracing::warn!("an observation did not end in time");
        }
    }
}

/// An observation from its first connection to its end.
async fn observe(
    route: Arc<Route>,
    topics: Vec<String>,
    granted: oneshot::Sender<Result<(), BrokerError>>,
    mut sink: Sink,
) {
    let client_id = format!("coldbench-{:016x}", rand::random::<u64>());
    let mut seat = Seat { route, client_id, topics, observer: None };
    // Not broken off when the caller goes away: what is being registered must be known to be retired.
    match seat.take(&mut sink).await {
        Ok((way, first)) => {
            let mut link = Some(first);
            // A caller that is gone has dropped the messages too, which ends the observation below.
            let _ = granted.send(Ok(()));
            let abandoned = sink.abandoned();
            let lost = tokio::select! {
                why = seat.keep(way, &mut link, &mut sink) => Some(why),
                () = abandoned => None,
            };
            if let Some(link) = link {
                link.farewell().await;
            }
            if let Some(why) = lost {
                sink.fail(BrokerError::Lost { why }).await;
            }
        }
        Err(error) => {
            let _ = granted.send(Err(error));
        }
    }
    if let Some(observer) = seat.observer {
        observer.retire().await;
    }
}

/// The place of one observer at the broker.
struct Seat {
    route: Arc<Route>,
    client_id: String,
    topics: Vec<String>,
    observer: Option<Observer>,
}

impl Seat {
    /// Connects and subscribes on the first way that leads somewhere.
    async fn take(&mut self, sink: &mut Sink) -> Result<(Way, Link), BrokerError> {
        let mut tried = Vec::new();
        for way in self.route.ways.clone() {
            if sink.is_abandoned() {
                return Err(BrokerError::Lost { why: "nobody waits for it any more".to_owned() });
            }
            match self.connect(way, sink).await {
                Ok(link) => return Ok((way, link)),
                Err(Failure::Broker(error)) => return Err(error),
                Err(Failure::NoWay(why)) => tried.push(format!("{way:?}: {why}")),
            }
        }
        Err(BrokerError::Unreachable { why: tried.join("; ") })
    }

    /// Passes messages on until the connection is lost for good; says why it was.
    async fn keep(&mut self, way: Way, link: &mut Option<Link>, sink: &mut Sink) -> String {
        loop {
            while let Some(open) = link {
                if let Err(why) = open.attend(sink).await {
                    tracing::info!(why, "the connection to the broker was lost, connecting again");
                    *link = None;
                }
            }
            match self.connect(way, sink).await {
                Ok(again) => *link = Some(again),
                Err(Failure::NoWay(why)) => return why,
                Err(Failure::Broker(error)) => return Problem::from(error).sentence,
            }
        }
    }

    /// Connects on one way, with some tries.
    async fn connect(&mut self, way: Way, sink: &mut Sink) -> Result<Link, Failure> {
        if way != Way::WebSocket && self.observer.is_none() {
            let registered = Observer::register(&self.route.cloud, &self.client_id, &self.topics).await;
            self.observer = Some(registered.map_err(|problem| Failure::NoWay(problem.to_string()))?);
        }
        let tries = async {
            let mut wait = FIRST_WAIT;
            let mut attempt = 1;
            loop {
                // What fails here was tried often enough by the cloud's adapter.
                let options = self.options(way).await.map_err(|problem| Failure::NoWay(problem.to_string()))?;
                match Link::open(options, &self.topics, sink).await {
                    Err(failure) if attempt < TRIES => tracing::debug!(?way, ?failure, "not connected yet"),
                    connected => return connected,
                }
                sleep(wait.mul_f64(rand::random_range(0.75..1.25))).await;
                wait *= 2;
                attempt += 1;
            }
        };
        let late = || Failure::NoWay(format!("no answer within {} s", WAY_LIMIT.as_secs()));
        timeout(WAY_LIMIT, tries).await.unwrap_or_else(|_| Err(late()))
    }

    async fn options(&self, way: Way) -> Result<MqttOptions, Problem> {
        match way {
            Way::WebSocket => self.web_socket().await,
            Way::Certificate => self.certificate(None).await,
            Way::CertificateOn443 => self.certificate(Some(443)).await,
        }
    }

    /// A URL is signed anew for each connection.
    async fn web_socket(&self) -> Result<MqttOptions, Problem> {
        let Route { site, cloud, .. } = &*self.route;
        let iot_endpoint = match cloud.endpoint_url() {
            Some(_) => cloud.data_address().await?.to_owned(),
            None => cloud.endpoint().await?.host,
        };
        let address = WebSocketAddress::new(cloud.endpoint_url(), &iot_endpoint);
        let url = address.signed_url(cloud.credentials().await?, cloud.region(), SystemTime::now());
        let url = url.map_err(|error| {
            Problem::new("broker.sign", format!("The broker's address could not be signed ({error})"), "Sign in again")
        })?;
        // The port is that of the URL; the one given here is not used.
        let mut options = MqttOptions::new(&self.client_id, url, 0);
        options.set_transport(match address.tls {
            true => Transport::Wss(TlsConfiguration::Rustls(tls::broker_config(site, None, &[])?)),
            false => Transport::Ws,
        });
        options.set_request_modifier(move |mut request| {
            if let Ok(host) = address.host.parse() {
                request.headers_mut().insert(http::header::HOST, host);
            }
            std::future::ready(request)
        });
        Ok(options)
    }

    async fn certificate(&self, port: Option<u16>) -> Result<MqttOptions, Problem> {
        let endpoint = self.route.cloud.endpoint().await?;
        let port = port.unwrap_or(endpoint.port);
        let identity = self.observer.as_ref().and_then(Observer::identity);
        let config = tls::broker_config(&self.route.site, identity, application_protocols(port))?;
        let mut options = MqttOptions::new(&self.client_id, endpoint.host, port);
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(config)));
        Ok(options)
    }
}
