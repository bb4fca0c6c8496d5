//! The board's own session with the broker: TLS with the installed identity, MQTT by the board's own session code.
//!
//! One thread with a small runtime. It follows the connection it is given: a new one ends the session of the old one.

use std::{
    future::Future,
    io,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use coldbench_sensor::{
    identity::Connection,
    session::{
        Backoff, Clock, Event, Limits, Outbox, Outcome, Session, SessionConfig, SessionError, ShadowNews,
        SharedOutbox as _,
    },
};
use embedded_io_adapters::tokio_1::FromTokio;
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    },
};

use super::{
    ImitatedNetwork,
    control::{NetworkState, Shared},
    seed::Seeded,
};

/// One hour of readings at an interval of 5 s.
const OUTBOX: Limits = Limits { readings: 720, reports: 4 };
/// Messages to the app that may wait.
const MAX_NEWS: usize = 64;
/// How long connecting and the TLS handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// What the network tells the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FromNetwork {
    /// The session is up; the time is known.
    Up {
        /// Milliseconds since 1970.
        unix_millis: u64,
    },
    /// A shadow document with desired values.
    Shadow(String),
    /// A line for the log.
    Log(String),
}

/// The app's end.
pub(super) struct Network {
    outbox: Arc<Mutex<Outbox>>,
    wanted: Option<watch::Sender<Option<Arc<Connection>>>>,
    news: Receiver<FromNetwork>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Network {
    /// Starts the thread, unless the board has no network.
    pub(super) fn start(name: &str, seed: u64, network: ImitatedNetwork, shared: Arc<Shared>) -> io::Result<Self> {
        let outbox = Arc::new(Mutex::new(Outbox::new(OUTBOX)));
        let (tell, news) = sync_channel(MAX_NEWS);
        if network == ImitatedNetwork::None {
            return Ok(Network { outbox, wanted: None, news, thread: None });
        }
        let (wanted, follow) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let worker = Worker { outbox: outbox.clone(), shared, tell, jitter: Seeded::new(seed, "backoff") };
        let thread =
            thread::Builder::new().name(format!("net-{name}")).spawn(move || runtime.block_on(worker.run(follow)))?;
        Ok(Network { outbox, wanted: Some(wanted), news, thread: Some(thread) })
    }

    /// Connects with this identity from now on; `None` disconnects. What the last identity did not send is dropped, as
    /// it is when a board restarts.
    pub(super) fn connect(&mut self, connection: Option<Connection>) {
        let Some(wanted) = &self.wanted else { return };
        if connection.is_none() && wanted.borrow().is_none() {
            return;
        }
        self.outbox.with(|outbox| *outbox = Outbox::new(OUTBOX));
        wanted.send_replace(connection.map(Arc::new));
    }

    /// Queues a reading while an identity is installed.
    pub(super) fn publish(&mut self, json: String) {
        if self.is_wanted() && self.outbox.with(|outbox| outbox.push_reading(json)).is_err() {
            tracing::warn!("a reading of the imitated board is too long for MQTT");
        }
    }

    /// Queues the reported state while an identity is installed.
    pub(super) fn report(&mut self, json: String) {
        if self.is_wanted() && self.outbox.with(|outbox| outbox.push_report(json)).is_err() {
            tracing::warn!("a report of the imitated board is too long for MQTT");
        }
    }

    /// What the network has to say, if anything.
    pub(super) fn next(&mut self) -> Option<FromNetwork> {
        self.news.try_recv().ok()
    }

    fn is_wanted(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.borrow().is_some())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the imitated board's network thread panicked");
        }
    }
}

struct Worker {
    outbox: Arc<Mutex<Outbox>>,
    shared: Arc<Shared>,
    tell: SyncSender<FromNetwork>,
    jitter: Seeded,
}

