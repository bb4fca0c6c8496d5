//! One session with the broker after another, with the identity that is installed.

use alloc::{format, string::String};
use core::future::{Future, pending, poll_fn};

use board_tls::{Newest, Tls, TlsError};
use coldbench_protocol::Network;
use coldbench_sensor::{
    identity::Connection,
    relay::RelayStream,
    session::{Backoff, CertificateRefusal, Clock, News, Session, SessionConfig, SessionError},
    shared::Shared,
};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, Either3, select, select3};
use embassy_net::{IpEndpoint, Stack, dns::DnsQueryType, tcp::TcpSocket};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use embedded_io_async::{Read, Write};
use esp_hal::{peripherals::WIFI, rng::Rng};
use zeroize::Zeroizing;

use super::{
    State,
    radio::{Radio, keep_time},
    uptime_millis,
};

/// How long opening a line may take: the tool's work, or name and connection over Wi-Fi.
const OPEN_LIMIT: Duration = Duration::from_secs(15);
/// A TCP connection on which nothing is acknowledged for this long is broken.
const TCP_SILENCE_LIMIT: Duration = Duration::from_secs(30);
/// What a TCP connection holds each way.
const TCP_BUFFER_LEN: usize = 2048;

/// What the network's thread does.
pub(super) struct Worker {
    state: &'static State,
    tls: Tls,
    /// The radio is switched on when the first identity with Wi-Fi is there.
    wifi: Option<WIFI<'static>>,
    radio: Option<Radio>,
}

impl Worker {
    /// `None` when there is one already.
    pub(super) fn new(state: &'static State, seed: Zeroizing<[u8; 32]>, wifi: WIFI<'static>) -> Option<Self> {
        Some(Worker { state, tls: Tls::start(seed)?, wifi: Some(wifi), radio: None })
    }

    /// Follows what is wanted, for ever.
    pub(super) async fn run(mut self, spawner: Spawner) {
        loop {
            match self.state.wanted.with(|wanted| wanted.clone()) {
                Some(connection) => {
                    self.switch_on(&connection.network, spawner);
                    self.follow(&connection).await;
                }
                None => self.state.changed.wait().await,
            }
        }
    }

    fn switch_on(&mut self, network: &Network, spawner: Spawner) {
        if let Network::WiFi { .. } = network
            && let Some(wifi) = self.wifi.take()
        {
            match Radio::start(wifi, spawner) {
                Ok(radio) => self.radio = Some(radio),
                Err(error) => self.state.say(News::Log(format!("the radio does not start: {error:?}"))),
            }
        }
    }

    /// Keeps this identity connected until another is wanted.
    async fn follow(&mut self, connection: &Connection) {
        let Worker { state, tls, radio, .. } = self;
        match (&connection.network, radio) {
            (Network::WiFi { ssid, passphrase }, Some(radio)) => {
                let stack = radio.stack();
                let sessions =
                    keep_connected(Keeper { state, tls, connection, stack: Some(stack), newest: Newest::default() });
                select3(sessions, radio.stay_joined(ssid, passphrase, state), keep_time(stack, state)).await;
            }
            _ => keep_connected(Keeper { state, tls, connection, stack: None, newest: Newest::default() }).await,
        }
    }
}

/// One session after another until something else is wanted.
async fn keep_connected(mut keeper: Keeper<'_>) {
    let mut backoff = Backoff::default();
    loop {
        let mut was_useful = false;
        let failure = match keeper.attempt(&mut was_useful).await {
            Ok(()) => return,
            Err(failure) => failure,
        };
        if was_useful {
            backoff.reset();
        }
        keeper.newest = keeper.newest.after(failure.hides_its_reason);
        keeper.state.say(News::Log(format!("network: {}", failure.text)));
        let wait = Duration::from_millis(backoff.next_delay_millis(Rng::new().random()));
        if let Either::First(_) = select(keeper.state.changed.wait(), Timer::after(wait)).await {
            return;
        }
    }
}

