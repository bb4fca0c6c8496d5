//! The board's own session with any broker, once: TLS, MQTT, one reading. Says on one line how it ended, as
//! `CODE: SENTENCE`, with the code `acknowledged` when the broker took the reading.
//!
//!     session PORT HOST CA.pem CERTIFICATE.pem KEY.pem THING TOPIC UNIX_SECS tls13|tls12
//!
//! It connects to the port of this computer, expects the host name in the broker's certificate, and takes UNIX_SECS for
//! the present. Brokers that nobody here wrote are asked this way (`tests/independent`).
#![allow(clippy::expect_used, clippy::panic, reason = "a wrong argument may end it")]

use std::{
    cell::RefCell,
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use board_tls::{Newest, Tls};
use coldbench_protocol::Network;
use coldbench_sensor::{
    identity::Connection,
    session::{Clock, Event, Kind, Limits, Outbox, Session, SessionConfig},
};
use embedded_io_adapters::tokio_1::FromTokio;
use tokio::{net::TcpStream, sync::Notify, time::timeout};
use zeroize::Zeroizing;

/// For the whole session.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, host, ca, certificate, key, thing, topic, unix_secs, newest] = arguments.as_slice() else {
        panic!("PORT HOST CA.pem CERTIFICATE.pem KEY.pem THING TOPIC UNIX_SECS tls13|tls12");
    };
    let connection = Connection {
        thing_name: thing.clone(),
        endpoint: host.clone(),
        port: port.parse().expect("PORT is a number"),
        readings_topic: topic.clone(),
        network: Network::None,
        certificate_chain_der: vec![der(certificate)],
        ca_der: vec![der(ca)],
        key_pkcs8_der: Zeroizing::new(der(key)),
    };
    let unix_secs: u64 = unix_secs.parse().expect("UNIX_SECS is a number");
    let newest = if newest == "tls12" { Newest::Tls12 } else { Newest::Tls13 };
    let outcome = timeout(PATIENCE, converse(&connection, unix_secs * 1000, newest)).await;
    println!("{}", outcome.unwrap_or_else(|_| "example.timeout: the broker said nothing.".to_owned()));
}

async fn converse(connection: &Connection, unix_millis: u64, newest: Newest) -> String {
    // A test has no secrets.
    let tls = Tls::start(Zeroizing::new([7; 32])).expect("the library starts once");
    let clock = TokioClock(Instant::now());
    let socket = TcpStream::connect(("127.0.0.1", connection.port)).await.expect("the broker listens");
    let connected = tls.connect(FromTokio::new(socket), connection, Some(unix_millis), newest, &clock).await;
    let mut line = match connected {
        Ok(line) => line,
        Err(error) => return format!("{}: {error} {}", error.code(), error.advice()),
    };
    let config = SessionConfig::new(connection.thing_name.as_str(), connection.readings_topic.as_str());
    let mut outbox = Outbox::new(Limits { readings: 1, reports: 1 });
    outbox.push_reading(r#"{"v":1}"#.to_owned()).expect("it is short");
    let (outbox, acknowledged) = (RefCell::new(outbox), Notify::new());
    let session = Session { config: &config, clock: &clock, outbox: &outbox };
    let handle = |event: Event<'_>| {
        if event == Event::Acknowledged(Kind::Reading) {
            acknowledged.notify_one();
        }
    };
    match session.run(&mut line, acknowledged.notified(), handle).await.end {
        Ok(()) => "acknowledged: The broker took the reading.".to_owned(),
        Err(error) => format!("{}: {error} {}", error.code(), error.advice()),
    }
}

fn der(pem_file: &str) -> Vec<u8> {
    let text = std::fs::read(Path::new(pem_file)).expect("the file can be read");
    pem_rfc7468::decode_vec(&text).expect("the file is PEM").1
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
