//! A job while it runs: the record, the board, the events, the outputs of steps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, watch},
    time::{Duration, Instant, timeout},
};

use super::{
    Bench, Kit, Order, Place,
    events::{Event, Sensed, StepOutcome, Unit},
    plan::StepName,
    step::{Halt, Step, from_value, halt, to_value},
};
use crate::{
    domain::{JobId, Problem},
    ports::{
        Cancel,
        board::{Board, BoardError},
        keys::HostKey,
        ledger::{JobKind, JobRecord, JobState, LedgerError, StepEnd, StepRecord},
    },
};

/// How long a front end may leave an event in the queue before it is taken to be gone.
const LISTENER_PATIENCE: Duration = Duration::from_secs(120);

/// Tells events. A front end that went away does not stop a job.
#[derive(Clone)]
pub(super) struct Teller {
    events: mpsc::Sender<Event>,
}

impl Teller {
    pub fn new(events: mpsc::Sender<Event>) -> Self {
        Teller { events }
    }

    /// Tells what must not be lost.
    pub async fn tell(&self, event: Event) {
        let _ = timeout(LISTENER_PATIENCE, self.events.send(event)).await;
    }

    /// Tells how far a step is; dropped when the receiver is slow.
    pub fn progress(&self, step: StepName, (done, total, unit): (u64, u64, Unit), message: impl Into<String>) {
        let event = Event::Progress { step: step.to_string(), done, total, unit, message: message.into() };
        let _ = self.events.try_send(event);
    }

    /// Tells what the sensors say; dropped when the receiver is slow.
    pub fn sensed(&self, step: StepName, sensed: Sensed) {
        let _ = self.events.try_send(Event::Sensed { step: step.to_string(), sensed });
    }

    /// Tells that a step begins.
    pub async fn started(&self, step: &str) {
        self.tell(Event::StepStarted { step: step.to_owned(), at: OffsetDateTime::now_utc() }).await;
    }

    /// Tells how a step that began then has ended.
    pub async fn ended(
        &self,
        (step, began): (&str, Instant),
        outcome: StepOutcome,
        message: impl Into<String>,
        problem: Option<Problem>,
    ) {
        let seconds = began.elapsed().as_secs_f64();
        let (step, message) = (step.to_owned(), message.into());
        self.tell(Event::StepFinished { step, outcome, message, seconds, problem }).await;
    }

    pub async fn note(&self, step: &str, message: impl Into<String>) {
        self.tell(Event::Note { step: step.to_owned(), message: message.into() }).await;
    }
}

/// A commissioning job while it runs.
pub(super) struct Run {
    pub bench: Bench,
    pub order: Order,
    pub kit: Kit,
    pub teller: Teller,
    pub cancel: Cancel,
    record: Mutex<JobRecord>,
    line: Line,
    /// A key made on this computer, until it is on the board. It is nowhere else.
    pub host_key: Mutex<Option<HostKey>>,
    /// Whether the board's lane has brought a key, or never will.
    lane: watch::Sender<Lane>,
    /// Holds the job for this process.
    _claim: Box<dyn Send + Sync>,
}

/// How far the lane that works at the board is, for the lane that works in the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Working,
    KeyMade,
    Broken,
}

impl Run {
    pub fn new(
        bench: Bench,
        (record, order, kit): (JobRecord, Order, Kit),
        teller: Teller,
        cancel: Cancel,
        claim: Box<dyn Send + Sync>,
    ) -> Self {
        let line = Line::new(&bench, Place { port: record.port.clone(), open: kit.open });
        Run {
            bench,
            order,
            kit,
            teller,
            cancel,
            record: Mutex::new(record),
            line,
            host_key: Mutex::new(None),
            lane: watch::Sender::new(Lane::Working),
            _claim: claim,
        }
    }

    pub fn job(&self) -> JobId {
        self.record().job.clone()
    }

    /// A copy of the record as it stands.
    pub fn record(&self) -> JobRecord {
        lock(&self.record).clone()
    }

    /// Changes the record, on the disk first.
    pub fn change(&self, change: impl FnOnce(&mut JobRecord)) -> Result<(), LedgerError> {
        let mut record = lock(&self.record);
        let mut changed = record.clone();
        change(&mut changed);
        if changed != *record {
            self.bench.ledger.update_job(&changed)?;
            *record = changed;
        }
        Ok(())
    }

