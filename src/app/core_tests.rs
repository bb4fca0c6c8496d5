//! The core with a world in memory, on paused time.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use coldbench_protocol::{Request, Response};
use tokio::{
    runtime::Handle,
    sync::broadcast,
    time::{Duration, timeout},
};

use super::{
    command::Command,
    core::{Core, CoreHandle, CoreOptions},
    live::Path as Way,
    outbox::Updates,
    proof::ProofState,
    run::Run,
    settings::{Settings, Theme},
    state::AppState,
    station::{Station, What},
    update::Update,
    world::{CloudSide, OpenLedger, Templates, World},
};
use crate::{
    commission::{Bench, CalibrationChoice, Kit, events::JobOutcome, fakes},
    domain::{Hello, Problem, ThingName, finding::Finding, image::Image, release::Release, site::Site},
    ports::{
        Cancel,
        board::{
            Access, Board, BoardError, Boards, FlashProgress, FlashReport, Found, OpenOptions, PortInfo, RelayTarget,
            RelayTraffic, Stamped,
        },
        broker::{Broker, BrokerError, Observation},
        keys::HostKeys,
        operator::{Question, Reply},
    },
};

const PORT: &str = "/dev/ttyUSB0";

/// A port that only one can open, as real ones are.
struct OnePort {
    inner: Arc<dyn Boards>,
    is_there: AtomicBool,
    is_open: Arc<AtomicBool>,
    opened: AtomicUsize,
    polled: AtomicUsize,
}

struct OpenLine(Box<dyn Board>, Arc<AtomicBool>);

impl Drop for OpenLine {
    fn drop(&mut self) {
        self.1.store(false, Ordering::SeqCst);
    }
}

#[async_trait]
impl Boards for OnePort {
    async fn ports(&self) -> Vec<PortInfo> {
        self.polled.fetch_add(1, Ordering::SeqCst);
        let access = if self.is_open.load(Ordering::SeqCst) { Access::Busy } else { Access::Ok };
        let port = PortInfo {
            port: PORT.to_owned(),
            guess: "ESP32-C3 (USB)".to_owned(),
            usb_id: Some("303a:1001".to_owned()),
            usb_serial: None,
            access,
            advice: String::new(),
        };
        self.is_there.load(Ordering::SeqCst).then_some(port).into_iter().collect()
    }

