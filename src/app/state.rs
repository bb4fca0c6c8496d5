//! All that a screen shows. Changed by updates alone, without a wait or a look at the world.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use serde_json::Value;
use time::OffsetDateTime;

use super::{
    live::{Arrived, Live},
    run::Run,
    settings::Settings,
    station::{BoardFacts, Station, What},
    truck::TruckView,
    typical::Typical,
    update::{JobDetails, SiteView, Update},
};
use crate::{
    commission::{
        events::{Event, JobOutcome},
        sweep::{self, Leftover},
    },
    domain::{Problem, ThingName, finding::Finding, release::Release, shadow::Shadow, thing::Login},
    ports::{
        board::{Access, PortInfo},
        ledger::{JobRecord, JobState},
    },
};

/// Notices kept for the log panel.
const MAX_NOTICES: usize = 500;

/// All that a screen shows.
#[derive(Debug, Clone, Default)]
pub struct AppState {
    /// The boards by their port.
    pub stations: BTreeMap<String, Station>,
    /// The imitated trucks that were looked at, by the port of their board; none on a real bench.
    pub trucks: BTreeMap<String, TruckView>,
    /// The job of the cloud alone that ran last: a decommissioning.
    pub cloud_run: Option<Run>,
    /// The record, newest first; `None` until it was read.
    pub jobs: Option<Arc<Vec<JobRecord>>>,
    /// The job that was opened last.
    pub opened: Option<JobDetails>,
    /// What broken-off jobs left in the cloud; `None` until it was looked for.
    pub leftovers: Option<Vec<Leftover>>,
    /// Things that are, or were, followed in the cloud.
    pub things: BTreeMap<ThingName, WatchedThing>,
    /// The site profile.
    pub site: Option<SiteView>,
    /// What the check of this computer found; `None` until it was made.
    pub findings: Option<Vec<Finding>>,
    /// Who is signed in; `None` until it was asked.
    pub login: Option<Result<Login, Problem>>,
    /// The newest version of the program; `None` until somebody asked for it.
    pub newest: Option<Result<Release, Problem>>,
    /// The window's settings; `None` until they were read.
    pub settings: Option<Settings>,
    /// Why the last sound could not be played.
    pub no_sound: Option<Problem>,
    /// Where the record is; `None` until it was opened.
    pub ledger_file: Option<PathBuf>,
    /// What happened, oldest first, for the log panel and for toasts.
    pub notices: VecDeque<Notice>,
    /// Notices ever told; tells a screen how many are new.
    pub notice_count: u64,
    /// How long steps usually take.
    pub typical: Typical,
}

/// A thing seen through the cloud.
#[derive(Debug, Clone, Default)]
pub struct WatchedThing {
    /// It is followed now.
    pub watched: bool,
    /// Why it is followed no more.
    pub problem: Option<Problem>,
    /// Its readings, as far as no board here has them.
    pub live: Live,
    /// Its shadow; `None` until it was read, or where there is none.
    pub shadow: Option<Shadow>,
    /// The shadow before, so that changes can be shown.
    pub shadow_before: Option<Shadow>,
    /// A change that was refused because somebody else was faster.
    pub conflict: Option<Conflict>,
}

/// Two changes of one shadow.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// What was to be desired here.
    pub mine: Value,
    /// The shadow as somebody else left it.
    pub theirs: Shadow,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// How much it matters.
    pub weight: Weight,
    /// The port it is about.
    pub port: Option<String>,
    /// In a sentence.
    pub text: String,
    /// What went wrong, with advice and code.
    pub problem: Option<Problem>,
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// For the log.
    Info,
    /// Somebody asked for it: to be shown.
    Done,
    /// It failed: to be shown until it is closed.
    Failed,
}

