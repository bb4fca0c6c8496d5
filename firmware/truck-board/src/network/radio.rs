//! The radio and the network on it: Wi-Fi station, addresses, names, the time.

use alloc::{boxed::Box, format, string::String};
use core::net::{IpAddr, SocketAddr};

use coldbench_sensor::{
    session::{Backoff, News},
    shared::Shared as _,
};
use embassy_executor::Spawner;
use embassy_net::{
    Config, DhcpConfig, Runner, Stack, StackResources,
    dns::DnsQueryType,
    udp::{PacketMetadata, UdpSocket},
};
use embassy_time::{Duration, Timer, with_timeout};
use esp_hal::{peripherals::WIFI, rng::Rng};
use esp_radio::wifi::{
    AuthenticationMethodConfig, ControllerConfig, Interface, WifiController, WifiError, sta::StationConfig,
};
use sntpc::{NtpContext, NtpResult, NtpTimestampGenerator, NtpUdpSocket};

use super::{State, uptime_millis};

/// Sockets at once: DHCP, DNS, the broker, the time, and one to spare.
const SOCKETS: usize = 5;
/// How long one try to join the network may take.
const JOIN_LIMIT: Duration = Duration::from_secs(20);
/// How long a time server may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Public time servers: that of the cloud first.
const TIME_SERVERS: [&str; 2] = ["time.aws.com", "pool.ntp.org"];
const TIME_PORT: u16 = 123;
/// The clock drifts by less than a second in this time.
const TIME_GOOD_FOR: Duration = Duration::from_secs(6 * 3600);

/// The radio, switched on, and the network on it.
pub(super) struct Radio {
    controller: WifiController<'static>,
    stack: Stack<'static>,
}

impl Radio {
    /// Switches the radio on. It stays on.
    pub(super) fn start(wifi: WIFI<'static>, spawner: Spawner) -> Result<Self, WifiError> {
        let controller = WifiController::new(wifi, ControllerConfig::default())?;
        let interface = Interface::try_station().ok_or(WifiError::Other)?;
        let resources: &'static mut StackResources<SOCKETS> = Box::leak(Box::new(StackResources::new()));
        let random = Rng::new();
        let seed = u64::from(random.random()) << 32 | u64::from(random.random());
        let (stack, runner) = embassy_net::new(interface, Config::dhcpv4(DhcpConfig::default()), resources, seed);
        if let Ok(task) = move_packets(runner) {
            spawner.spawn(task);
        }
        Ok(Radio { controller, stack })
    }

    /// The network on the radio.
    pub(super) fn stack(&self) -> Stack<'static> {
        self.stack
    }

    /// Joins this network, and again whenever it is lost. Never ends.
    pub(super) async fn stay_joined(&mut self, ssid: &str, passphrase: &str, state: &State) {
        let mut backoff = Backoff::default();
        loop {
            match self.join(ssid, passphrase).await {
                Ok(()) => {
                    backoff.reset();
                    // An error means that it is lost already.
                    let _ = self.controller.wait_for_disconnect_async().await;
                    state.say(News::Log("Wi-Fi: the network is lost".into()));
                }
                Err(why) => state.say(News::Log(format!("Wi-Fi: {why}"))),
            }
            Timer::after(Duration::from_millis(backoff.next_delay_millis(Rng::new().random()))).await;
        }
    }

    async fn join(&mut self, ssid: &str, passphrase: &str) -> Result<(), String> {
        let unusable = |error: WifiError| format!("the network's name or passphrase cannot be used: {error:?}");
        let authentication = match passphrase {
            "" => AuthenticationMethodConfig::Open,
            passphrase => AuthenticationMethodConfig::Wpa2Personal(passphrase.try_into().map_err(unusable)?),
        };
        let station =
            StationConfig::default().with_ssid(ssid.try_into().map_err(unusable)?).with_authentication(authentication);
        self.controller.set_config(&esp_radio::wifi::Config::Station(station)).map_err(unusable)?;
        match with_timeout(JOIN_LIMIT, self.controller.connect_async()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("the network is not joined: {error:?}")),
            Err(_) => Err("the network did not answer in time".into()),
        }
    }
}

#[embassy_executor::task]
async fn move_packets(mut runner: Runner<'static, Interface>) {
    runner.run().await
}

/// Keeps the board's clock by the network's time. Never ends.
pub(super) async fn keep_time(stack: Stack<'_>, state: &State) {
    let mut backoff = Backoff::default();
    loop {
        stack.wait_config_up().await;
        let wait = match ask_for_time(stack).await {
            Some(unix_millis) => {
                state.unix_millis_at_start.with(|start| *start = unix_millis.checked_sub(uptime_millis()));
                state.say(News::Time { unix_millis });
                backoff.reset();
                TIME_GOOD_FOR
            }
            None => Duration::from_millis(backoff.next_delay_millis(Rng::new().random())),
        };
        Timer::after(wait).await;
    }
}

/// UTC in milliseconds since 1970, from the first server that answers.
async fn ask_for_time(stack: Stack<'_>) -> Option<u64> {
    for name in TIME_SERVERS {
        if let Ok(Some(result)) = with_timeout(TIME_LIMIT, ask_server(stack, name)).await {
            let fraction_millis = u64::from(sntpc::fraction_to_milliseconds(result.seconds_fraction));
            return Some(result.seconds * 1000 + fraction_millis);
        }
    }
    None
}

async fn ask_server(stack: Stack<'_>, name: &str) -> Option<NtpResult> {
    let address = *stack.dns_query(name, DnsQueryType::A).await.ok()?.first()?;
    let (mut metadata_in, mut metadata_out) = ([PacketMetadata::EMPTY; 1], [PacketMetadata::EMPTY; 1]);
    let (mut bytes_in, mut bytes_out) = ([0; 128], [0; 128]);
    let mut socket = UdpSocket::new(stack, &mut metadata_in, &mut bytes_in, &mut metadata_out, &mut bytes_out);
    socket.bind(0).ok()?;
    let server = SocketAddr::new(IpAddr::from(address), TIME_PORT);
    sntpc::get_time(server, &TimeSocket(socket), NtpContext::new(Uptime(0))).await.ok()
}

struct TimeSocket<'a>(UdpSocket<'a>);

impl NtpUdpSocket for TimeSocket<'_> {
    async fn send_to(&self, bytes: &[u8], address: SocketAddr) -> sntpc::Result<usize> {
        let SocketAddr::V4(address) = address else { return Err(sntpc::Error::Network) };
        self.0.send_to(bytes, address).await.map(|()| bytes.len()).map_err(|_| sntpc::Error::Network)
    }

    async fn recv_from(&self, bytes: &mut [u8]) -> sntpc::Result<(usize, SocketAddr)> {
        let (count, from) = self.0.recv_from(bytes).await.map_err(|_| sntpc::Error::Network)?;
        Ok((count, SocketAddr::new(IpAddr::from(from.endpoint.addr), from.endpoint.port)))
    }
}

/// The board's own time, by which the answer's travel is measured, in milliseconds.
#[derive(Clone, Copy)]
struct Uptime(u64);

impl NtpTimestampGenerator for Uptime {
    fn init(&mut self) {
        self.0 = uptime_millis();
    }

    fn timestamp_sec(&self) -> u64 {
        self.0 / 1000
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        (self.0 % 1000) as u32 * 1000
    }
}
