//! identify: what is on the line, and what the record already says about it. Changes nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    commission::{
        plan::StepName,
        run::Run,
        step::{Halt, Outcome, Step, halt},
    },
    domain::{JobId, Mac, ThingName, TruckId},
    ports::{board::Found, ledger::JobState},
};

/// The step.
pub struct Identify;

/// What it found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identified {
    /// What is on the line.
    pub found: Found,
    /// Earlier jobs on this board, newest first.
    pub earlier: Vec<EarlierJob>,
}

/// An earlier job on the same board.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlierJob {
    /// The job.
    pub job: JobId,
    /// Where it stands.
    pub state: JobState,
    /// Its truck.
    pub truck: Option<TruckId>,
    /// Its thing.
    pub thing: Option<ThingName>,
}

impl Step for Identify {
    type Output = Identified;
    const NAME: StepName = StepName::Identify;

    fn limit(_: &Run) -> Duration {
        Duration::from_secs(60)
    }

    fn intent(run: &Run) -> Value {
        json!({ "port": run.record().port })
    }

    async fn check(_: &Run) -> Result<Option<Outcome<Identified>>, Halt> {
        // Boards are swapped while a job rests, so it is looked at every time.
        Ok(None)
    }

    async fn run(run: &Run) -> Result<Outcome<Identified>, Halt> {
        let found = run.board().await?.identify().await?;
        let mac = found.mac();
        if let Some(known) = run.record().mac.filter(|known| *known != mac) {
            return other_board(known, mac);
        }
        run.change(|record| record.mac = Some(mac))?;
        let earlier = earlier_jobs(run, mac)?;
        let message = describe(&found, &earlier);
        Ok(Outcome::done(Identified { found, earlier }, message))
    }
}

/// Another board than the one the job began with.
pub fn other_board<T>(known: Mac, found: Mac) -> Result<T, Halt> {
    halt(
        "board.other",
        format!("The board on this port is {found}, but the job was begun with {known}"),
        "Plug in the board the job was begun with, or begin a new job for this one",
    )
}

fn earlier_jobs(run: &Run, mac: Mac) -> Result<Vec<EarlierJob>, Halt> {
    let this = run.job();
    let jobs = run.bench.ledger.jobs()?.into_iter().filter(|job| job.mac == Some(mac) && job.job != this);
    Ok(jobs.map(|job| EarlierJob { job: job.job, state: job.state, truck: job.truck, thing: job.thing }).collect())
}

fn describe(found: &Found, earlier: &[EarlierJob]) -> String {
    let (chip, mac) = (found.chip(), found.mac());
    let what = match found {
        Found::Loader { .. } => format!("{chip} {mac} in its loader"),
        Found::Running { hello } => match &hello.thing_name {
            Some(thing) => format!("{chip} {mac} with firmware {}, holding the identity of {thing}", hello.firmware),
            None => format!("{chip} {mac} with firmware {}, not commissioned", hello.firmware),
        },
    };
    let passed = earlier.iter().find(|job| job.state == JobState::Passed);
    match passed.and_then(|job| job.truck.as_ref()) {
        Some(truck) => format!("{what}; commissioned before for the truck {truck}"),
        None => what,
    }
}