impl AppState {
    /// Takes an update.
    pub fn apply(&mut self, update: Update) {
        match update {
            Update::Port(info) => self.port(info),
            Update::Unplugged { port } => self.unplugged(&port),
            Update::Recognised { port, is, board } => self.recognised(&port, is, board),
            Update::Reading { port, arrived } => self.reading(&port, *arrived),
            Update::Job { port, at, event } => self.job(port.as_deref(), at, event),
            Update::Asked { port, question } => self.change_run(&port, |run| run.ask(question)),
            Update::Answered { port } => self.change_run(&port, |run| run.question = None),
            Update::Cancelling { port, reason } => self.change_run(&port, |run| run.cancelling = Some(reason)),
            Update::Truck { port, truck } => drop(self.trucks.insert(port, truck)),
            Update::PutAway { port } => self.put_away(&port),
            Update::Jobs(jobs) => self.jobs = Some(jobs),
            Update::JobOpened(details) => self.opened = Some(*details),
            Update::Leftovers(leftovers) => self.leftovers = Some(leftovers),
            Update::Retired(leftover) => self.retired(&leftover),
            Update::Watching { thing } => {
                let watched = self.things.entry(thing).or_default();
                (watched.watched, watched.problem) = (true, None);
            }
            Update::WatchEnded { thing, problem } => {
                let watched = self.things.entry(thing).or_default();
                (watched.watched, watched.problem) = (false, problem);
            }
            Update::CloudReading { thing, arrived } => self.cloud_reading(thing, *arrived),
            Update::Shadow { thing, shadow } => self.shadow(thing, shadow.map(|shadow| *shadow)),
            Update::ShadowConflict { thing, mine, theirs } => {
                self.shadow(thing.clone(), Some((*theirs).clone()));
                self.things.entry(thing).or_default().conflict = Some(Conflict { mine, theirs: *theirs });
            }
            Update::Site(site) => self.site = Some(*site),
            Update::Findings(findings) => self.findings = Some(findings),
            Update::Login(login) => self.login = Some(login),
            Update::Newest(newest) => self.newest = Some(newest),
            Update::FileSaved { file } => self.notice(Weight::Done, None, format!("Saved {}", file.display()), None),
            Update::Played { problem } => self.played(problem),
            Update::Settings(settings) => self.settings = Some(settings),
            Update::LedgerFile(file) => self.ledger_file = Some(file),
            Update::Failed { port, doing, problem } => {
                let text = format!("{doing} failed: {}", problem.sentence);
                self.notice(Weight::Failed, port, text, Some(problem));
            }
        }
    }

    /// Jobs that wait for somebody: broken off, failed or cancelled, newest first. Offered when the program starts.
    pub fn open_jobs(&self) -> impl Iterator<Item = &JobRecord> {
        let running: Vec<_> = self.stations.values().filter(|s| s.is_busy()).filter_map(|s| s.run.as_ref()).collect();
        let is_open = move |job: &&JobRecord| {
            matches!(job.state, JobState::Running | JobState::Failed | JobState::Cancelled)
                && !running.iter().any(|run| run.job == job.job)
        };
        self.jobs.iter().flat_map(|jobs| jobs.iter()).filter(is_open)
    }

    /// Closes the sight of two changes of a shadow.
    pub fn forget_conflict(&mut self, thing: &ThingName) {
        if let Some(watched) = self.things.get_mut(thing) {
            watched.conflict = None;
        }
    }

    fn port(&mut self, info: PortInfo) {
        let port = info.port.clone();
        let station = self.stations.entry(port).or_insert_with(|| Station::new(info.clone()));
        station.port = info;
        if station.is == What::Gone && station.port.access != Access::Unavailable {
            station.is = What::Looking;
        }
    }

    fn unplugged(&mut self, port: &str) {
        let Some(station) = self.stations.get_mut(port) else { return };
        // What was done to a board stays to be read; a port without that is simply gone.
        match station.run {
            Some(_) => (station.is, station.board) = (What::Gone, None),
            None => drop(self.stations.remove(port)),
        }
    }

    fn recognised(&mut self, port: &str, is: What, board: Option<BoardFacts>) {
        let Some(station) = self.stations.get_mut(port) else { return };
        let is_other = matches!((&station.board, &board), (Some(before), Some(now)) if before.mac != now.mac);
        if is_other {
            station.live = Live::default();
        }
        station.board = board.or(station.board.take().filter(|_| is == What::Looking));
        station.is = is;
    }

    fn reading(&mut self, port: &str, arrived: Arrived) {
        if let Some(station) = self.stations.get_mut(port) {
            station.live.take(arrived);
        }
    }

    fn cloud_reading(&mut self, thing: ThingName, arrived: Arrived) {
        let mut is_here = false;
        for station in self.stations.values_mut().filter(|station| station.thing() == Some(thing.as_str())) {
            station.live.take(arrived.clone());
            is_here = true;
        }
        let watched = self.things.entry(thing).or_default();
        if !is_here {
            watched.live.take(arrived);
        }
    }