    /// The board, opened when it is not yet.
    pub async fn board(&self) -> Result<Arc<dyn Board>, BoardError> {
        self.line.board().await
    }

    /// The output of a step that has ended well, also in an earlier run of the job.
    pub fn earlier<S: Step>(&self) -> Result<Option<S::Output>, Halt> {
        let step = self.step(S::NAME)?;
        match step.and_then(|step| step.end) {
            Some(StepEnd::Done { output } | StepEnd::Warning { output, .. } | StepEnd::Skipped { output, .. }) => {
                Ok(Some(from_value(&output)?))
            }
            _ => Ok(None),
        }
    }

    /// The output of a step that has to be there.
    pub fn output<S: Step>(&self) -> Result<S::Output, Halt> {
        match self.earlier::<S>()? {
            Some(output) => Ok(output),
            None => halt("job.order", format!("The step {} has not ended", S::NAME), "Resume the job"),
        }
    }

    /// What is recorded of a step.
    pub fn step(&self, name: StepName) -> Result<Option<StepRecord>, LedgerError> {
        let steps = self.bench.ledger.steps(&self.job())?;
        Ok(steps.into_iter().find(|step| step.step == name.as_str()))
    }

    /// Records what a running step must not forget.
    pub fn note(&self, name: StepName, key: &str, value: &impl Serialize) -> Result<(), Halt> {
        let value: Value = to_value(value)?;
        Ok(self.bench.ledger.note_step(&self.job(), name.as_str(), key, &value)?)
    }

    /// What a step noted, in this run or an earlier one.
    pub fn noted<T: serde::de::DeserializeOwned>(&self, name: StepName, key: &str) -> Result<Option<T>, Halt> {
        let step = self.step(name)?;
        let note = step.as_ref().and_then(|step| step.notes.get(key));
        Ok(note.map(from_value).transpose()?)
    }

    /// Says how far the board's lane is.
    pub fn set_lane(&self, lane: Lane) {
        self.lane.send_replace(lane);
    }

    /// Waits until the board's lane has brought a key.
    pub async fn key_made(&self) -> Result<(), Halt> {
        let mut lane = self.lane.subscribe();
        let state = lane.wait_for(|lane| *lane != Lane::Working).await.map_or(Lane::Broken, |lane| *lane);
        match state {
            Lane::KeyMade => Ok(()),
            Lane::Working | Lane::Broken => halt(
                "job.no-key",
                "The board's key is missing, because an earlier step failed",
                "Mend what the earlier step names, then resume the job",
            ),
        }
    }
}

/// A place where a board is, opened at the first use.
pub(super) struct Line {
    bench: Bench,
    place: Place,
    board: AsyncMutex<Option<Arc<dyn Board>>>,
}

impl Line {
    pub fn new(bench: &Bench, place: Place) -> Self {
        Line { bench: bench.clone(), place, board: AsyncMutex::new(None) }
    }

    pub async fn board(&self) -> Result<Arc<dyn Board>, BoardError> {
        let mut board = self.board.lock().await;
        if let Some(board) = &*board {
            return Ok(board.clone());
        }
        let opened: Arc<dyn Board> = self.bench.boards.open(&self.place.port, self.place.open).await?.into();
        *board = Some(opened.clone());
        Ok(opened)
    }
}

/// A job as it is opened in the ledger.
pub(super) fn new_record(kind: JobKind, port: String, order: Value) -> JobRecord {
    JobRecord {
        job: JobId::generate(),
        kind,
        state: JobState::Running,
        truck: None,
        thing: None,
        mac: None,
        port,
        order,
        began: OffsetDateTime::now_utc(),
        ended: None,
        problem: None,
        leftovers: Vec::new(),
    }
}

/// A job that panicked has nothing to lock any more; the others go on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A wait that a port did not end.
pub(super) fn overdue(step: &str, limit: Duration) -> Problem {
    Problem::new(
        "job.overdue",
        format!("The step {step} did not end within {} s", limit.as_secs()),
        "Check cables and network, then resume the job",
    )
}
