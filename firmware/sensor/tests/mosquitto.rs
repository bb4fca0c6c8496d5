//! The board's session against mosquitto, a broker nobody here wrote, watched by an MQTT client nobody here wrote.
//! mosquitto must be installed (`apt-get install mosquitto`); without it these tests fail.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::cell::RefCell;
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coldbench_sensor::session::{
    Clock, Event, Kind, Limits, Outbox, Outcome, Phase, Refusal, Session, SessionConfig, SessionError, ShadowNews, Will,
};
use embedded_io_adapters::tokio_1::FromTokio;
use rumqttc::{AsyncClient, EventLoop, Incoming, MqttOptions, QoS};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

/// Longer than the slowest machine needs; a wait ends as soon as what it waits for is there.
const PATIENCE: Duration = Duration::from_secs(60);
const READINGS: &str = "dt/coldchain/depot1/truckSensor01/readings";
const ONLINE: &str = "dt/coldchain/depot1/truckSensor01/online";
const SHADOW: &str = "$aws/things/truckSensor01/shadow";

struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now_millis(&self) -> u64 {
        self.0.elapsed().as_millis().try_into().unwrap()
    }

    fn sleep_until(&self, deadline_millis: u64) -> impl Future<Output = ()> {
        tokio::time::sleep_until((self.0 + Duration::from_millis(deadline_millis)).into())
    }
}

/// A mosquitto on a free port of the loopback; it ends with this value.
struct Mosquitto {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Mosquitto {
    async fn start(name: &str, settings: &str) -> Self {
        // Between the choice of a free port and mosquitto's start another program may take it: then try again.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            if let Some(mosquitto) = Self::start_on(name, settings, port).await {
                return mosquitto;
            }
        }
        panic!("mosquitto does not start");
    }

    /// Nothing when mosquitto ended before it answered on the port.
    async fn start_on(name: &str, settings: &str, port: u16) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("coldbench-session-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("mosquitto.conf");
        std::fs::write(&file, format!("listener {port} 127.0.0.1\npersistence false\n{settings}\n")).unwrap();
        let child = Command::new(program())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto can be started");
        let mut mosquitto = Self { child, port, folder };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            if mosquitto.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(started.elapsed() < PATIENCE, "mosquitto answers on its port");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(mosquitto)
    }

    async fn line(&self) -> FromTokio<TcpStream> {
        FromTokio::new(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("mosquitto"))
        .find(|program| Path::is_file(program))
        .expect("mosquitto is not installed; install it with `apt-get install mosquitto` (tests/run does)")
}

/// Another client that sees what the board and the broker publish.
struct Watcher {
    client: AsyncClient,
    seen: mpsc::Receiver<(String, String)>,
}

impl Watcher {
    async fn start(broker: &Mosquitto) -> Self {
        let (client, events) = AsyncClient::new(MqttOptions::new("watcher", "127.0.0.1", broker.port), 16);
        for filter in ["dt/#", "$aws/things/+/shadow/#"] {
            client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        }
        let (into_seen, mut seen) = mpsc::channel(64);
        tokio::spawn(watch(events, into_seen));
        for _ in 0..2 {
            let granted = timeout(PATIENCE, seen.recv()).await.expect("the watcher is subscribed");
            assert_eq!(granted, Some(("granted".into(), String::new())));
        }
        Self { client, seen }
    }

    async fn next(&mut self) -> (String, String) {
        timeout(PATIENCE, self.seen.recv()).await.expect("a message in time").expect("a watcher that runs")
    }

    async fn expect(&mut self, topic: &str, payload: &str) {
        assert_eq!(self.next().await, (topic.into(), payload.into()));
    }
}

async fn watch(mut events: EventLoop, seen: mpsc::Sender<(String, String)>) {
    while let Ok(event) = events.poll().await {
        let told = match event {
            rumqttc::Event::Incoming(Incoming::SubAck(_)) => ("granted".into(), String::new()),
            rumqttc::Event::Incoming(Incoming::Publish(message)) => {
                (message.topic, String::from_utf8_lossy(&message.payload).into_owned())
            }
            _ => continue,
        };
        if seen.send(told).await.is_err() {
            return;
        }
    }
}

fn outbox(readings: &[&str]) -> RefCell<Outbox> {
    let mut outbox = Outbox::new(Limits { readings: 16, reports: 4 });
    for reading in readings {
        outbox.push_reading(*reading).unwrap();
    }
    RefCell::new(outbox)
}

fn config() -> SessionConfig {
    let will = Will { topic: ONLINE.into(), payload: b"false".to_vec() };
    SessionConfig { will: Some(will), ..SessionConfig::new("truckSensor01", READINGS) }
}

