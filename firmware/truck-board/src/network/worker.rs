//! One session with the broker after another, with the identity that is installed.

use alloc::{format, string::String};
use core::future::{Future, poll_fn};

use board_tls::Tls;
use coldbench_sensor::{
    identity::Connection,
    relay::RelayStream,
    session::{Backoff, Clock, News, Session, SessionConfig},
    shared::Shared,
};
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_io_async::{Read, Write};
use esp_hal::rng::Rng;
use zeroize::Zeroizing;

use super::{State, uptime_millis};

/// How long the tool may take to open a connection.
const OPEN_LIMIT: Duration = Duration::from_secs(15);

/// What the network's thread does.
pub(super) struct Worker {
    state: &'static State,
    tls: Tls,
}

impl Worker {
    /// `None` when there is one already.
    pub(super) fn new(state: &'static State, seed: Zeroizing<[u8; 32]>) -> Option<Self> {
        Some(Worker { state, tls: Tls::start(seed)? })
    }

    /// Follows what is wanted, for ever.
    pub(super) async fn run(mut self) {
        loop {
            match self.state.wanted.with(|wanted| wanted.clone()) {
                Some(connection) => self.keep_connected(&connection).await,
                None => self.state.changed.wait().await,
            }
        }
    }

    /// One session after another until something else is wanted.
    async fn keep_connected(&mut self, connection: &Connection) {
        let Worker { state, tls } = self;
        let mut backoff = Backoff::default();
        loop {
            let mut attempt = Attempt { state, tls, connection, was_useful: false };
            let failure = match attempt.run().await {
                Ok(()) => return,
                Err(failure) => failure,
            };
            if attempt.was_useful {
                backoff.reset();
            }
            state.say(News::Log(format!("network: {failure}")));
            let wait = Duration::from_millis(backoff.next_delay_millis(Rng::new().random()));
            if let Either::First(_) = select(state.changed.wait(), Timer::after(wait)).await {
                return;
            }
        }
    }
}

/// One try to reach the broker and stay there.
struct Attempt<'a> {
    state: &'static State,
    tls: &'a Tls,
    connection: &'a Connection,
    /// The broker took something.
    was_useful: bool,
}

impl Attempt<'_> {
    /// `Ok` when something else is wanted, or why it ended otherwise.
    async fn run(&mut self) -> Result<(), String> {
        match select(
            self.state.changed.wait(),
            poll_fn(|context| self.state.relay.with(|relay| relay.poll_offered(context))),
        )
        .await
        {
            Either::First(_) => return Ok(()),
            Either::Second(()) => {}
        }
        let (host, port) = (self.connection.endpoint.as_str(), self.connection.port);
        let opening = with_timeout(OPEN_LIMIT, RelayStream::open(&self.state.relay, host, port));
        match select(self.state.changed.wait(), opening).await {
            Either::First(_) => Ok(()),
            Either::Second(Ok(Ok(line))) => self.secure(line).await,
            Either::Second(Ok(Err(error))) => Err(format!("no connection through the computer: {error}")),
            Either::Second(Err(_)) => Err("the computer did not open a connection in time".into()),
        }
    }

    /// TLS on the line, and a session on that.
    async fn secure<L: Read + Write>(&mut self, line: L) -> Result<(), String> {
        let unix_millis = self.state.unix_millis_at_start.with(|start| start.map(|start| start + uptime_millis()));
        let securing = self.tls.connect(line, self.connection, unix_millis, &EmbassyClock);
        let mut line = match select(self.state.changed.wait(), securing).await {
            Either::First(_) => return Ok(()),
            Either::Second(line) => line.map_err(|error| format!("{error} {}", error.advice()))?,
        };
        let config = SessionConfig::new(self.connection.thing_name.as_str(), self.connection.readings_topic.as_str())
            .with_last_will();
        let session = Session { config: &config, clock: &EmbassyClock, outbox: &self.state.outbox };
        let stop = self.state.changed.wait();
        let outcome = session
            .run(&mut line, stop, |event| {
                if let Some(news) = News::of(event) {
                    self.state.say(news);
                }
            })
            .await;
        self.was_useful = outcome.was_useful();
        outcome.end.map_err(|error| format!("{error} {}", error.advice()))?;
        // The broker has its goodbye in MQTT; that in TLS is a courtesy.
        let _ = line.close().await;
        Ok(())
    }
}

impl State {
    /// Without waiting: what the main thread does not fetch is not told.
    fn say(&self, news: News) {
        let _ = self.news.try_send(news);
    }
}

struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now_millis(&self) -> u64 {
        Instant::now().as_millis()
    }

    fn sleep_until(&self, deadline_millis: u64) -> impl Future<Output = ()> {
        Timer::at(Instant::from_millis(deadline_millis))
    }
}
