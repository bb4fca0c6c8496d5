//! A world in memory with failure switches, for the job's tests.

#![allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
#![allow(missing_docs, reason = "names say it")]

mod board;
mod cloud;
mod ledger;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Duration, sleep},
};

pub use board::BoardState;
pub use cloud::CloudState;

use super::{Bench, CalibrationChoice, Kit, Order, RelayChoice, run::lock};
use crate::{
    domain::{
        Mac, Subject,
        calibration::{References, TemperaturePoint, VoltagePoint},
        image::{Image, ImagePart, Manifest},
        site::Site,
    },
    ports::{
        board::Stamped,
        broker::{Broker, BrokerError, Message, Observation},
        keys::{HostKey, HostKeys, KeyError, Sealer, Signature},
        operator::{Operator, Question, Reply},
    },
};

/// Digest of the image that jobs write.
pub const IMAGE: [u8; 32] = [7; 32];

/// What a fault does to one call of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails without effect.
    Fail,
    /// It never answers, without effect.
    Hang,
    /// It has its effect, and the answer is lost.
    LoseReply,
}

/// What is to go wrong, and what has been called.
#[derive(Default)]
pub struct Switches {
    /// The next call of this operation is hit; once.
    pub fault: Option<(&'static str, Fault)>,
    /// The process dies at this moment, counted over everything that is done.
    pub kill_at: Option<usize>,
    moment: usize,
    dead: bool,
    /// Operations called, in order.
    pub called: Vec<&'static str>,
}

/// The world behind the ports.
pub struct World {
    pub switches: Mutex<Switches>,
    /// Whether the process is dead.
    pub killed: watch::Sender<bool>,
    pub cloud: Mutex<CloudState>,
    pub board: Mutex<board::BoardState>,
    pub ledger: Mutex<ledger::LedgerState>,
    usb: broadcast::Sender<Stamped>,
    observers: Mutex<Vec<mpsc::Sender<Result<Message, BrokerError>>>>,
    /// What the person at the bench answers.
    pub answer: fn(&Question) -> Reply,
    authority: cloud::Authority,
}

/// An operation was hit by a fault.
pub struct Hit(pub Fault);

impl World {
    pub fn new() -> Arc<Self> {
        Self::with_operator(|_| Reply::Declined)
    }

    pub fn with_operator(answer: fn(&Question) -> Reply) -> Arc<Self> {
        let world = Arc::new(World {
            switches: Mutex::default(),
            killed: watch::Sender::new(false),
            cloud: Mutex::default(),
            board: Mutex::new(board::BoardState::blank(mac())),
            ledger: Mutex::default(),
            usb: broadcast::channel(64).0,
            observers: Mutex::default(),
            answer,
            authority: cloud::Authority::new(),
        });
        tokio::spawn(drive_truck(Arc::downgrade(&world)));
        world
    }

    pub fn bench(self: &Arc<Self>) -> Bench {
        Bench {
            boards: Arc::new(board::FakeBoards(self.clone())),
            cloud: Arc::new(cloud::FakeCloud(self.clone())),
            broker: Arc::new(FakeBroker(self.clone())),
            ledger: Arc::new(ledger::FakeLedger(self.clone())),
            operator: Arc::new(FakeOperator(self.clone())),
            host_keys: Some(Arc::new(FakeKeys)),
            sealer: Arc::new(FakeKeys),
        }
    }

