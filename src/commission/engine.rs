//! Runs the steps: one after the other, the cloud's beside the board's where it can.

use std::future::Future;

use serde_json::json;
use time::OffsetDateTime;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    Bench, Finished, Kit, Order,
    events::{Event, JobOutcome, StepOutcome},
    plan,
    run::{Lane, Run, Teller, new_record, overdue},
    step::{Halt, Outcome, Step, from_value, to_value},
    steps::{
        boot::Boot, calibrate::Calibrate, flash::Flash, identify::Identify, install::Install, key::Key,
        preflight::Preflight, prove::Prove, register::Register, seal::Seal,
    },
};
use crate::{
    domain::{JobId, Problem},
    ports::{
        Cancel,
        ledger::{JobKind, JobRecord, JobState, StepEnd},
    },
};

/// Commissions a board. Tells the plan first and the end last; what ends a job badly is told there too.
pub async fn commission(
    bench: &Bench,
    order: Order,
    kit: Kit,
    events: mpsc::Sender<Event>,
    cancel: Cancel,
) -> Finished {
    let teller = Teller::new(events);
    let mut record = new_record(JobKind::Commission, order.port.clone(), json!(null));
    record.truck = Some(order.truck.clone());
    let opened = open_job(bench, &mut record, &order, &kit);
    start(bench, record, opened.map(|claim| (order, kit, claim)), teller, cancel).await
}

/// Goes on with a job that was broken off. The board may be on another port now.
pub async fn resume(
    bench: &Bench,
    job: &JobId,
    port: Option<String>,
    kit: Kit,
    events: mpsc::Sender<Event>,
    cancel: Cancel,
) -> Finished {
    let teller = Teller::new(events);
    match reopen_job(bench, job, port) {
        Ok((record, order, claim)) => start(bench, record, Ok((order, kit, claim)), teller, cancel).await,
        Err(problem) => {
            let known = bench.ledger.job(job).ok().flatten();
            let record = known.unwrap_or_else(|| JobRecord {
                job: job.clone(),
                ..new_record(JobKind::Commission, String::new(), json!(null))
            });
            start(bench, record, Err(problem), teller, cancel).await
        }
    }
}

type Claim = Box<dyn Send + Sync>;

fn open_job(bench: &Bench, record: &mut JobRecord, order: &Order, kit: &Kit) -> Result<Claim, Problem> {
    record.thing = Some(order.thing_name(&kit.site)?);
    record.order = to_value(order)?;
    if order.host_key && bench.host_keys.is_none() {
        return Err(Problem::new(
            "input.host-key",
            "Keys cannot be made on this computer",
            "Let the board make its own",
        )
        .in_terminal("leave out --host-key"));
    }
    let claim = bench.ledger.claim(&record.job)?;
    bench.ledger.open_job(record)?;
    Ok(claim)
}

fn reopen_job(bench: &Bench, job: &JobId, port: Option<String>) -> Result<(JobRecord, Order, Claim), Problem> {
    // Claimed before it is read, so that what is read stays true.
    let claim = bench.ledger.claim(job)?;
    let mut record = known_job(bench, job)?;
    if record.kind != JobKind::Commission {
        return Err(Problem::new("job.kind", "Only a commissioning can be resumed", "Give the order anew"));
    }
    if matches!(record.state, JobState::Undone | JobState::PartlyUndone | JobState::Decommissioned) {
        return Err(Problem::new("job.undone", "The job was undone, so there is nothing to resume", "Begin a new job")
            .in_terminal("`coldbench commission`"));
    }
    let order: Order = from_value(&record.order)?;
    if record.state != JobState::Passed {
        record.port = port.unwrap_or(record.port);
        (record.state, record.problem, record.ended) = (JobState::Running, None, None);
        bench.ledger.update_job(&record)?;
    }
    Ok((record, order, claim))
}

/// Reads a job that has to be there.
pub(super) fn known_job(bench: &Bench, job: &JobId) -> Result<JobRecord, Problem> {
    bench.ledger.job(job)?.ok_or_else(|| {
        Problem::new("job.unknown", format!("The record has no job {job}"), "Take the number from the list of jobs")
            .in_terminal("`coldbench jobs`, and --ledger for another record")
    })
}

/// Tells the plan, runs the job if it could be opened, and tells the end.
async fn start(
    bench: &Bench,
    record: JobRecord,
    opened: Result<(Order, Kit, Claim), Problem>,
    teller: Teller,
    cancel: Cancel,
) -> Finished {
    let began = Instant::now();
    let steps = plan::plan(&bench.ledger.steps(&record.job).unwrap_or_default());
    let relays = opened.as_ref().is_ok_and(|(order, kit, _)| order.relays_at_once(&kit.site));
    let steps = if relays { plan::through_this_computer(steps) } else { steps };
    teller
        .tell(Event::Plan {
            job: record.job.clone(),
            truck: record.truck.clone(),
            thing: record.thing.clone(),
            port: Some(record.port.clone()),
            steps,
        })
        .await;
    let (record, ended) = match opened {
        Err(problem) => (record, Err(Halt::Failed(problem))),
        Ok(_) if record.state == JobState::Passed => (record, Ok(())),
        Ok((order, kit, claim)) => {
            let run = Run::new(bench.clone(), (record, order, kit), teller.clone(), cancel, claim);
            let ended = drive(&run).await;
            let ended = close(&run, ended);
            (run.record(), ended)
        }
    };
    finish(&teller, record, ended, began).await
}