    async fn open(&self, port: &str, options: OpenOptions) -> Result<Box<dyn Board>, BoardError> {
        if self.is_open.swap(true, Ordering::SeqCst) {
            return Err(BoardError::Busy { port: port.to_owned() });
        }
        self.opened.fetch_add(1, Ordering::SeqCst);
        match self.inner.open(port, options).await {
            Ok(board) => Ok(Box::new(OpenLine(board, self.is_open.clone()))),
            Err(error) => {
                self.is_open.store(false, Ordering::SeqCst);
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Board for OpenLine {
    fn port(&self) -> &str {
        self.0.port()
    }

    async fn identify(&self) -> Result<Found, BoardError> {
        self.0.identify().await
    }

    async fn flash(
        &self,
        image: &Image,
        held_baud: Option<u32>,
        progress: &(dyn Fn(FlashProgress) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<FlashReport, BoardError> {
        self.0.flash(image, held_baud, progress, cancel).await
    }

    async fn boot(&self, within: Duration) -> Result<Hello, BoardError> {
        self.0.boot(within).await
    }

    async fn call(&self, request: Request) -> Result<Response, BoardError> {
        self.0.call(request).await
    }

    async fn offer_relay(&self, target: Option<RelayTarget>) -> Result<(), BoardError> {
        self.0.offer_relay(target).await
    }

    fn relay_traffic(&self) -> RelayTraffic {
        self.0.relay_traffic()
    }

    fn readings(&self) -> broadcast::Receiver<Stamped> {
        self.0.readings()
    }

    fn log(&self) -> broadcast::Receiver<String> {
        self.0.log()
    }
}

struct FakeWorld {
    bench: Bench,
    kit: Kit,
    ports: Arc<OnePort>,
    files: Mutex<Vec<(PathBuf, Vec<u8>)>>,
    is_closed: Arc<AtomicBool>,
}

/// A broker that notes that it was closed.
struct ClosedBroker(Arc<dyn Broker>, Arc<AtomicBool>);

#[async_trait]
impl Broker for ClosedBroker {
    async fn observe(&self, topics: &[String]) -> Result<Observation, BrokerError> {
        self.0.observe(topics).await
    }

    async fn close(&self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl World for FakeWorld {
    fn boards(&self) -> Arc<dyn Boards> {
        self.ports.clone()
    }

    async fn cloud(&self, _: &Site) -> Result<CloudSide, Problem> {
        let broker = Arc::new(ClosedBroker(self.bench.broker.clone(), self.is_closed.clone()));
        Ok(CloudSide { cloud: self.bench.cloud.clone(), broker })
    }

    fn ledger(&self, _: Option<&Path>) -> Result<OpenLedger, Problem> {
        let (ledger, sealer) = (self.bench.ledger.clone(), self.bench.sealer.clone());
        Ok(OpenLedger { ledger, sealer, file: PathBuf::from("ledger.sqlite") })
    }

    fn host_keys(&self) -> Arc<dyn HostKeys> {
        self.bench.host_keys.clone().unwrap()
    }

    fn site(&self, _: Option<&Path>) -> Result<Site, Problem> {
        Ok(self.kit.site.clone())
    }

    fn firmware(&self, _: &Site) -> Result<Image, Problem> {
        Ok(self.kit.image.clone())
    }

    fn image(&self, _: &Path, _: Option<u32>) -> Result<Image, Problem> {
        Ok(self.kit.image.clone())
    }

    fn templates(&self, _: &Site) -> Result<Templates, Problem> {
        Ok(Templates { policy_document: self.kit.policy_document.clone(), ca_pem: self.kit.ca_pem.clone() })
    }

    fn read_text(&self, file: &Path) -> Result<String, Problem> {
        let files = self.files.lock().unwrap();
        let bytes = files.iter().rev().find(|(name, _)| name == file).map(|(_, bytes)| bytes.clone());
        bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Problem::new("files.missing", "There is no such file", "Check the path"))
    }

    fn write_file(&self, file: &Path, bytes: &[u8]) -> Result<(), Problem> {
        self.files.lock().unwrap().push((file.to_owned(), bytes.to_owned()));
        Ok(())
    }

    fn site_file(&self) -> PathBuf {
        PathBuf::from("site.toml")
    }

    fn log_lines(&self) -> Vec<String> {
        vec![format!("joining with {}", fakes::PASSPHRASE)]
    }

    async fn newest_release(&self, _: Option<&str>) -> Result<Release, Problem> {
        Err(Problem::new("updates.unreachable", "Nobody answers", "Try again"))
    }

    async fn look_around(&self, _: &Site) -> Vec<Finding> {
        Vec::new()
    }
}

/// A screen without pixels.
struct Screen {
    core: CoreHandle,
    updates: Updates,
    state: AppState,
    seen: VecDeque<String>,
    world: Arc<FakeWorld>,
}

impl Screen {
    fn open() -> Self {
        let world = fakes::World::new();
        let (bench, kit) = (world.bench(), fakes::kit(&world));
        let ports = Arc::new(OnePort {
            inner: bench.boards.clone(),
            is_there: AtomicBool::new(true),
            is_open: Arc::default(),
            opened: AtomicUsize::new(0),
            polled: AtomicUsize::new(0),
        });
        let world = Arc::new(FakeWorld { bench, kit, ports, files: Mutex::default(), is_closed: Arc::default() });
        let (core, updates) = Core::start(world.clone(), &Handle::current(), CoreOptions::new(Box::new(|| {})));
        Screen { core, updates, state: AppState::default(), seen: VecDeque::new(), world }
    }

    /// Takes updates until something is so. Time is paused, so only a core that hangs gets to the limit.
    async fn until(&mut self, what: &str, is_so: impl Fn(&AppState) -> bool) {
        let waited = timeout(Duration::from_secs(3600), async {
            while !is_so(&self.state) {
                let Some(update) = self.updates.next().await else { panic!("the core ended before {what}") };
                self.seen.push_back(format!("{update:?}").chars().take(200).collect());
                self.state.apply(update);
            }
        });
        if waited.await.is_err() {
            let last: Vec<_> = self.seen.iter().rev().take(12).collect();
            panic!("{what} did not come; last: {last:#?}");
        }
    }

    async fn until_station(&mut self, what: &str, is_so: impl Fn(&Station) -> bool) {
        self.until(what, |state| state.stations.get(PORT).is_some_and(&is_so)).await;
    }

    fn send(&self, command: Command) {
        assert!(self.core.send(command));
    }

    fn commission(&self, calibration: CalibrationChoice) {
        let (port, truck, thing) = (PORT.to_owned(), "T001".parse().unwrap(), Some(thing()));
        self.send(Command::Commission { port, truck, thing, calibration });
    }

    fn run(&self) -> &Run {
        self.state.stations[PORT].run.as_ref().unwrap()
    }
}

fn thing() -> ThingName {
    "truckSensor01".parse().unwrap()
}

fn has_ended(station: &Station) -> bool {
    station.run.as_ref().is_some_and(|run| run.ended.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_new_board_is_commissioned_and_watched_again() {
    let mut screen = Screen::open();
    screen.until_station("a new board", |station| station.is == What::New).await;
    screen.commission(CalibrationChoice::Skip);
    screen.until_station("the end", has_ended).await;
    assert_eq!(screen.run().ended.as_ref().unwrap().outcome, JobOutcome::Passed, "{:?}", screen.run());
    assert_eq!(screen.run().fraction(&screen.state.typical), 1.0);
    let (thing, truck) = (thing(), "T001".parse().ok());
    let commissioned = What::Commissioned { thing: thing.clone(), truck };
    screen.until_station("recognition", |station| station.is == commissioned).await;
    screen.until_station("a reading", |station| station.live.count(Way::Usb) > 0).await;
    screen.send(Command::WatchThing { thing });
    let is_proven = |station: &Station| matches!(station.live.proof(), ProofState::Proven { .. });
    screen.until_station("the proof on three ways", is_proven).await;
    screen.send(Command::Keep { port: PORT.to_owned() });
    screen.until_station("the run put away", |station| station.run.is_none()).await;
    // The window closes: the broker takes back what following needed before the core ends.
    let Screen { core, world, .. } = screen;
    assert!(!world.is_closed.load(Ordering::SeqCst));
    drop(core);
    let closed = timeout(Duration::from_secs(3600), async {
        while !world.is_closed.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(closed.await.is_ok(), "the broker is not closed");
}

#[tokio::test(start_paused = true)]
async fn a_question_is_answered_then_the_job_is_cancelled_and_undone() {
    let mut screen = Screen::open();
    screen.until_station("a new board", |station| station.is == What::New).await;
    screen.commission(CalibrationChoice::Prompt);
    let asks = |instrument: &'static str| {
        move |station: &Station| {
            let question = station.run.as_ref().and_then(|run| run.question.as_ref());
            matches!(question, Some(Question::Serial { instrument: asked, .. }) if asked == instrument)
        }
    };
    screen.until_station("the first question", asks("thermometer")).await;
    screen.send(Command::Answer { port: PORT.to_owned(), reply: Reply::Text("TH-1".to_owned()) });
    screen.until_station("the second question", asks("multimeter")).await;
    screen.send(Command::Cancel { port: PORT.to_owned(), reason: "wrong truck".to_owned() });
    screen.until_station("the end", has_ended).await;
    assert_eq!(screen.run().ended.as_ref().unwrap().outcome, JobOutcome::Cancelled);
    assert_eq!((screen.run().question.as_ref(), screen.run().cancelling.as_deref()), (None, Some("wrong truck")));
    screen.until_station("a half-done board", |station| matches!(station.is, What::HalfDone { of: 10, .. })).await;
    let job = screen.run().job.clone();
    screen.send(Command::Undo { job });
    screen.until_station("the board as new", |station| station.is == What::New && has_ended(station)).await;
    assert!(screen.run().headline().starts_with("Undone"), "{}", screen.run().headline());
}

#[tokio::test(start_paused = true)]
async fn an_idle_core_says_nothing_and_notices_an_unplugged_board() {
    let mut screen = Screen::open();
    screen.until_station("a new board", |station| station.is == What::New).await;
    screen.until("the record", |state| state.jobs.is_some() && state.site.is_some()).await;
    let polls = screen.world.ports.polled.load(Ordering::SeqCst);
    let silence = timeout(Duration::from_secs(60), screen.updates.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    assert!(screen.world.ports.polled.load(Ordering::SeqCst) > polls + 10);
    assert_eq!(screen.world.ports.opened.load(Ordering::SeqCst), 1);
    screen.world.ports.is_there.store(false, Ordering::SeqCst);
    screen.until("the board gone", |state| state.stations.is_empty()).await;
    screen.world.ports.is_there.store(true, Ordering::SeqCst);
    screen.until_station("the board again", |station| station.is == What::New).await;
}

#[tokio::test(start_paused = true)]
async fn one_job_at_a_time_and_what_cannot_be_done_is_told() {
    let mut screen = Screen::open();
    screen.until_station("a new board", |station| station.is == What::New).await;
    screen.send(Command::Cancel { port: PORT.to_owned(), reason: String::new() });
    screen.commission(CalibrationChoice::Skip);
    screen.commission(CalibrationChoice::Skip);
    let told = |state: &AppState, code: &str| {
        state.notices.iter().any(|notice| notice.problem.as_ref().is_some_and(|problem| problem.code == code))
    };
    screen.until("both refusals", |state| told(state, "station.idle") && told(state, "station.busy")).await;
    screen.until_station("the end", has_ended).await;
    assert_eq!(screen.run().ended.as_ref().unwrap().outcome, JobOutcome::Passed);
}

#[tokio::test(start_paused = true)]
async fn settings_are_kept_and_papers_are_written() {
    let mut screen = Screen::open();
    screen.until("the settings", |state| state.settings.is_some()).await;
    let settings = Settings { theme: Theme::Dark, ..Settings::default() };
    screen.send(Command::SaveSettings { settings: settings.clone() });
    screen.until("the new settings", |state| state.settings.as_ref() == Some(&settings)).await;
    screen.until_station("a new board", |station| station.is == What::New).await;
    screen.commission(CalibrationChoice::Skip);
    screen.until_station("the end", has_ended).await;
    let job = screen.run().job.clone();
    screen.send(Command::SaveSheet { job, file: "sheet.html".into() });
    screen.send(Command::SaveBundle { file: "bundle.txt".into() });
    let saved = |state: &AppState| state.notices.iter().filter(|notice| notice.text.starts_with("Saved")).count();
    screen.until("two files", |state| saved(state) == 2).await;
    let sheet = screen.world.read_text(Path::new("sheet.html")).unwrap();
    assert!(sheet.contains("Truck T001") && sheet.contains("truckSensor01"), "{sheet}");
    let bundle = screen.world.read_text(Path::new("bundle.txt")).unwrap();
    assert!(bundle.contains("passed") && !bundle.contains(fakes::PASSPHRASE), "{bundle}");
}

#[test]
fn updates_are_small_enough_to_queue() {
    assert!(std::mem::size_of::<Update>() <= 512, "{}", std::mem::size_of::<Update>());
}
