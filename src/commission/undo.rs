//! Takes a job back, step by step in reverse. What could not be taken back is reported with its id.

use std::sync::Arc;

use tokio::{
    sync::{OnceCell, mpsc},
    time::{Duration, Instant, timeout},
};

use super::{
    Bench, Finished, Place,
    engine::{known_job, tell_finished},
    events::{Event, JobOutcome, PlannedStep, StepOutcome},
    plan::StepName,
    retire::{self, CertificateKey},
    run::{Line, Teller, new_record, overdue},
    step::from_value,
    steps::{ask, calibrate, key, register},
};
use crate::{
    domain::{Calibration, GroupName, JobId, Mac, PolicyName, Problem, ThingName},
    ports::{
        Cancel,
        board::{Board, Found},
        cloud::CloudError,
        ledger::{JobKind, JobRecord, JobState, StepEnd, StepRecord},
    },
};

/// How long taking back one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(180);

/// Takes a job back, also a proven one: somebody may have typed the wrong truck. Its sealed record stays as it was
/// signed. The cloud's part is done also without the board. Without a place the job's own port is tried.
pub async fn undo(
    bench: &Bench,
    job: &JobId,
    place: Option<Place>,
    events: mpsc::Sender<Event>,
    cancel: Cancel,
) -> Finished {
    let (began, teller) = (Instant::now(), Teller::new(events));
    let opened = open(bench, job);
    let record = match &opened {
        Ok((record, ..)) => record.clone(),
        Err(_) => bench.ledger.job(job).ok().flatten().unwrap_or_else(|| JobRecord {
            job: job.clone(),
            ..new_record(JobKind::Commission, String::new(), serde_json::Value::Null)
        }),
    };
    let steps = opened.as_ref().map_or(&[][..], |(_, steps, _)| steps);
    teller
        .tell(Event::Plan {
            job: record.job.clone(),
            truck: record.truck.clone(),
            thing: record.thing.clone(),
            port: Some(record.port.clone()),
            steps: steps.iter().map(planned).collect(),
        })
        .await;
    let (record, ended) = match opened {
        Err(problem) => (record, Err(problem)),
        Ok((record, steps, _claim)) => {
            let place = place.unwrap_or_else(|| Place { port: record.port.clone(), open: Default::default() });
            let taken = Undo { bench, record: &record, line: Line::new(bench, place), board: OnceCell::new() };
            let (record, ended) = taken.all(&teller, &steps, &cancel).await;
            let kept = bench.ledger.update_job(&record).map_err(Problem::from);
            (record, ended.and(kept))
        }
    };
    let cancelled = cancel.is_cancelled() && ended.is_err();
    let finished = Finished {
        job: record.job,
        outcome: match &ended {
            Ok(()) => JobOutcome::Passed,
            Err(_) if cancelled => JobOutcome::Cancelled,
            Err(_) => JobOutcome::Failed,
        },
        thing: record.thing,
        truck: record.truck,
        mac: record.mac,
        problem: ended.err(),
        leftovers: record.leftovers,
    };
    tell_finished(&teller, &finished, began).await;
    finished
}

type Opened = (JobRecord, Vec<StepRecord>, Box<dyn Send + Sync>);

/// The job and its steps, last first.
fn open(bench: &Bench, job: &JobId) -> Result<Opened, Problem> {
    let claim = bench.ledger.claim(job)?;
    let record = known_job(bench, job)?;
    let mut steps = bench.ledger.steps(job)?;
    if record.state == JobState::Decommissioned {
        return Err(Problem::new(
            "job.decommissioned",
            "The job's thing was decommissioned already",
            "Nothing needs to be done",
        ));
    }
    if record.kind != JobKind::Commission {
        return Err(Problem::new("job.kind", "Only a commissioning can be undone", "Nothing needs to be done"));
    }
    let place_of = |step: &StepRecord| StepName::ALL.iter().position(|name| name.as_str() == step.step);
    steps.sort_by_key(|step| std::cmp::Reverse(place_of(step)));
    Ok((record, steps, claim))
}

fn planned(step: &StepRecord) -> PlannedStep {
    let done = matches!(&step.end, Some(StepEnd::Undone { leftovers }) if leftovers.is_empty());
    PlannedStep { step: step.step.clone(), title: format!("Take back {}", step.step), done }
}

/// A job while it is taken back.
struct Undo<'job> {
    bench: &'job Bench,
    record: &'job JobRecord,
    line: Line,
    /// The job's board with its firmware running; an error is remembered, so that an absent board is waited for once.
    board: OnceCell<Result<Arc<dyn Board>, Problem>>,
}