#[tokio::test]
async fn readings_reports_and_deltas_pass_and_a_goodbye_publishes_no_will() {
    let broker = Mosquitto::start("passes", "allow_anonymous true").await;
    let mut watcher = Watcher::start(&broker).await;
    let (config, clock) = (config(), TokioClock(Instant::now()));
    let (outbox, stop) = (outbox(&["r1", "r2", "r3"]), Notify::new());
    let session = Session { config: &config, clock: &clock, outbox: &outbox };
    let mut line = broker.line().await;
    // A delta is answered with a report, as the board does it; the report's acknowledgement ends the session.
    let run = session.run(&mut line, stop.notified(), |event| match event {
        Event::Shadow(ShadowNews::Delta, delta) => outbox.borrow_mut().push_report(delta).unwrap(),
        Event::Acknowledged(Kind::Report) => stop.notify_one(),
        _ => {}
    });
    let watched = async {
        watcher.expect(&format!("{SHADOW}/get"), "").await;
        for reading in ["r1", "r2", "r3"] {
            watcher.expect(READINGS, reading).await;
        }
        let (topic, delta) = (format!("{SHADOW}/update/delta"), r#"{"state":{"interval_secs":10}}"#);
        watcher.client.publish(&topic, QoS::AtLeastOnce, false, delta).await.unwrap();
        watcher.expect(&topic, delta).await;
        watcher.expect(&format!("{SHADOW}/update"), delta).await;
    };
    let (outcome, ()) = timeout(PATIENCE, async { tokio::join!(run, watched) }).await.unwrap();
    assert_eq!(outcome, Outcome { end: Ok(()), was_online: true, acknowledged: 4, ignored: 0 });
    assert!(outbox.borrow().is_empty());
    drop(line);
    // A will would come before this.
    watcher.client.publish("dt/mark", QoS::AtLeastOnce, false, "end").await.unwrap();
    watcher.expect("dt/mark", "end").await;
}

#[tokio::test]
async fn a_board_that_is_lost_leaves_its_will() {
    let broker = Mosquitto::start("will", "allow_anonymous true").await;
    let mut watcher = Watcher::start(&broker).await;
    let (config, clock, outbox) = (config(), TokioClock(Instant::now()), outbox(&[]));
    let session = Session { config: &config, clock: &clock, outbox: &outbox };
    let mut line = broker.line().await;
    tokio::select! {
        outcome = session.run(&mut line, std::future::pending(), |_| ()) => panic!("{outcome:?}"),
        () = async { watcher.expect(&format!("{SHADOW}/get"), "").await } => {}
    }
    drop(line);
    watcher.expect(ONLINE, "false").await;
}

#[tokio::test]
async fn a_broker_that_stops_costs_no_reading() {
    let broker = Mosquitto::start("stops", "allow_anonymous true").await;
    let (config, clock, outbox) = (config(), TokioClock(Instant::now()), outbox(&["r1"]));
    let session = Session { config: &config, clock: &clock, outbox: &outbox };
    let mut line = broker.line().await;
    let mut broker = Some(broker);
    let run = session.run(&mut line, std::future::pending(), |event| {
        if matches!(event, Event::Acknowledged(_)) {
            broker = None;
            outbox.borrow_mut().push_reading("r2").unwrap();
        }
    });
    let outcome = timeout(PATIENCE, run).await.unwrap();
    let end = outcome.end.unwrap_err();
    assert!(matches!(end, SessionError::Closed(Phase::Publishing | Phase::Writing)), "{end:?}");
    assert_eq!((outcome.acknowledged, outbox.borrow().len()), (1, 1));

    let broker = Mosquitto::start("starts-again", "allow_anonymous true").await;
    let mut watcher = Watcher::start(&broker).await;
    let mut line = broker.line().await;
    tokio::select! {
        outcome = session.run(&mut line, std::future::pending(), |_| ()) => panic!("{outcome:?}"),
        () = async {
            watcher.expect(&format!("{SHADOW}/get"), "").await;
            watcher.expect(READINGS, "r2").await;
        } => {}
    }
}

#[tokio::test]
async fn a_broker_that_does_not_know_the_board_refuses_it() {
    let broker = Mosquitto::start("refuses", "allow_anonymous false").await;
    let (config, clock, outbox) = (config(), TokioClock(Instant::now()), outbox(&["r1"]));
    let session = Session { config: &config, clock: &clock, outbox: &outbox };
    let mut line = broker.line().await;
    let outcome = timeout(PATIENCE, session.run(&mut line, std::future::pending(), |_| ())).await.unwrap();
    assert_eq!(outcome.end, Err(SessionError::Refused(Refusal::NotAuthorised)));
    assert_eq!(outbox.borrow().len(), 1);
}