/// Why there is no session.
struct Failure {
    text: String,
    /// The broker refused the certificate and nothing says why.
    hides_its_reason: bool,
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure { text, hides_its_reason: false }
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Failure {
            text: format!("{error} {}", error.advice()),
            hides_its_reason: error == TlsError::Refused(CertificateRefusal::Unread),
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Failure {
            text: format!("{error} {}", error.advice()),
            hides_its_reason: error == SessionError::CertificateRefused,
        }
    }
}

/// What every try to reach the broker needs.
struct Keeper<'a> {
    state: &'static State,
    tls: &'a Tls,
    connection: &'a Connection,
    /// The network on the radio, where there is one.
    stack: Option<Stack<'static>>,
    newest: Newest,
}

impl Keeper<'_> {
    /// Reaches the broker, by Wi-Fi where it is up, else through the computer, and stays there. `Ok` when something
    /// else is wanted, or why it ended otherwise; `was_useful` becomes true when the broker took something.
    async fn attempt(&self, was_useful: &mut bool) -> Result<(), Failure> {
        let wifi = async {
            match self.stack {
                Some(stack) => {
                    stack.wait_config_up().await;
                    stack
                }
                None => pending().await,
            }
        };
        let relay = poll_fn(|context| self.state.relay.with(|relay| relay.poll_offered(context)));
        match select3(self.state.changed.wait(), wifi, relay).await {
            Either3::First(_) => Ok(()),
            Either3::Second(stack) => self.over_wifi(stack, was_useful).await,
            Either3::Third(()) => self.through_the_computer(was_useful).await,
        }
    }

    async fn over_wifi(&self, stack: Stack<'_>, was_useful: &mut bool) -> Result<(), Failure> {
        let (mut bytes_in, mut bytes_out) = ([0; TCP_BUFFER_LEN], [0; TCP_BUFFER_LEN]);
        let mut socket = TcpSocket::new(stack, &mut bytes_in, &mut bytes_out);
        socket.set_timeout(Some(TCP_SILENCE_LIMIT));
        let connecting = async {
            let name = self.connection.endpoint.as_str();
            let addresses =
                stack.dns_query(name, DnsQueryType::A).await.map_err(|error| format!("{name}: {error:?}"))?;
            let address = *addresses.first().ok_or_else(|| format!("{name} has no address"))?;
            let broker = IpEndpoint::new(address, self.connection.port);
            socket.connect(broker).await.map_err(|error| format!("no connection to {broker}: {error:?}"))
        };
        match select(self.state.changed.wait(), with_timeout(OPEN_LIMIT, connecting)).await {
            Either::First(_) => Ok(()),
            Either::Second(Ok(Ok(()))) => self.talk(socket, was_useful).await,
            Either::Second(Ok(Err(why))) => Err(Failure::from(why)),
            Either::Second(Err(_)) => Err(Failure::from(String::from("the broker did not answer in time"))),
        }
    }

    async fn through_the_computer(&self, was_useful: &mut bool) -> Result<(), Failure> {
        let (host, port) = (self.connection.endpoint.as_str(), self.connection.port);
        let opening = with_timeout(OPEN_LIMIT, RelayStream::open(&self.state.relay, host, port));
        match select(self.state.changed.wait(), opening).await {
            Either::First(_) => Ok(()),
            Either::Second(Ok(Ok(line))) => self.talk(line, was_useful).await,
            Either::Second(Ok(Err(error))) => Err(format!("no connection through the computer: {error}").into()),
            Either::Second(Err(_)) => {
                Err(Failure::from(String::from("the computer did not open a connection in time")))
            }
        }
    }

    /// TLS on the line, and a session on that.
    async fn talk<L: Read + Write>(&self, line: L, was_useful: &mut bool) -> Result<(), Failure> {
        let unix_millis = self.state.unix_millis_at_start.with(|start| start.map(|start| start + uptime_millis()));
        let securing = self.tls.connect(line, self.connection, unix_millis, self.newest, &EmbassyClock);
        let mut line = match select(self.state.changed.wait(), securing).await {
            Either::First(_) => return Ok(()),
            Either::Second(line) => line?,
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
        *was_useful = outcome.was_useful();
        outcome.end?;
        // The broker has its goodbye in MQTT; that in TLS is a courtesy.
        let _ = line.close().await;
        Ok(())
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
