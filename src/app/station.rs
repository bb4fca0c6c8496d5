//! A board at a port: what it is, what is done to it, what it measures.

use super::{live::Live, run::Run};
use crate::{
    domain::{JobId, Mac, Problem, ThingName, TruckId},
    ports::board::{Access, Found, PortInfo},
};

/// A port with what is on it.
#[derive(Debug, Clone)]
pub struct Station {
    /// The port.
    pub port: PortInfo,
    /// What is on it.
    pub is: What,
    /// The board behind it, once it has answered.
    pub board: Option<BoardFacts>,
    /// What is done to it, or was, until somebody puts it away.
    pub run: Option<Run>,
    /// What it measures.
    pub live: Live,
}

/// What is known of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardFacts {
    /// Its MAC address.
    pub mac: Mac,
    /// Its chip.
    pub chip: String,
    /// Version of the firmware that answered; `None` when its loader did.
    pub firmware: Option<String>,
}

impl From<&Found> for BoardFacts {
    fn from(found: &Found) -> Self {
        let firmware = match found {
            Found::Running { hello } => Some(hello.firmware.clone()),
            Found::Loader { .. } => None,
        };
        BoardFacts { mac: found.mac(), chip: found.chip().to_owned(), firmware }
    }
}

/// What is on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It is being looked at.
    Looking,
    /// A board that nothing was done to.
    New,
    /// A board whose job broke off, failed or was cancelled.
    HalfDone {
        /// The job.
        job: JobId,
        /// Number of the step it stands at, from 1.
        step_number: usize,
        /// Number of steps.
        of: usize,
    },
    /// A board at its work.
    Commissioned {
        /// Its thing.
        thing: ThingName,
        /// Its truck, where it is known.
        truck: Option<TruckId>,
    },
    /// A board that holds an identity which is not in this record, nor this account.
    AnotherDepot {
        /// Its thing.
        thing: String,
    },
    /// A board that says it is a thing, which neither the record knows nor the cloud has confirmed.
    Unconfirmed {
        /// Its thing.
        thing: String,
    },
    /// The port or its board cannot be reached.
    CannotOpen(Problem),
    /// Nothing is plugged in there.
    Gone,
}

impl What {
    /// In a sentence.
    pub fn sentence(&self) -> String {
        match self {
            What::Looking => "Looking at the board…".to_owned(),
            What::New => "New board".to_owned(),
            What::HalfDone { step_number, of, .. } => format!("Half done (step {step_number} of {of})"),
            What::Commissioned { thing, truck: Some(truck) } => format!("Commissioned as {thing} in truck {truck}"),
            What::Commissioned { thing, truck: None } => format!("Commissioned as {thing}"),
            What::AnotherDepot { thing } => format!("Another depot's board, {thing}"),
            What::Unconfirmed { thing } => format!("Says it is {thing}; the cloud has not confirmed it"),
            What::CannotOpen(problem) => problem.sentence.clone(),
            What::Gone => "Not plugged in".to_owned(),
        }
    }

    /// What to do next, in a sentence.
    pub fn advice(&self) -> String {
        match self {
            What::Looking => "Wait a moment".to_owned(),
            What::New => "Scan or type the truck's number to commission it".to_owned(),
            What::HalfDone { .. } => "Resume the job, or undo it".to_owned(),
            What::Commissioned { .. } => "Nothing needs to be done".to_owned(),
            What::AnotherDepot { .. } => "Decommission it at its own depot before it is used here".to_owned(),
            What::Unconfirmed { .. } => "Sign in and check the network, then look again".to_owned(),
            What::CannotOpen(problem) => problem.advice.clone(),
            What::Gone => "Plug the board in; it is found by itself".to_owned(),
        }
    }

    /// What a port that may not be opened is; `None` when it may.
    pub fn barred(info: &PortInfo) -> Option<Self> {
        let problem = |code, what: &str, advice: &str| {
            let advice = if info.advice.is_empty() { advice } else { &info.advice };
            Some(What::CannotOpen(Problem::new(code, format!("Cannot be opened: {what}"), advice)))
        };
        match info.access {
            Access::Ok => None,
            Access::Busy => problem("port.busy", "another program uses it", "Close the other program"),
            Access::NoPermission => {
                problem("port.permission", "you have no permission", "Let serial ports be opened by you")
            }
            Access::Unavailable => Some(What::Gone),
        }
    }
}

impl Station {
    /// A port that was just plugged in.
    pub fn new(port: PortInfo) -> Self {
        Station { is: What::Looking, port, board: None, run: None, live: Live::default() }
    }

    /// Whether a job runs here now.
    pub fn is_busy(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.ended.is_none())
    }

    /// The thing of the board here, as far as it is known.
    pub fn thing(&self) -> Option<&str> {
        match &self.is {
            What::Commissioned { thing, .. } => Some(thing.as_str()),
            What::AnotherDepot { thing } | What::Unconfirmed { thing } => Some(thing),
            _ => self.run.as_ref()?.thing.as_ref().map(ThingName::as_str),
        }
    }

    /// What to say of it: what is done, else what it is.
    pub fn headline(&self) -> String {
        match &self.run {
            Some(run) => run.headline(),
            None => self.is.sentence(),
        }
    }
}
