//! Retires a commissioned thing: out of the cloud, and its credentials off the board when the board is there.

use std::future::Future;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, timeout},
};

use super::{
    Bench, Finished, Place,
    engine::tell_finished,
    events::{Event, JobOutcome, PlannedStep, StepOutcome},
    retire,
    run::{Line, Teller, new_record, overdue},
    step::Halt,
    steps::ask,
};
use crate::{
    domain::{
        Problem, ThingName,
        thing::{MAC_ATTRIBUTE, TRUCK_ATTRIBUTE, Thing},
    },
    ports::{
        Cancel,
        board::Found,
        ledger::{JobKind, JobRecord, JobState, StepEnd},
    },
};

/// How long one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(180);
const LOOK: &str = "look";
const RETIRE: &str = "retire";
const ERASE: &str = "erase";

/// Retires a thing that a job made. With a place, the board there loses its credentials too.
pub async fn decommission(
    bench: &Bench,
    thing: &ThingName,
    place: Option<Place>,
    events: mpsc::Sender<Event>,
    cancel: Cancel,
) -> Finished {
    let (began, teller) = (Instant::now(), Teller::new(events));
    let port = place.as_ref().map(|place| place.port.clone());
    let order = json!({ "thing": thing });
    let mut record = new_record(JobKind::Decommission, port.clone().unwrap_or_default(), order);
    record.thing = Some(thing.clone());
    let plan = Event::Plan {
        job: record.job.clone(),
        truck: None,
        thing: Some(thing.clone()),
        port,
        steps: plan(place.is_some()),
    };
    teller.tell(plan).await;
    let ended = Decommission { bench, thing, teller: &teller, cancel: &cancel }.all(&mut record, place).await;
    let (outcome, problem) = match ended {
        Ok(()) => (JobOutcome::Passed, None),
        Err(Halt::Cancelled) => (JobOutcome::Cancelled, None),
        Err(Halt::Failed(problem)) => (JobOutcome::Failed, Some(problem)),
    };
    let JobRecord { job, thing, truck, mac, leftovers, .. } = record;
    let finished = Finished { job, outcome, thing, truck, mac, problem, leftovers };
    tell_finished(&teller, &finished, began).await;
    finished
}

fn plan(with_board: bool) -> Vec<PlannedStep> {
    let steps = [
        (LOOK, "Look the thing up"),
        (RETIRE, "Retire certificate and thing in the cloud"),
        (ERASE, "Erase the credentials on the board"),
    ];
    let wanted = steps.into_iter().filter(|(step, _)| with_board || *step != ERASE);
    wanted.map(|(step, title)| PlannedStep { step: step.into(), title: title.into(), done: false }).collect()
}

struct Decommission<'job> {
    bench: &'job Bench,
    thing: &'job ThingName,
    teller: &'job Teller,
    cancel: &'job Cancel,
}