impl Worker {
    /// Follows what is wanted until the app's end is gone.
    async fn run(mut self, mut follow: watch::Receiver<Option<Arc<Connection>>>) {
        loop {
            let connection = follow.borrow_and_update().clone();
            match connection {
                Some(connection) => self.keep_connected(&connection, &mut follow).await,
                None => {
                    self.shared.set_network(NetworkState::Off);
                    // An error is the end of the app, which the check below sees.
                    let _ = follow.changed().await;
                }
            }
            if follow.has_changed().is_err() {
                break;
            }
        }
        self.shared.set_network(NetworkState::Off);
    }

    /// One session after another until something else is wanted.
    async fn keep_connected(&mut self, connection: &Connection, follow: &mut watch::Receiver<Option<Arc<Connection>>>) {
        let mut backoff = Backoff::default();
        self.shared.set_network(NetworkState::Connecting(None));
        loop {
            let mut changed = follow.clone();
            let reason = tokio::select! {
                _ = follow.changed() => return,
                line = open_line(connection) => match line {
                    Ok(line) => {
                        let outcome = self.run_session(connection, line, async { drop(changed.changed().await) }).await;
                        if outcome.was_useful() {
                            backoff.reset();
                        }
                        match outcome.end {
                            Ok(()) => return,
                            Err(error) => failure(&error),
                        }
                    }
                    Err(error) => error,
                },
            };
            self.say(FromNetwork::Log(format!("network: {reason}")));
            self.shared.set_network(NetworkState::Connecting(Some(reason)));
            let wait = Duration::from_millis(backoff.next_delay_millis(self.jitter.next() as u32));
            tokio::select! {
                _ = follow.changed() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn run_session(
        &self,
        connection: &Connection,
        line: TlsStream<TcpStream>,
        stop: impl Future<Output = ()>,
    ) -> Outcome {
        let config = SessionConfig::new(connection.thing_name.as_str(), connection.readings_topic.as_str());
        let clock = TokioClock(Instant::now());
        let session = Session { config: &config, clock: &clock, outbox: &*self.outbox };
        let mut line = FromTokio::new(line);
        session
            .run(&mut line, stop, |event| match event {
                Event::Online => {
                    self.shared.set_network(NetworkState::Up);
                    self.say(FromNetwork::Up { unix_millis: unix_millis() });
                }
                Event::Shadow(ShadowNews::Delta | ShadowNews::GetAccepted, document) => {
                    self.say(FromNetwork::Shadow(String::from_utf8_lossy(document).into_owned()));
                }
                Event::Shadow(ShadowNews::UpdateRejected, document) => {
                    let document = String::from_utf8_lossy(document);
                    self.say(FromNetwork::Log(format!("shadow update rejected: {document}")));
                }
                Event::Shadow(..) | Event::Acknowledged(_) => {}
            })
            .await
    }

    /// Without waiting: an app that hangs misses what does not fit.
    fn say(&self, news: FromNetwork) {
        if let Err(TrySendError::Full(news)) = self.tell.try_send(news) {
            tracing::warn!(?news, "the imitated board's app does not keep up with its network");
        }
    }
}

/// The reason and the advice, in one line.
fn failure(error: &SessionError) -> String {
    format!("{error} {}", error.advice())
}

async fn open_line(connection: &Connection) -> Result<TlsStream<TcpStream>, String> {
    let config = tls_config(connection)?;
    let name = ServerName::try_from(connection.endpoint.clone())
        .map_err(|_| format!("{} is no host name", connection.endpoint))?;
    let address = (connection.endpoint.as_str(), connection.port);
    let connecting = async {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))
    };
    timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err("the broker did not answer in time".to_owned()))
}

fn tls_config(connection: &Connection) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for ca in &connection.ca_der {
        roots
            .add(CertificateDer::from(ca.clone()))
            .map_err(|error| format!("the installed CA is unusable: {error}"))?;
    }
    let chain = connection.certificate_chain_der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivatePkcs8KeyDer::from(connection.key_pkcs8_der.to_vec());
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS version: {error}"))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key.into())
        .map_err(|error| format!("the installed identity is unusable: {error}"))
}

struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now_millis(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep_until(&self, deadline_millis: u64) -> impl Future<Output = ()> {
        tokio::time::sleep_until((self.0 + Duration::from_millis(deadline_millis)).into())
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
