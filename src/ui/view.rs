//! What the window itself remembers: which screen is open, what is typed, what is asked.

use std::collections::BTreeMap;

use super::{
    dialogs::{Errands, FileAsk},
    screens::{JobsView, LiveView, LogView, ShadowDraft, SiteDraft},
};
use crate::{
    app::{command::Command, live::Live, state::AppState, station::Station, update::Update},
    commission::sweep::Leftover,
    domain::{JobId, ThingName, TruckId},
};

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// The boards, one a card.
    #[default]
    Stations,
    /// The job of the chosen board.
    Run,
    /// Its readings.
    Live,
    /// Its shadow.
    Shadow,
    /// The record.
    Jobs,
    /// The site profile.
    Site,
    /// The pre-shift check.
    Check,
    /// The window's settings.
    Settings,
    /// What happened.
    Log,
}

/// What is asked in front of everything else.
#[derive(Debug, Clone, PartialEq)]
pub enum Asking {
    /// End the job at a port?
    Cancel {
        /// The port.
        port: String,
        /// Why, as typed.
        reason: String,
    },
    /// Take back what a job did?
    Undo(JobId),
    /// Retire a thing?
    Decommission(ThingName),
    /// Put the calibration of an earlier job back?
    PutBack {
        /// The job that had calibrated the board.
        job: JobId,
        /// The port of the board.
        port: String,
        /// Its truck.
        truck: TruckId,
        /// Its thing.
        thing: ThingName,
    },
    /// Retire a leftover?
    Retire(Leftover),
}

/// What a button does.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// Orders something of the core.
    Order(Command),
    /// Opens a screen.
    Go(Place),
    /// Orders something and opens a screen.
    OrderAndGo(Command, Place),
    /// Asks first.
    Ask(Asking),
    /// Asks where a file goes or comes from.
    File(FileAsk),
    /// Opens the form of what is desired of a board.
    Edit(ShadowDraft),
}

/// A button of the bar at the bottom.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Its words.
    pub words: &'static str,
    /// What it does; `None` while it is not open, and the bar's sentence says why.
    pub deed: Option<Deed>,
}

impl Action {
    /// A button that is open.
    pub fn open(words: &'static str, deed: Deed) -> Self {
        Action { words, deed: Some(deed) }
    }

    /// A button that is not open now.
    pub fn shut(words: &'static str) -> Self {
        Action { words, deed: None }
    }
}

/// The bar at the bottom: one sentence, one primary action, at most one other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bar {
    /// How things stand, or why the action is not open.
    pub sentence: String,
    /// What the screen is for.
    pub primary: Option<Action>,
    /// The other way.
    pub secondary: Option<Action>,
}

/// The guided tour of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tour {
    /// Its first card was read.
    pub is_met: bool,
}

/// What the window remembers.
#[derive(Debug, Default)]
pub struct View {
    /// The open screen.
    pub place: Place,
    /// Port of the chosen board.
    pub port: Option<String>,
    /// The truck as scanned or typed.
    pub truck: String,
    /// The truck was ended with Enter: another Enter starts the job.
    pub truck_taken: bool,
    /// Whether the next board is calibrated; `None` leaves it to the settings.
    pub calibrate: Option<bool>,
    /// The guided tour of the demo, while it is open.
    pub tour: Option<Tour>,
    /// The answers to the questions of the boards as typed, by port.
    pub answers: BTreeMap<String, String>,
    /// The step whose details are open.
    pub step: Option<usize>,
    /// How the record is searched.
    pub jobs: JobsView,
    /// The chosen job.
    pub job: Option<JobId>,
    /// What the plots show.
    pub live: LiveView,
    /// What is to be desired of a board, as typed; `None` while nothing is changed.
    pub shadow: Option<ShadowDraft>,
    /// Version of the shadow whose conflict was settled.
    pub settled: Option<u64>,
    /// The site profile as typed.
    pub site: SiteDraft,
    /// When what happened was first seen.
    pub log: LogView,
    /// The computer is being checked.
    pub checking: bool,
    /// Leftovers are being looked for.
    pub finding: bool,
    /// A newer version of the program is being asked for.
    pub asking_newest: bool,
    /// What is asked.
    pub asking: Option<Asking>,
    /// Whether to leave the technician profile is asked.
    pub leaving_profile: bool,
    /// The file that is asked for.
    pub file: Option<FileAsk>,
    /// What is done beside the screen.
    pub errands: Errands,
    /// What is ordered in this frame.
    pub orders: Vec<Command>,
}

impl View {
    /// The chosen board; the first one while none is chosen or the chosen one is gone.
    pub fn station<'a>(&self, state: &'a AppState) -> Option<&'a Station> {
        let chosen = self.port.as_ref().and_then(|port| state.stations.get(port));
        chosen.or_else(|| state.stations.values().next())
    }

    /// The thing of the chosen board.
    pub fn thing(&self, state: &AppState) -> Option<ThingName> {
        self.station(state)?.thing()?.parse().ok()
    }

    /// The readings of the chosen board.
    pub fn readings<'a>(&self, state: &'a AppState) -> Option<&'a Live> {
        Some(&self.station(state)?.live)
    }

    /// The answer to the question at a port as typed.
    pub fn answer(&self, port: &str) -> &str {
        self.answers.get(port).map_or("", |typed| typed.trim())
    }

    /// Something is asked in front of the screen, so its keys rest.
    pub fn is_asking(&self) -> bool {
        self.asking.is_some() || self.file.is_some() || self.leaving_profile
    }

    /// Does what a button says.
    pub fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Order(command) => self.order(command),
            Deed::Go(place) => self.place = place,
            Deed::OrderAndGo(command, place) => {
                self.order(command);
                self.place = place;
            }
            Deed::Ask(asking) => self.asking = Some(asking),
            Deed::File(ask) => self.file = Some(ask),
            Deed::Edit(draft) => self.shadow = Some(draft),
        }
    }

    /// Orders something; sent when the frame is over.
    pub fn order(&mut self, command: Command) {
        match &command {
            Command::Answer { port, .. } => drop(self.answers.remove(port)),
            Command::Commission { port, .. } => {
                self.truck.clear();
                (self.port, self.step, self.truck_taken) = (Some(port.clone()), None, false);
            }
            Command::Resume { port, .. } => (self.port, self.step) = (Some(port.clone()), None),
            Command::Keep { .. } | Command::Undo { .. } => self.step = None,
            _ => {}
        }
        match &command {
            Command::FindLeftovers => (self.jobs.leftovers_hidden, self.finding) = (false, true),
            Command::Doctor => self.checking = true,
            Command::LookForNewer => self.asking_newest = true,
            _ => {}
        }
        self.orders.push(command);
    }

    /// Notes what an update ends.
    pub fn hear(&mut self, update: &Update) {
        match update {
            Update::Findings(_) => self.checking = false,
            Update::Leftovers(_) => self.finding = false,
            Update::Newest(_) => self.asking_newest = false,
            Update::Failed { doing, .. } => {
                self.checking &= *doing != Command::Doctor.doing();
                self.finding &= *doing != Command::FindLeftovers.doing();
                self.asking_newest &= *doing != Command::LookForNewer.doing();
            }
            _ => {}
        }
    }
}
