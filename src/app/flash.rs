//! Flash and verify a board, and nothing else. Told with the same events as a whole job.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    commission::{
        Finished,
        events::{Event, JobOutcome, PlannedStep, StepOutcome, Unit},
        held_baud_key,
    },
    domain::{JobId, Mac, Problem, image::Image},
    ports::{
        Cancel,
        board::{BoardError, Boards, FlashReport, OpenOptions},
        ledger::{JobKind, JobRecord, JobState, Ledger, StepEnd},
    },
};

const STEP: &str = "flash";

/// Writes an image to the board on a port, and records it.
pub async fn flash(
    boards: Arc<dyn Boards>,
    ledger: Arc<dyn Ledger>,
    (port, open): (&str, OpenOptions),
    image: &Image,
    events: &mpsc::Sender<Event>,
    cancel: &Cancel,
) -> Finished {
    let began = Instant::now();
    let mut record = new_record(port, image);
    let plan = Event::Plan {
        job: record.job.clone(),
        truck: None,
        thing: None,
        port: Some(port.to_owned()),
        steps: vec![PlannedStep { step: STEP.into(), title: "Write the firmware and verify it".into(), done: false }],
    };
    let _ = events.send(plan).await;
    let _ = events.send(Event::StepStarted { step: STEP.into(), at: OffsetDateTime::now_utc() }).await;

    let result = match begin(&*ledger, &record) {
        Ok(()) => write(&boards, &ledger, (port, open), image, events, cancel).await,
        Err(problem) => Err(Ended::Failed(problem)),
    };
    let seconds = began.elapsed().as_secs_f64();
    let (outcome, state, message, problem) = match &result {
        Ok(report) => {
            record.mac = Some(report.chip.mac);
            (JobOutcome::Passed, JobState::Passed, summary(report), None)
        }
        Err(Ended::Cancelled(problem)) => {
            (JobOutcome::Cancelled, JobState::Cancelled, problem.sentence.clone(), Some(problem.clone()))
        }
        Err(Ended::Failed(problem)) => {
            (JobOutcome::Failed, JobState::Failed, problem.sentence.clone(), Some(problem.clone()))
        }
    };
    let step_outcome = if problem.is_none() { StepOutcome::Done } else { StepOutcome::Failed };
    let finished_step =
        Event::StepFinished { step: STEP.into(), outcome: step_outcome, message, seconds, problem: problem.clone() };
    let _ = events.send(finished_step).await;
    record.state = state;
    record.problem = problem.clone();
    record.ended = Some(OffsetDateTime::now_utc());
    // The flash is what it is, whether or not its record can be written; only a success without a record is a failure.
    let (outcome, problem) = match (outcome, end(&*ledger, &record, result.ok())) {
        (JobOutcome::Passed, Err(unrecorded)) => (JobOutcome::Failed, Some(unrecorded)),
        _ => (outcome, problem),
    };
    let event = Event::Finished {
        job: record.job.clone(),
        outcome,
        thing: None,
        truck: None,
        mac: record.mac,
        problem: problem.clone(),
        leftovers: Vec::new(),
        seconds,
    };
    let _ = events.send(event).await;
    Finished { job: record.job, outcome, thing: None, truck: None, mac: record.mac, problem, leftovers: Vec::new() }
}

enum Ended {
    Cancelled(Problem),
    Failed(Problem),
}

impl From<BoardError> for Ended {
    fn from(error: BoardError) -> Self {
        match error {
            BoardError::Cancelled { .. } => Ended::Cancelled(error.into()),
            _ => Ended::Failed(error.into()),
        }
    }
}

fn new_record(port: &str, image: &Image) -> JobRecord {
    JobRecord {
        job: JobId::generate(),
        kind: JobKind::Flash,
        state: JobState::Running,
        truck: None,
        thing: None,
        mac: None,
        port: port.to_owned(),
        order: serde_json::json!({ "image_sha256": image.manifest.image_sha256, "version": image.manifest.version }),
        began: OffsetDateTime::now_utc(),
        ended: None,
        problem: None,
        leftovers: Vec::new(),
    }
}

fn begin(ledger: &dyn Ledger, record: &JobRecord) -> Result<(), Problem> {
    ledger.open_job(record)?;
    Ok(ledger.begin_step(&record.job, STEP, &record.order)?)
}

fn end(ledger: &dyn Ledger, record: &JobRecord, report: Option<FlashReport>) -> Result<(), Problem> {
    let end = match report {
        Some(report) => StepEnd::Done { output: serde_json::to_value(report).unwrap_or_default() },
        None => StepEnd::Failed {
            problem: record.problem.clone().unwrap_or_else(|| Problem::new("board.flash", "Failed", "Try again")),
        },
    };
    ledger.end_step(&record.job, STEP, &end)?;
    Ok(ledger.update_job(record)?)
}

async fn write(
    boards: &Arc<dyn Boards>,
    ledger: &Arc<dyn Ledger>,
    (port, open): (&str, OpenOptions),
    image: &Image,
    events: &mpsc::Sender<Event>,
    cancel: &Cancel,
) -> Result<FlashReport, Ended> {
    let progress = |done: crate::ports::board::FlashProgress| {
        let _ = events.try_send(Event::Progress {
            step: STEP.into(),
            done: done.done_bytes,
            total: done.total_bytes,
            unit: Unit::Bytes,
            message: done.part,
        });
    };
    let key = held_baud_key(port, None);
    let held_baud = ledger.recall(&key).ok().flatten().and_then(|baud| baud.parse().ok());
    let board = boards.open(port, open).await?;
    let report = board.flash(image, held_baud, &progress, cancel).await?;
    // Only a hint for the next time: what was flashed stays flashed.
    let _ = ledger.remember(&key, &report.baud.to_string());
    let _ = ledger.remember(&held_baud_key(port, Some(report.chip.mac)), &report.baud.to_string());
    Ok(report)
}

fn summary(report: &FlashReport) -> String {
    let mac: Mac = report.chip.mac;
    match report.written_bytes {
        0 => format!("The flash of {mac} holds this image already"),
        written => {
            let kib = written.div_ceil(1024);
            format!("{kib} KiB written and verified on {mac} at {} baud", report.baud)
        }
    }
}
