//! The board's own session with the broker: TLS with the installed identity, MQTT by the board's own session code.
//!
//! One thread with a small runtime. It follows the connection it is given: a new one ends the session of the old one.
//! The line to the broker is the depot's network where the board was given one, and else the computer that the board is
//! plugged into, while that offers it ([`coldbench_sensor::relay`]).

use std::{
    future::{Future, pending},
    io,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use coldbench_protocol::tunnel::{FromBoard, FromTool};
use coldbench_sensor::{
    identity::Connection,
    relay::Relay,
    session::{Backoff, Clock, Event, Limits, News, Outbox, Outcome, Session, SessionConfig, SessionError},
    shared::Shared as _,
};
use embedded_io_adapters::tokio_1::FromTokio;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use super::{
    ImitatedNetwork,
    control::{NetworkState, Shared},
    seed::Seeded,
    uplink::{self, Way},
};

/// What is not acknowledged within seconds waits in flash memory.
const OUTBOX: Limits = Limits { readings: 16, reports: 4 };
/// Messages to the app that may wait.
const MAX_NEWS: usize = 64;
/// What the app wants of the network.
#[derive(Clone, Default)]
struct Wanted {
    connection: Option<Arc<Connection>>,
    /// How often the power was cut: then a session ends in the middle, and the broker has to notice.
    power_cuts: u64,
}

/// The app's end.
pub(super) struct Network {
    outbox: Arc<Mutex<Outbox>>,
    relay: Arc<Mutex<Relay>>,
    wanted: watch::Sender<Wanted>,
    news: Receiver<News>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Network {
    /// Starts the thread.
    pub(super) fn start(name: &str, seed: u64, network: ImitatedNetwork, shared: Arc<Shared>) -> io::Result<Self> {
        let outbox = Arc::new(Mutex::new(Outbox::new(OUTBOX)));
        let relay = Arc::new(Mutex::new(Relay::new()));
        let (tell, news) = sync_channel(MAX_NEWS);
        let (wanted, follow) = watch::channel(Wanted::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let jitter = Seeded::new(seed, "backoff");
        let worker = Worker { outbox: outbox.clone(), relay: relay.clone(), network, shared, tell, jitter };
        let thread =
            thread::Builder::new().name(format!("net-{name}")).spawn(move || runtime.block_on(worker.run(follow)))?;
        Ok(Network { outbox, relay, wanted, news, thread: Some(thread) })
    }

    /// Connects with this identity from now on; `None` disconnects. What the last identity did not send is dropped, as
    /// it is when a board restarts: a reading at most.
    pub(super) fn connect(&mut self, connection: Option<Connection>) {
        if connection.is_none() && !self.is_wanted() {
            return;
        }
        self.outbox.with(|outbox| *outbox = Outbox::new(OUTBOX));
        self.wanted.send_modify(|wanted| wanted.connection = connection.map(Arc::new));
    }

    /// The board is reset or loses its power: no goodbye, and what the computer offered is forgotten.
    pub(super) fn cut_power(&mut self) {
        self.outbox.with(|outbox| *outbox = Outbox::new(OUTBOX));
        self.wanted.send_modify(|wanted| {
            wanted.connection = None;
            wanted.power_cuts += 1;
        });
        self.relay.with(|relay| {
            relay.offer(false);
            while relay.to_send().is_some() {}
        });
    }

    /// The computer offers a way to the broker, or not any more.
    pub(super) fn offer_relay(&mut self, offered: bool) {
        self.relay.with(|relay| relay.offer(offered));
    }

    /// What the computer says in the tunnel.
    pub(super) fn take_from_tool(&mut self, message: FromTool) {
        self.relay.with(|relay| relay.on_message(message));
    }

    /// What to say in the tunnel next.
    pub(super) fn next_to_tool(&mut self) -> Option<FromBoard> {
        self.relay.with(Relay::to_send)
    }

    /// Where the board puts what is to be sent.
    pub(super) fn outbox(&self) -> &Mutex<Outbox> {
        &self.outbox
    }

    /// Queues the reported state while an identity is installed.
    pub(super) fn report(&mut self, json: String) {
        if self.is_wanted() && self.outbox.with(|outbox| outbox.push_report(json)).is_err() {
            tracing::warn!("a report of the imitated board is too long for MQTT");
        }
    }

    /// What the network has to say, if anything.
    pub(super) fn next(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }

    fn is_wanted(&self) -> bool {
        self.wanted.borrow().connection.is_some()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The worker ends when there is nobody to follow.
        self.wanted = watch::Sender::default();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the imitated board's network thread panicked");
        }
    }
}

struct Worker {
    outbox: Arc<Mutex<Outbox>>,
    relay: Arc<Mutex<Relay>>,
    network: ImitatedNetwork,
    shared: Arc<Shared>,
    tell: SyncSender<News>,
    jitter: Seeded,
}

impl Worker {
    /// Follows what is wanted until the app's end is gone.
    async fn run(mut self, mut follow: watch::Receiver<Wanted>) {
        loop {
            let wanted = follow.borrow_and_update().clone();
            match &wanted.connection {
                Some(connection) => {
                    let mut cut = follow.clone();
                    tokio::select! {
                        biased;
                        // The end of the app is no power cut: there is time for a goodbye.
                        Ok(_) = cut.wait_for(|now| now.power_cuts != wanted.power_cuts) => {}
                        () = self.keep_connected(connection, &mut follow) => {}
                    }
                }
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
    async fn keep_connected(&mut self, connection: &Connection, follow: &mut watch::Receiver<Wanted>) {
        let power_cuts = follow.borrow().power_cuts;
        let relay = self.relay.clone();
        let way = Way::of(self.network, connection, &relay);
        let mut backoff = Backoff::default();
        self.shared.set_network(NetworkState::Connecting(None));
        loop {
            tokio::select! {
                _ = follow.changed() => return,
                () = way.is_there() => {}
            }
            let stop = goodbye(follow.clone(), power_cuts);
            let reason = tokio::select! {
                _ = follow.changed() => return,
                line = uplink::open(connection, way) => match line {
                    Ok(uplink::Line::Direct(line)) => self.run_session(connection, line, stop, &mut backoff).await,
                    Ok(uplink::Line::Relayed(line)) => self.run_session(connection, line, stop, &mut backoff).await,
                    Err(error) => Some(error.to_string()),
                },
            };
            let Some(reason) = reason else { return };
            self.say(News::Log(format!("network: {reason}")));
            self.shared.set_network(NetworkState::Connecting(Some(reason)));
            let wait = Duration::from_millis(backoff.next_delay_millis(self.jitter.next() as u32));
            tokio::select! {
                _ = follow.changed() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Runs until something else is wanted, or until it fails: then why.
    async fn run_session(
        &self,
        connection: &Connection,
        line: impl AsyncRead + AsyncWrite + Unpin,
        stop: impl Future<Output = ()>,
        backoff: &mut Backoff,
    ) -> Option<String> {
        let outcome = self.converse(connection, line, stop).await;
        if outcome.was_useful() {
            backoff.reset();
        }
        outcome.end.err().map(|error| failure(&error))
    }

    async fn converse(
        &self,
        connection: &Connection,
        line: impl AsyncRead + AsyncWrite + Unpin,
        stop: impl Future<Output = ()>,
    ) -> Outcome {
        let config = SessionConfig::new(connection.thing_name.as_str(), connection.readings_topic.as_str());
        let config = config.with_last_will();
        let clock = TokioClock(Instant::now());
        let session = Session { config: &config, clock: &clock, outbox: &*self.outbox };
        let mut line = FromTokio::new(line);
        session
            .run(&mut line, stop, |event| {
                if event == Event::Online {
                    self.shared.set_network(NetworkState::Up);
                    // The network knows the time, as a time server does.
                    self.say(News::Time { unix_millis: unix_millis() });
                }
                News::of(event).into_iter().for_each(|news| self.say(news));
            })
            .await
    }

    /// Without waiting: an app that hangs misses what does not fit.
    fn say(&self, news: News) {
        if let Err(TrySendError::Full(news)) = self.tell.try_send(news) {
            tracing::warn!(?news, "the imitated board's app does not keep up with its network");
        }
    }
}

/// Ready when something else is wanted and there is time for a goodbye: not when the power was cut.
async fn goodbye(mut follow: watch::Receiver<Wanted>, power_cuts: u64) {
    // An error is the end of the app.
    if follow.changed().await.is_ok() && follow.borrow().power_cuts != power_cuts {
        pending().await
    }
}

/// The reason and the advice, in one line.
fn failure(error: &SessionError) -> String {
    format!("{error} {}", error.advice())
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