    /// Sets what goes wrong next; the dead live again.
    pub fn arm(&self, fault: Option<(&'static str, Fault)>, kill_at: Option<usize>) {
        *lock(&self.switches) = Switches { fault, kill_at, ..Switches::default() };
        self.killed.send_replace(false);
    }

    /// Whether the armed moment has not come.
    pub fn is_alive(&self) -> bool {
        !lock(&self.switches).dead
    }

    pub fn has_fault(&self) -> bool {
        lock(&self.switches).fault.is_some()
    }

    /// One more moment at which the process may die. `false` when it is dead.
    fn live_on(&self) -> bool {
        let mut switches = lock(&self.switches);
        if switches.dead {
            return false;
        }
        switches.moment += 1;
        if switches.kill_at == Some(switches.moment) {
            switches.dead = true;
            self.killed.send_replace(true);
        }
        true
    }

    async fn moment(&self) {
        self.live_on();
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    /// Before the effect of an operation.
    async fn before(&self, operation: &'static str) -> Result<(), Hit> {
        self.moment().await;
        let fault = {
            let mut switches = lock(&self.switches);
            switches.called.push(operation);
            switches.fault.take_if(|(hit, fault)| *hit == operation && *fault != Fault::LoseReply)
        };
        match fault {
            Some((_, Fault::Hang)) => std::future::pending().await,
            Some((_, fault)) => Err(Hit(fault)),
            None => Ok(()),
        }
    }

    /// After it.
    async fn after(&self, operation: &'static str) -> Result<(), Hit> {
        self.moment().await;
        let hit = lock(&self.switches).fault.take_if(|(hit, _)| *hit == operation);
        hit.map_or(Ok(()), |(_, fault)| Err(Hit(fault)))
    }
}

/// The board's main loop: readings, and the session with the cloud.
async fn drive_truck(world: std::sync::Weak<World>) {
    let mut quarters = 0_u64;
    loop {
        sleep(Duration::from_millis(250)).await;
        quarters += 1;
        let Some(world) = world.upgrade() else { return };
        let board = lock(&world.board);
        let Some(thing) = board.installed_thing().filter(|_| board.running && board.clock_is_set) else { continue };
        let interval = board.settings.interval_secs;
        let relayed = !board.has_network && board.relay.is_some();
        let connected = board.has_network || relayed;
        let connected =
            connected && board.installed_certificate().is_some_and(|id| lock(&world.cloud).accepts(&id, &thing));
        drop(board);
        let wish = connected.then(|| lock(&world.cloud).report(&thing, "interval_secs", interval.into())).flatten();
        if connected && relayed {
            lock(&world.board).relayed.to_broker_bytes += 1;
        }
        if let Some(wish) = wish {
            lock(&world.board).settings.interval_secs = wish;
        }
        if quarters.is_multiple_of(4 * u64::from(interval)) {
            let time = (OffsetDateTime::UNIX_EPOCH + time::Duration::seconds((quarters / 4) as i64))
                .format(&time::format_description::well_known::Rfc3339)
                .unwrap_or_default();
            let json = format!(
                r#"{{"v":1,"seq":{quarters},"time":"{time}","thing":"{thing}","interval_secs":{interval},"status":"green"}}"#
            );
            let stamped = Stamped { payload: json.clone().into_bytes(), received: OffsetDateTime::now_utc() };
            let _ = world.usb.send(stamped);
            if connected {
                let message = Message {
                    topic: format!("dt/coldchain/{thing}/readings"),
                    payload: json.into_bytes(),
                    received: OffsetDateTime::now_utc(),
                };
                lock(&world.observers).retain(|observer| observer.try_send(Ok(message.clone())).is_ok());
                let summary = serde_json::json!({ "seq": quarters, "time": time });
                lock(&world.cloud).report_reading(&thing, summary);
            }
        }
    }
}

struct FakeBroker(Arc<World>);

#[async_trait]
impl Broker for FakeBroker {
    async fn observe(&self, _topics: &[String]) -> Result<Observation, BrokerError> {
        let hit = |_| BrokerError::Unreachable { why: "fault".into() };
        self.0.before("Observe").await.map_err(hit)?;
        let (sender, messages) = mpsc::channel(64);
        lock(&self.0.observers).push(sender);
        self.0.after("Observe").await.map_err(hit)?;
        Ok(Observation { messages })
    }
}

struct FakeOperator(Arc<World>);

#[async_trait]
impl Operator for FakeOperator {
    async fn ask(&self, question: Question) -> Reply {
        // A person takes a while.
        sleep(Duration::from_secs(90)).await;
        // Each question changes what the sensors see, as the person does.
        lock(&self.0.board).handle(&question);
        if matches!(question, Question::FreezerReference { .. }) {
            sleep(Duration::from_secs(90)).await;
        }
        (self.0.answer)(&question)
    }
}

struct FakeKeys;

impl HostKeys for FakeKeys {
    fn make(&self, subject: &Subject) -> Result<HostKey, KeyError> {
        let (key_pem, csr_pem) = board::key_and_csr(subject);
        Ok(HostKey { key_pem: zeroize::Zeroizing::new(key_pem), csr_pem })
    }
}

impl Sealer for FakeKeys {
    fn seal(&self, bytes: &[u8]) -> Result<Signature, KeyError> {
        Ok(Signature {
            algorithm: "test".into(),
            public_key_pem: String::new(),
            signature_hex: hex::encode(bytes.len().to_be_bytes()),
        })
    }
}

/// The board's.
pub fn mac() -> Mac {
    Mac([0x60, 0x55, 0xf9, 0, 0, 1])
}

/// The passphrase that must show up nowhere.
pub const PASSPHRASE: &str = "correct-horse-battery";

pub fn order() -> Order {
    Order {
        port: "/dev/ttyUSB0".into(),
        truck: "T001".parse().unwrap(),
        thing: "truckSensor01".parse().ok(),
        host_key: false,
        calibration: CalibrationChoice::Given(References {
            freezer: vec![TemperaturePoint { reference_celsius: -20.0, raw_celsius: None }],
            supply: vec![VoltagePoint { reference_volts: 12.6, raw_volts: None }],
            ..References::default()
        }),
        relay: RelayChoice::default(),
    }
}

pub fn kit(world: &World) -> Kit {
    let bytes = vec![0xE9; 4096];
    let manifest = Manifest {
        version: "0.1.0".into(),
        chip: "esp32c3".into(),
        image_sha256: hex::encode(IMAGE),
        tool_chain: String::new(),
        sources_sha256: String::new(),
        parts: Vec::new(),
        kept: Vec::new(),
    };
    let mut site = Site::default();
    site.network.ssid = "depot".into();
    site.network.passphrase = PASSPHRASE.into();
    Kit {
        open: Default::default(),
        site,
        image: Image { manifest, parts: vec![ImagePart { name: "app.bin".into(), address: 0x1_0000, bytes }] },
        policy_document: r#"{"Version":"2012-10-17","Statement":[]}"#.into(),
        ca_pem: world.authority.pem(),
    }
}
