//! What a board is, from what it says and what the record says. Pure.

use super::station::What;
use crate::{
    commission::plan::{self, StepName},
    domain::{
        Mac, ThingName,
        thing::{MAC_ATTRIBUTE, TRUCK_ATTRIBUTE, Thing},
    },
    ports::{
        board::Found,
        ledger::{JobKind, JobRecord, JobState, StepRecord},
    },
};

/// What is known without asking the cloud.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Recognised {
    /// It is clear.
    Known(What),
    /// The board holds an identity that the record does not know.
    AskCloud(String),
}

/// The last commissioning of a board.
pub(super) fn last_job(jobs: &[JobRecord], mac: Mac) -> Option<&JobRecord> {
    jobs.iter().find(|job| job.kind == JobKind::Commission && job.mac == Some(mac))
}

/// Recognises a board by its last job, if it has one.
pub(super) fn recognise(found: &Found, last: Option<(&JobRecord, &[StepRecord])>) -> Recognised {
    if let Some((job, steps)) = last {
        match job.state {
            JobState::Running | JobState::Failed | JobState::Cancelled => {
                let plan = plan::plan(steps);
                let step_number = plan.iter().position(|step| !step.done).unwrap_or(plan.len() - 1) + 1;
                let of = StepName::ALL.len();
                return Recognised::Known(What::HalfDone { job: job.job.clone(), step_number, of });
            }
            JobState::Passed => {
                if let Some(thing) = job.thing.clone().filter(|thing| says_so(found, thing)) {
                    return Recognised::Known(What::Commissioned { thing, truck: job.truck.clone() });
                }
            }
            JobState::Undone | JobState::PartlyUndone | JobState::Decommissioned => {}
        }
    }
    match found {
        Found::Running { hello } => match &hello.thing_name {
            Some(name) => Recognised::AskCloud(name.clone()),
            None => Recognised::Known(What::New),
        },
        Found::Loader { .. } => Recognised::Known(What::New),
    }
}

/// What the cloud's answer makes of it.
pub(super) fn by_cloud(name: &str, mac: Mac, thing: Option<&Thing>) -> What {
    match thing {
        Some(thing) if thing.attributes.get(MAC_ATTRIBUTE).is_none_or(|known| *known == mac.to_string()) => {
            let truck = thing.attributes.get(TRUCK_ATTRIBUTE).and_then(|truck| truck.parse().ok());
            What::Commissioned { thing: thing.name.clone(), truck }
        }
        _ => What::AnotherDepot { thing: name.to_owned() },
    }
}

/// A board in its loader says nothing of its thing: then the record is believed.
fn says_so(found: &Found, thing: &ThingName) -> bool {
    match found {
        Found::Running { hello } => hello.thing_name.as_deref() == Some(thing.as_str()),
        Found::Loader { .. } => true,
    }
}