/// The job, top down.
async fn drive(run: &Run) -> Result<(), Halt> {
    advance::<Identify>(run).await?;
    advance::<Preflight>(run).await?;
    // Most of the registration needs no key, so it runs while the firmware is written.
    let (board, cloud) = tokio::join!(board_lane(run), advance::<Register>(run));
    board.and(cloud)?;
    advance::<Install>(run).await?;
    advance::<Calibrate>(run).await?;
    advance::<Prove>(run).await?;
    advance::<Seal>(run).await
}

async fn board_lane(run: &Run) -> Result<(), Halt> {
    let ended = async {
        advance::<Flash>(run).await?;
        advance::<Boot>(run).await?;
        advance::<Key>(run).await
    }
    .await;
    run.set_lane(if ended.is_ok() { Lane::KeyMade } else { Lane::Broken });
    ended
}

/// One step with its events.
async fn advance<S: Step>(run: &Run) -> Result<(), Halt> {
    let began = Instant::now();
    let step = S::NAME.as_str();
    run.teller.started(step).await;
    let ended = attempt::<S>(run).await;
    let (outcome, message, problem) = match &ended {
        Ok(outcome) => (outcome.told(), outcome.message.clone(), None),
        Err(halt) => (StepOutcome::Failed, halt.problem().sentence, Some(halt.problem())),
    };
    run.teller.ended((step, began), outcome, message, problem).await;
    ended.map(drop)
}

/// One step with its record: the intent before, the end after.
async fn attempt<S: Step>(run: &Run) -> Result<Outcome<S::Output>, Halt> {
    let (job, name) = (run.job(), S::NAME.as_str());
    let ledger = &run.bench.ledger;
    if let Some(held) = bounded::<S, _>(run, S::check(run)).await? {
        // What was recorded when it was done tells more than that it still holds.
        if run.earlier::<S>()?.is_none() {
            ledger.begin_step(&job, name, &S::intent(run))?;
            ledger.end_step(&job, name, &held.recorded()?)?;
        }
        return Ok(held);
    }
    ledger.begin_step(&job, name, &S::intent(run))?;
    let ended = bounded::<S, _>(run, S::run(run)).await;
    let recorded = match &ended {
        Ok(outcome) => outcome.recorded()?,
        Err(halt) => StepEnd::Failed { problem: halt.problem() },
    };
    ledger.end_step(&job, name, &recorded)?;
    ended
}

/// Ends a wait when its time is over or the job is cancelled.
async fn bounded<S: Step, T>(run: &Run, work: impl Future<Output = Result<T, Halt>>) -> Result<T, Halt> {
    let limit = S::limit(run);
    let cancelled = async {
        run.cancel.cancelled().await;
        sleep(S::CANCEL_GRACE).await;
    };
    tokio::select! {
        biased;
        ended = timeout(limit, work) => match ended {
            Ok(Err(_)) if run.cancel.is_cancelled() => Err(Halt::Cancelled),
            Ok(ended) => ended,
            Err(_) => Err(Halt::Failed(overdue(S::NAME.as_str(), limit))),
        },
        () = cancelled => Err(Halt::Cancelled),
    }
}

/// Records how the job ended.
fn close(run: &Run, ended: Result<(), Halt>) -> Result<(), Halt> {
    let (state, problem) = match &ended {
        Ok(()) => (JobState::Passed, None),
        Err(Halt::Cancelled) => (JobState::Cancelled, None),
        Err(Halt::Failed(problem)) => (JobState::Failed, Some(problem.clone())),
    };
    let closed = run.change(|record| {
        (record.state, record.problem, record.ended) = (state, problem, Some(OffsetDateTime::now_utc()));
    });
    // A job that failed keeps its own problem; one that passed has not, until the record says so.
    match closed {
        Err(error) if ended.is_ok() => Err(error.into()),
        _ => ended,
    }
}

async fn finish(teller: &Teller, record: JobRecord, ended: Result<(), Halt>, began: Instant) -> Finished {
    let (outcome, problem) = match ended {
        Ok(()) => (JobOutcome::Passed, None),
        Err(Halt::Cancelled) => (JobOutcome::Cancelled, None),
        Err(Halt::Failed(problem)) => (JobOutcome::Failed, Some(problem)),
    };
    let finished = Finished {
        job: record.job,
        outcome,
        thing: record.thing,
        truck: record.truck,
        mac: record.mac,
        problem,
        leftovers: record.leftovers,
    };
    tell_finished(teller, &finished, began).await;
    finished
}

/// Tells the last event of a job.
pub(super) async fn tell_finished(teller: &Teller, finished: &Finished, began: Instant) {
    let Finished { job, outcome, thing, truck, mac, problem, leftovers } = finished.clone();
    let seconds = began.elapsed().as_secs_f64();
    teller.tell(Event::Finished { job, outcome, thing, truck, mac, problem, leftovers, seconds }).await;
}