    fn shadow(&mut self, thing: ThingName, shadow: Option<Shadow>) {
        for station in self.stations.values_mut().filter(|station| station.thing() == Some(thing.as_str())) {
            shadow.iter().for_each(|shadow| station.live.take_shadow(shadow));
        }
        let watched = self.things.entry(thing).or_default();
        shadow.iter().for_each(|shadow| watched.live.take_shadow(shadow));
        let version = |shadow: &Option<Shadow>| shadow.as_ref().map(|shadow| shadow.version);
        if version(&watched.shadow) != version(&shadow) {
            watched.shadow_before = watched.shadow.take();
        }
        watched.shadow = shadow;
    }

    fn job(&mut self, port: Option<&str>, at: OffsetDateTime, event: Event) {
        self.typical.learn(&event);
        let begun = Run::planned(&event, at);
        if let Event::Finished { problem, .. } = &event {
            let problem = problem.clone();
            // The end of a job at a board stands on its screen; one of the cloud alone has none.
            let weight = if problem.is_none() && port.is_none() { Weight::Done } else { Weight::Info };
            self.notice(weight, port.map(str::to_owned), end_words(&event), problem);
        }
        let slot = match port {
            None => &mut self.cloud_run,
            Some(port) => match self.stations.get_mut(port) {
                Some(station) => &mut station.run,
                // A job may end after its board was unplugged, or undo what a board did that is not here.
                None => &mut self.stations.entry(port.to_owned()).or_insert_with(|| absent(port)).run,
            },
        };
        match (begun, slot) {
            (Some(begun), slot) => *slot = Some(begun),
            (None, Some(run)) => run.apply(event, at),
            (None, None) => {}
        }
    }

    /// A missing player is told once, in the log: nobody is to be held up by it.
    fn played(&mut self, problem: Option<Problem>) {
        if let (Some(problem), None) = (&problem, &self.no_sound) {
            self.notice(Weight::Info, None, problem.sentence.clone(), Some(problem.clone()));
        }
        self.no_sound = problem;
    }

    fn change_run(&mut self, port: &str, change: impl FnOnce(&mut Run)) {
        if let Some(run) = self.stations.get_mut(port).and_then(|station| station.run.as_mut()) {
            change(run);
        }
    }

    fn put_away(&mut self, port: &str) {
        let Some(station) = self.stations.get_mut(port) else { return };
        if station.is_busy() {
            return;
        }
        station.run = None;
        if station.is == What::Gone {
            self.stations.remove(port);
        }
    }

    fn retired(&mut self, leftover: &Leftover) {
        if let Some(leftovers) = &mut self.leftovers {
            leftovers.retain(|other| other != leftover);
        }
        self.notice(Weight::Done, None, format!("Retired: {}", leftover_words(leftover)), None);
    }

    fn notice(&mut self, weight: Weight, port: Option<String>, text: String, problem: Option<Problem>) {
        if self.notices.len() == MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(Notice { weight, port, text, problem });
        self.notice_count += 1;
    }
}

/// How a job ended, in a sentence.
fn end_words(event: &Event) -> String {
    let Event::Finished { outcome, thing, truck, problem, .. } = event else { return String::new() };
    let who = match (thing, truck) {
        (Some(thing), _) => thing.to_string(),
        (None, Some(truck)) => format!("Truck {truck}"),
        (None, None) => "The board".to_owned(),
    };
    match (outcome, problem) {
        (JobOutcome::Passed, _) => format!("{who}: everything ordered is done"),
        (JobOutcome::Cancelled, _) => format!("{who}: the job was cancelled"),
        (JobOutcome::Failed, Some(problem)) => format!("{who}: {}", problem.sentence),
        (JobOutcome::Failed, None) => format!("{who}: the job failed"),
    }
}

/// A leftover in words.
pub fn leftover_words(leftover: &Leftover) -> String {
    match &leftover.what {
        sweep::What::Thing(name) => format!("thing {name} of job {}", leftover.job),
        sweep::What::Certificate(id) => format!("certificate {id} of job {}", leftover.job),
    }
}

/// A port that is not here, for a job that has to be shown somewhere.
fn absent(port: &str) -> Station {
    let info = PortInfo {
        port: port.to_owned(),
        guess: String::new(),
        usb_id: None,
        usb_serial: None,
        access: Access::Unavailable,
        advice: String::new(),
    };
    Station { is: What::Gone, ..Station::new(info) }
}
