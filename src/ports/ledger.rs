//! The record of jobs. Intent is written before an effect, the result after it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use time::OffsetDateTime;

use crate::domain::{JobId, Mac, Problem, ThingName, TruckId};

/// The record. Calls are short and durable when they return.
pub trait Ledger: Send + Sync {
    /// Writes a new job.
    fn open_job(&self, job: &JobRecord) -> Result<(), LedgerError>;
    /// Writes what became known of a job: state, MAC, thing, problem.
    fn update_job(&self, job: &JobRecord) -> Result<(), LedgerError>;
    /// Reads a job.
    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, LedgerError>;
    /// Reads all jobs, newest first.
    fn jobs(&self) -> Result<Vec<JobRecord>, LedgerError>;
    /// Writes the intent: this step begins.
    fn begin_step(&self, job: &JobId, step: &str, intent: &Value) -> Result<(), LedgerError>;
    /// Writes something a running step has done and must not forget, such as the id of a certificate.
    fn note_step(&self, job: &JobId, step: &str, key: &str, value: &Value) -> Result<(), LedgerError>;
    /// Writes the result of a step.
    fn end_step(&self, job: &JobId, step: &str, end: &StepEnd) -> Result<(), LedgerError>;
    /// Reads the steps of a job, in the order they began first.
    fn steps(&self, job: &JobId) -> Result<Vec<StepRecord>, LedgerError>;
    /// Remembers a small fact, such as the speed that held on a port.
    fn remember(&self, key: &str, value: &str) -> Result<(), LedgerError>;
    /// Recalls it.
    fn recall(&self, key: &str) -> Result<Option<String>, LedgerError>;
    /// Takes a job for this process, so that no other runs it meanwhile. Released by drop, or by the end of the process.
    fn claim(&self, job: &JobId) -> Result<Box<dyn Send + Sync>, LedgerError>;
}

/// A job as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its number.
    pub job: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// The truck.
    pub truck: Option<TruckId>,
    /// The thing.
    pub thing: Option<ThingName>,
    /// The board.
    pub mac: Option<Mac>,
    /// The port it was begun on.
    pub port: String,
    /// What was ordered, so that a resumed job is the same job. No secret is in it.
    pub order: Value,
    /// When it began, UTC.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// When it ended, UTC.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub ended: Option<OffsetDateTime>,
    /// Why it does not stand where it should.
    pub problem: Option<Problem>,
    /// What an undo could not retire, each with its id.
    #[serde(default)]
    pub leftovers: Vec<String>,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// From a bare board to a proven truck.
    Commission,
    /// Flash and verify only.
    Flash,
    /// Retire a thing.
    Decommission,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Running, or broken off without a word.
    Running,
    /// Proven and sealed.
    Passed,
    /// Ended with a problem; may be resumed or undone.
    Failed,
    /// Cancelled; may be resumed or undone.
    Cancelled,
    /// Undone: nothing is left.
    Undone,
    /// Undone as far as possible: leftovers are listed.
    PartlyUndone,
    /// The thing was retired later.
    Decommissioned,
}

/// A step as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub step: String,
    /// What it was about to do.
    pub intent: Value,
    /// What it noted while running, by key.
    pub notes: serde_json::Map<String, Value>,
    /// When it began last.
    #[serde(with = "time::serde::rfc3339")]
    pub began: OffsetDateTime,
    /// When it ended; `None` while running or broken off.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub ended: Option<OffsetDateTime>,
    /// How it ended.
    pub end: Option<StepEnd>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum StepEnd {
    /// As planned.
    Done {
        /// What later steps read.
        output: Value,
    },
    /// As planned, but somebody should know something.
    Warning {
        /// What later steps read.
        output: Value,
        /// What somebody should know.
        message: String,
    },
    /// Not needed.
    Skipped {
        /// What later steps read.
        output: Value,
        /// Why not.
        message: String,
    },
    /// Failed.
    Failed {
        /// Why.
        problem: Problem,
    },
    /// Undone.
    Undone {
        /// What could not be undone, with ids.
        leftovers: Vec<String>,
    },
}

/// What went wrong with the record.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// It cannot be opened.
    #[error("The record {path} cannot be opened: {why}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// It was written by a newer version of this program.
    #[error("The record {path} was written by a newer version of Coldbench")]
    Newer {
        /// The file.
        path: String,
    },
    /// Reading failed.
    #[error("The record cannot be read: {why}")]
    Read {
        /// Why.
        why: String,
    },
    /// Writing failed.
    #[error("The record cannot be written: {why}")]
    Write {
        /// Why.
        why: String,
    },
    /// The disk is full.
    #[error("The disk is full, so the record cannot be written")]
    DiskFull,
    /// Another process runs this job.
    #[error("Another Coldbench is working on the job {job}")]
    Claimed {
        /// The job.
        job: JobId,
    },
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let (code, advice) = match &error {
            LedgerError::Open { .. } => {
                ("ledger.open", "Check that the folder exists and may be written, or use another record")
            }
            LedgerError::Newer { .. } => ("ledger.newer", "Update Coldbench, or use another record"),
            LedgerError::Read { .. } => ("ledger.read", "Restore the record from a backup, or use another one"),
            LedgerError::Write { .. } => ("ledger.write", "Check the disk and the permissions of the folder"),
            LedgerError::DiskFull => ("ledger.disk-full", "Free some space, then resume the job"),
            LedgerError::Claimed { .. } => ("ledger.claimed", "Wait for the other one, or close it"),
        };
        let problem = Problem::new(code, error.to_string(), advice);
        match error {
            LedgerError::Open { .. } | LedgerError::Newer { .. } | LedgerError::Read { .. } => {
                problem.in_terminal("--ledger FILE")
            }
            _ => problem,
        }
    }
}