impl Decommission<'_> {
    async fn all(&self, record: &mut JobRecord, place: Option<Place>) -> Result<(), Halt> {
        let ledger = &self.bench.ledger;
        let _claim = ledger.claim(&record.job)?;
        ledger.open_job(record)?;
        let ended = self.steps(record, place).await;
        record.ended = Some(OffsetDateTime::now_utc());
        (record.state, record.problem) = match &ended {
            Ok(()) => (JobState::Passed, None),
            Err(Halt::Cancelled) => (JobState::Cancelled, None),
            Err(Halt::Failed(problem)) => (JobState::Failed, Some(problem.clone())),
        };
        let closed = ledger.update_job(record);
        ended?;
        Ok(closed?)
    }

    async fn steps(&self, record: &mut JobRecord, place: Option<Place>) -> Result<(), Halt> {
        let found = self.told(record, LOOK, self.look()).await?;
        let attribute = |name| found.as_ref().and_then(|thing| thing.attributes.get(name));
        record.mac = attribute(MAC_ATTRIBUTE).and_then(|mac| mac.parse().ok());
        record.truck = attribute(TRUCK_ATTRIBUTE).and_then(|truck| truck.parse().ok());
        self.bench.ledger.update_job(record)?;
        self.told(record, RETIRE, self.retire(found.is_some())).await?;
        let Some(place) = place else {
            let words = "The board keeps its credentials, which are of no use any more";
            self.teller.note(RETIRE, words).await;
            return Ok(());
        };
        let erased = self.told(record, ERASE, self.erase(place)).await;
        if let Err(Halt::Failed(_)) = &erased {
            record.leftovers.push(format!("credentials of {} on its board", self.thing));
        }
        erased.map(drop)
    }

    /// One step with its record and its events.
    async fn told<T>(
        &self,
        record: &JobRecord,
        step: &str,
        work: impl Future<Output = Result<(T, String), Halt>>,
    ) -> Result<T, Halt> {
        let began = Instant::now();
        self.teller.started(step).await;
        self.bench.ledger.begin_step(&record.job, step, &json!({ "thing": self.thing }))?;
        let ended = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Halt::Cancelled),
            ended = timeout(STEP_LIMIT, work) => {
                ended.unwrap_or_else(|_| Err(Halt::Failed(overdue(step, STEP_LIMIT))))
            }
        };
        let (end, outcome, message, problem) = match &ended {
            Ok((_, message)) => (StepEnd::Done { output: Value::Null }, StepOutcome::Done, message.clone(), None),
            Err(halt) => {
                let problem = halt.problem();
                let sentence = problem.sentence.clone();
                (StepEnd::Failed { problem: problem.clone() }, StepOutcome::Failed, sentence, Some(problem))
            }
        };
        self.bench.ledger.end_step(&record.job, step, &end)?;
        self.teller.ended((step, began), outcome, message, problem).await;
        ended.map(|(output, _)| output)
    }

    /// The thing, if it is ours; `None` when the cloud has it no more but the record knows it.
    async fn look(&self) -> Result<(Option<Thing>, String), Halt> {
        match self.bench.cloud.thing(self.thing).await? {
            Some(thing) if thing.job().is_some() => Ok((Some(thing), format!("{} is there", self.thing))),
            Some(_) => Err(Halt::Failed(Problem::new(
                "thing.not-ours",
                format!("The thing {} was not made by Coldbench", self.thing),
                "Retire it where it was made",
            ))),
            None if self.jobs()?.is_empty() => Err(Halt::Failed(
                Problem::new(
                    "thing.unknown",
                    format!("There is no thing {}", self.thing),
                    "Check the name in the list of jobs, and the region of the site profile",
                )
                .in_terminal("`coldbench jobs`"),
            )),
            None => Ok((None, format!("{} is gone from the cloud already", self.thing))),
        }
    }

    async fn retire(&self, is_there: bool) -> Result<((), String), Halt> {
        if is_there {
            retire::thing(&*self.bench.cloud, self.thing).await?;
        }
        for mut job in self.jobs()? {
            job.state = JobState::Decommissioned;
            self.bench.ledger.update_job(&job)?;
        }
        Ok(((), format!("{} and its certificates are retired", self.thing)))
    }

    async fn erase(&self, place: Place) -> Result<((), String), Halt> {
        let board = Line::new(self.bench, place).board().await?;
        match board.identify().await? {
            Found::Running { hello } if hello.thing_name.as_deref() == Some(self.thing.as_str()) => {
                ask::erase_credentials(&*board).await?;
                Ok(((), format!("The board {} holds no credentials any more", hello.mac)))
            }
            Found::Running { hello } if hello.thing_name.is_none() => {
                Ok(((), format!("The board {} holds no credentials", hello.mac)))
            }
            Found::Running { hello } => Err(Halt::Failed(Problem::new(
                "board.other",
                format!("The board on this port is {}, which has another identity", hello.mac),
                "Plug in the thing's own board, and decommission again",
            ))),
            Found::Loader { .. } => Err(Halt::Failed(Problem::new(
                "board.no-firmware",
                "The board has no firmware that could be asked",
                "Flash the board, and decommission again",
            ))),
        }
    }

    /// The jobs that commissioned this thing.
    fn jobs(&self) -> Result<Vec<JobRecord>, Halt> {
        let jobs = self.bench.ledger.jobs()?.into_iter();
        let is_its = |job: &JobRecord| job.kind == JobKind::Commission && job.thing.as_ref() == Some(self.thing);
        let held = |job: &JobRecord| matches!(job.state, JobState::Passed | JobState::Decommissioned);
        Ok(jobs.filter(|job| is_its(job) && held(job)).collect())
    }
}
