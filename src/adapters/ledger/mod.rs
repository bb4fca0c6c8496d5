//! The record of jobs in one SQLite file, its locks and the key that seals its records.
//!
//! # Invariants
//! - A call that has returned is on the disk (`synchronous=FULL`).
//! - A file of a newer version is left untouched.
//! - Two programs may use one file; a job is run by one of them, which an advisory lock of the system holds. The
//!   system releases it when the program ends, however it ends.

mod claim;
mod schema;
mod sealer;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use sealer::FileSealer;

use crate::{
    domain::JobId,
    ports::ledger::{JobRecord, Ledger, LedgerError, StepEnd, StepRecord},
};

/// The record in an SQLite file.
pub struct SqliteLedger {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl SqliteLedger {
    /// Opens the file, or makes it with the folders above it.
    ///
    /// # Errors
    /// [`LedgerError::Open`], [`LedgerError::Newer`], [`LedgerError::DiskFull`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Ok(SqliteLedger { path: path.to_owned(), connection: Mutex::new(schema::open(path)?) })
    }

    /// A statement that fails leaves the connection usable, so a panic elsewhere is no reason to stop recording.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, LedgerError> {
        self.connection().execute(sql, values).map_err(|error| writing(&error))
    }

    /// Writes to a row that must be there.
    fn change(&self, sql: &str, values: impl rusqlite::Params, what: &str) -> Result<(), LedgerError> {
        match self.write(sql, values)? {
            0 => Err(LedgerError::Write { why: format!("{what} was never begun") }),
            _ => Ok(()),
        }
    }
}

impl Ledger for SqliteLedger {
    fn open_job(&self, job: &JobRecord) -> Result<(), LedgerError> {
        self.write("INSERT INTO jobs (job, record) VALUES (?1, ?2)", params![job.job.as_str(), to_json(job)?]).map(drop)
    }

    fn update_job(&self, job: &JobRecord) -> Result<(), LedgerError> {
        let values = params![job.job.as_str(), to_json(job)?];
        self.change("UPDATE jobs SET record = ?2 WHERE job = ?1", values, "the job")
    }

    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, LedgerError> {
        let text = self
            .connection()
            .query_row("SELECT record FROM jobs WHERE job = ?1", [id.as_str()], |row| row.get::<_, String>(0))
            .optional()
            .map_err(reading)?;
        text.as_deref().map(from_json).transpose()
    }

    fn jobs(&self) -> Result<Vec<JobRecord>, LedgerError> {
        // A job's number sorts by the time it began.
        let connection = self.connection();
        let mut select = connection.prepare("SELECT record FROM jobs ORDER BY job DESC").map_err(reading)?;
        let rows = select.query_map([], |row| row.get::<_, String>(0)).map_err(reading)?;
        rows.map(|text| from_json(&text.map_err(reading)?)).collect()
    }

    fn begin_step(&self, job: &JobId, step: &str, intent: &Value) -> Result<(), LedgerError> {
        // What an earlier run noted stays: it names effects that may be there.
        self.write(
            "INSERT INTO steps (job, step, position, intent, notes, began)
             VALUES (?1, ?2, (SELECT COUNT(*) FROM steps WHERE job = ?1), ?3, '{}', ?4)
             ON CONFLICT (job, step) DO UPDATE SET intent = ?3, began = ?4, ended = NULL, outcome = NULL",
            params![job.as_str(), step, to_json(intent)?, now()?],
        )
        .map(drop)
    }

    fn note_step(&self, job: &JobId, step: &str, key: &str, value: &Value) -> Result<(), LedgerError> {
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|error| writing(&error))?;
        let notes: Option<String> = transaction
            .query_row("SELECT notes FROM steps WHERE job = ?1 AND step = ?2", params![job.as_str(), step], |row| {
                row.get(0)
            })
            .optional()
            .map_err(reading)?;
        let notes = notes.ok_or_else(|| LedgerError::Write { why: format!("the step {step} was never begun") })?;
        let mut notes: Map<String, Value> = from_json(&notes)?;
        notes.insert(key.to_owned(), value.clone());
        transaction
            .execute(
                "UPDATE steps SET notes = ?3 WHERE job = ?1 AND step = ?2",
                params![job.as_str(), step, to_json(&notes)?],
            )
            .map_err(|error| writing(&error))?;
        transaction.commit().map_err(|error| writing(&error))
    }

    fn end_step(&self, job: &JobId, step: &str, end: &StepEnd) -> Result<(), LedgerError> {
        let values = params![job.as_str(), step, now()?, to_json(end)?];
        self.change("UPDATE steps SET ended = ?3, outcome = ?4 WHERE job = ?1 AND step = ?2", values, step)
    }

    fn steps(&self, job: &JobId) -> Result<Vec<StepRecord>, LedgerError> {
        let connection = self.connection();
        let mut select = connection
            .prepare("SELECT step, intent, notes, began, ended, outcome FROM steps WHERE job = ?1 ORDER BY position")
            .map_err(reading)?;
        let rows = select.query_map([job.as_str()], StepRow::from_row).map_err(reading)?;
        rows.map(|row| row.map_err(reading)?.into_record()).collect()
    }

    fn remember(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.write(
            "INSERT INTO facts (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, value],
        )
        .map(drop)
    }

    fn recall(&self, key: &str) -> Result<Option<String>, LedgerError> {
        self.connection()
            .query_row("SELECT value FROM facts WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(reading)
    }

    fn claim(&self, job: &JobId) -> Result<Box<dyn Send + Sync>, LedgerError> {
        claim::claim(&self.path, job)
    }
}

/// A step as its row has it.
struct StepRow {
    step: String,
    intent: String,
    notes: String,
    began: String,
    ended: Option<String>,
    outcome: Option<String>,
}

impl StepRow {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(StepRow {
            step: row.get(0)?,
            intent: row.get(1)?,
            notes: row.get(2)?,
            began: row.get(3)?,
            ended: row.get(4)?,
            outcome: row.get(5)?,
        })
    }

    fn into_record(self) -> Result<StepRecord, LedgerError> {
        Ok(StepRecord {
            step: self.step,
            intent: from_json(&self.intent)?,
            notes: from_json(&self.notes)?,
            began: parse_time(&self.began)?,
            ended: self.ended.as_deref().map(parse_time).transpose()?,
            end: self.outcome.as_deref().map(from_json).transpose()?,
        })
    }
}

fn to_json(value: &impl Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| LedgerError::Write { why: error.to_string() })
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|error| LedgerError::Read { why: error.to_string() })
}

fn now() -> Result<String, LedgerError> {
    OffsetDateTime::now_utc().format(&Rfc3339).map_err(|error| LedgerError::Write { why: error.to_string() })
}

fn parse_time(text: &str) -> Result<OffsetDateTime, LedgerError> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|error| LedgerError::Read { why: error.to_string() })
}

fn reading(error: rusqlite::Error) -> LedgerError {
    LedgerError::Read { why: error.to_string() }
}

fn writing(error: &rusqlite::Error) -> LedgerError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LedgerError::DiskFull,
        _ => LedgerError::Write { why: error.to_string() },
    }
}
