//! What the core tells a screen.

use std::{path::PathBuf, sync::Arc};

use serde_json::Value;
use time::OffsetDateTime;

use super::{
    live::Arrived,
    settings::Settings,
    station::{BoardFacts, What},
    truck::TruckView,
};
use crate::{
    commission::{events::Event, sweep::Leftover},
    domain::{Problem, ThingName, finding::Finding, release::Release, shadow::Shadow, site::Site, thing::Login},
    ports::{
        board::PortInfo,
        ledger::{JobRecord, StepRecord},
        operator::Question,
    },
};

/// Everything a screen can be told.
#[derive(Debug, Clone)]
pub enum Update {
    /// A port is there, or what is known of it has changed.
    Port(PortInfo),
    /// A port is there no more.
    Unplugged {
        /// The port.
        port: String,
    },
    /// What is on a port.
    Recognised {
        /// The port.
        port: String,
        /// What it is.
        is: What,
        /// The board, once it has answered.
        board: Option<BoardFacts>,
    },
    /// A reading over USB.
    Reading {
        /// The port.
        port: String,
        /// The reading.
        arrived: Box<Arrived>,
    },
    /// A job tells something.
    Job {
        /// Where it runs; `None` for a job of the cloud alone.
        port: Option<String>,
        /// When it was told, UTC.
        at: OffsetDateTime,
        /// What.
        event: Event,
    },
    /// A job asks the person at a port.
    Asked {
        /// The port.
        port: String,
        /// What.
        question: Question,
    },
    /// The question at a port is answered, or stands no more.
    Answered {
        /// The port.
        port: String,
    },
    /// The job at a port was asked to end, and has heard it.
    Cancelling {
        /// The port.
        port: String,
        /// Why.
        reason: String,
    },
    /// How the imitated truck at a port looks.
    Truck {
        /// The port.
        port: String,
        /// How.
        truck: TruckView,
    },
    /// The run at a port is put away.
    PutAway {
        /// The port.
        port: String,
    },
    /// The record, newest job first.
    Jobs(Arc<Vec<JobRecord>>),
    /// One job with its steps.
    JobOpened(Box<JobDetails>),
    /// What broken-off jobs left in the cloud.
    Leftovers(Vec<Leftover>),
    /// One of them is retired.
    Retired(Leftover),
    /// A thing is followed from now on.
    Watching {
        /// The thing.
        thing: ThingName,
    },
    /// A thing is followed no more.
    WatchEnded {
        /// The thing.
        thing: ThingName,
        /// Why, when nobody asked for it.
        problem: Option<Problem>,
    },
    /// A reading over MQTT.
    CloudReading {
        /// The thing.
        thing: ThingName,
        /// The reading.
        arrived: Box<Arrived>,
    },
    /// A shadow as it is in the cloud; `None` when the thing has none.
    Shadow {
        /// The thing.
        thing: ThingName,
        /// Its shadow.
        shadow: Option<Box<Shadow>>,
    },
    /// Somebody else changed the shadow meanwhile: both are told, nothing was changed.
    ShadowConflict {
        /// The thing.
        thing: ThingName,
        /// What was to be desired.
        mine: Value,
        /// The shadow as it is.
        theirs: Box<Shadow>,
    },
    /// The site profile that is used from now on.
    Site(Box<SiteView>),
    /// What the check of this computer found.
    Findings(Vec<Finding>),
    /// Who is signed in to the cloud.
    Login(Result<Login, Problem>),
    /// The newest version of the program, or why it is not known.
    Newest(Result<Release, Problem>),
    /// A file was written.
    FileSaved {
        /// Where.
        file: PathBuf,
    },
    /// A sound was played, or could not be.
    Played {
        /// Why it could not.
        problem: Option<Problem>,
    },
    /// The window's settings.
    Settings(Settings),
    /// Where the record is.
    LedgerFile(PathBuf),
    /// What was asked could not be done.
    Failed {
        /// The port it was about.
        port: Option<String>,
        /// What was tried, such as "Reading the shadow".
        doing: &'static str,
        /// Why it failed.
        problem: Problem,
    },
}

/// A job with its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDetails {
    /// The job.
    pub record: JobRecord,
    /// Its steps, in the order they began first.
    pub steps: Vec<StepRecord>,
}

/// The site profile in use.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteView {
    /// Its file; `None` where there is none and the built-in values are used.
    pub file: Option<PathBuf>,
    /// Its text, for the editor.
    pub text: String,
    /// What it says.
    pub site: Site,
}