/// What taking back a step did, and what it left.
#[derive(Default)]
struct Taken {
    messages: Vec<String>,
    leftovers: Vec<String>,
}

impl Taken {
    fn say(&mut self, message: impl Into<String>) {
        self.messages.push(message.into());
    }

    /// Remembers what an operation could not take back.
    fn check<E: Into<Problem>>(&mut self, what: impl Into<String>, result: Result<(), E>) {
        let what = what.into();
        match result {
            Ok(()) => self.messages.push(format!("{what} gone")),
            Err(error) => self.leftovers.push(format!("{what}: {}", error.into())),
        }
    }
}

impl Undo<'_> {
    async fn all(&self, teller: &Teller, steps: &[StepRecord], cancel: &Cancel) -> (JobRecord, Result<(), Problem>) {
        let mut record = self.record.clone();
        record.leftovers.clear();
        for step in steps {
            let began = Instant::now();
            teller.started(&step.step).await;
            let taken = tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    let problem = Problem::new("job.cancelled", "The undo was cancelled", "Undo the job again");
                    teller.ended((&step.step, began), StepOutcome::Failed, "", Some(problem.clone())).await;
                    return (self.record.clone(), Err(problem));
                }
                taken = timeout(STEP_LIMIT, self.step(step)) => taken.unwrap_or_else(|_| Taken {
                    leftovers: vec![format!("{}: {}", step.step, overdue(&step.step, STEP_LIMIT))],
                    ..Taken::default()
                }),
            };
            let end = StepEnd::Undone { leftovers: taken.leftovers.clone() };
            if let Err(error) = self.bench.ledger.end_step(&record.job, &step.step, &end) {
                let problem = Problem::from(error);
                teller.ended((&step.step, began), StepOutcome::Failed, "", Some(problem.clone())).await;
                return (self.record.clone(), Err(problem));
            }
            let outcome = if taken.leftovers.is_empty() { StepOutcome::Undone } else { StepOutcome::Warning };
            let words = taken.messages.iter().chain(&taken.leftovers).cloned().collect::<Vec<_>>().join("; ");
            teller.ended((&step.step, began), outcome, words, None).await;
            record.leftovers.extend(taken.leftovers);
        }
        record.leftovers.sort();
        record.leftovers.dedup();
        record.ended = Some(time::OffsetDateTime::now_utc());
        if record.leftovers.is_empty() {
            (record.state, record.problem) = (JobState::Undone, None);
            return (record, Ok(()));
        }
        record.state = JobState::PartlyUndone;
        let problem = Problem::new(
            "undo.leftovers",
            format!("{} things could not be taken back", record.leftovers.len()),
            "Undo the job again with the board plugged in, or find the leftovers in the cloud",
        )
        .in_terminal("`coldbench sweep`");
        record.problem = Some(problem.clone());
        (record, Err(problem))
    }

    async fn step(&self, step: &StepRecord) -> Taken {
        let mut taken = Taken::default();
        if step.step == StepName::Calibrate.as_str() {
            self.calibration(step, &mut taken).await;
        } else if step.step == StepName::Register.as_str() {
            self.registration(step, &mut taken).await;
        } else if step.step == StepName::Key.as_str() && step.notes.contains_key(key::MADE) {
            // Key and identity are erased together, so installing needs no undo of its own.
            self.credentials(&mut taken).await;
        } else if step.step == StepName::Flash.as_str() {
            taken.say("the firmware stays; it holds nothing of the truck");
        }
        if taken.messages.is_empty() && taken.leftovers.is_empty() {
            taken.say("nothing to take back");
        }
        taken
    }

    /// The job's board, running its firmware.
    async fn board(&self) -> Result<Arc<dyn Board>, Problem> {
        let found = self.board.get_or_init(|| async {
            let board = self.line.board().await?;
            match board.identify().await? {
                Found::Running { hello } if Some(hello.mac) == self.record.mac => Ok(board),
                Found::Running { hello } => Err(Problem::new(
                    "board.other",
                    format!("The board on this port is {}, not the job's", hello.mac),
                    "Plug in the board the job was begun with",
                )),
                Found::Loader { .. } => Err(Problem::new(
                    "board.no-firmware",
                    "The board has no firmware that could be asked",
                    "Flash the board, then undo the job again",
                )),
            }
        });
        found.await.clone()
    }

    async fn calibration(&self, step: &StepRecord, taken: &mut Taken) {
        let previous = step.notes.get(calibrate::PREVIOUS).map(from_value::<Calibration>);
        let result = match previous {
            None => return,
            Some(Err(problem)) => Err(problem),
            Some(Ok(previous)) => self.restore(previous).await,
        };
        taken.check(format!("calibration of the board {}", self.mac()), result);
    }

    async fn restore(&self, previous: Calibration) -> Result<(), Problem> {
        let board = self.board().await?;
        if ask::calibration(&*board).await?.job == self.record.job.as_str() {
            ask::set_calibration(&*board, previous).await?;
        }
        Ok(())
    }

    async fn credentials(&self, taken: &mut Taken) {
        let result = async {
            let board = self.board().await?;
            Ok::<_, Problem>(ask::erase_credentials(&*board).await?)
        };
        taken.check(format!("credentials on the board {}", self.mac()), result.await);
    }

    /// Only what this job made; what others may use by now stays.
    async fn registration(&self, step: &StepRecord, taken: &mut Taken) {
        let cloud = &*self.bench.cloud;
        match self.certificates(step).await {
            Err(problem) => taken.leftovers.push(format!("certificates of the job {}: {problem}", self.record.job)),
            Ok(keys) => {
                for key in keys {
                    let retired = retire::certificate(cloud, &key).await;
                    taken.check(format!("certificate {}", key.id), retired);
                }
            }
        }
        if let Some(thing) = noted::<ThingName>(step, register::THING) {
            taken.check(format!("thing {thing}"), self.thing(&thing).await);
        } else if let (Some(group), Some(thing)) = (noted::<GroupName>(step, register::MEMBER), &self.record.thing) {
            let removed = retire::gone_is_fine(cloud.remove_from_group(thing, &group).await);
            taken.check(format!("membership of {thing} in {group}"), removed);
        }
        self.policy(step, taken).await;
        self.group(step, taken).await;
        if step.notes.contains_key(register::THING_TYPE) {
            taken.say("the thing type stays, types are shared");
        }
    }

    async fn policy(&self, step: &StepRecord, taken: &mut Taken) {
        let cloud = &*self.bench.cloud;
        let Some(policy) = noted::<PolicyName>(step, register::POLICY) else { return };
        match cloud.made_policy(&self.record.job, &policy).await {
            Ok(false) => {}
            Ok(true) => match cloud.delete_policy(&policy).await {
                Err(CloudError::Conflict { .. }) => taken.say(format!("policy {policy} stays, it is in use")),
                other => taken.check(format!("policy {policy}"), retire::gone_is_fine(other)),
            },
            Err(error) => taken.check(format!("policy {policy}"), Err(error)),
        }
    }

    async fn group(&self, step: &StepRecord, taken: &mut Taken) {
        let cloud = &*self.bench.cloud;
        let Some(group) = noted::<GroupName>(step, register::GROUP) else { return };
        let free = async { Ok(cloud.made_group(&self.record.job, &group).await? && !self.is_used(&group).await?) };
        match free.await {
            Ok(false) => taken.say(format!("group {group} stays, it is another job's or in use")),
            Ok(true) => {
                let deleted = retire::gone_is_fine(cloud.delete_group(&group).await);
                taken.check(format!("group {group}"), deleted);
            }
            Err(error) => taken.check::<CloudError>(format!("group {group}"), Err(error)),
        }
    }

    /// The certificates that this job made, also those whose answer was lost.
    async fn certificates(&self, step: &StepRecord) -> Result<Vec<CertificateKey>, Problem> {
        let mut keys: Vec<CertificateKey> = noted(step, register::CERTIFICATE).into_iter().collect();
        if step.notes.contains_key(register::CERTIFICATE_ASKED) {
            let made = register::made_by(&*self.bench.cloud, &self.record.job, self.record.began).await?;
            let others = made.iter().map(CertificateKey::from).filter(|key| !keys.contains(key)).collect::<Vec<_>>();
            keys.extend(others);
        }
        Ok(keys)
    }

    /// Deletes the thing if it still is this job's.
    async fn thing(&self, name: &ThingName) -> Result<(), CloudError> {
        match self.bench.cloud.thing(name).await? {
            Some(thing) if thing.job().as_ref() == Some(&self.record.job) => {
                retire::thing(&*self.bench.cloud, name).await
            }
            _ => Ok(()),
        }
    }

    /// Deleting a group would silently take other things out of it.
    async fn is_used(&self, group: &GroupName) -> Result<bool, CloudError> {
        for thing in self.bench.cloud.things_of_jobs(None).await? {
            if retire::gone_is_fine(self.bench.cloud.groups_of(&thing.name).await)?.contains(group) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn mac(&self) -> String {
        self.record.mac.map_or("of the job".to_owned(), |mac: Mac| mac.to_string())
    }
}

fn noted<T: serde::de::DeserializeOwned>(step: &StepRecord, key: &str) -> Option<T> {
    step.notes.get(key).and_then(|value| from_value(value).ok())
}
