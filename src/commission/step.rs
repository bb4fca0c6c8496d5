//! What a step is, and the ways it can end.

use std::{future::Future, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{events::StepOutcome, plan::StepName, run::Run};
use crate::{domain::Problem, ports::ledger::StepEnd};

/// One step of a job. It may be broken off at every wait and begun again: what it finds done, it leaves.
pub(super) trait Step {
    /// What later steps read of it.
    type Output: Serialize + DeserializeOwned + Clone + Send + Sync;
    /// Its name.
    const NAME: StepName;

    /// How long it may take in all. The ports limit each wait; this holds where they fail.
    fn limit(run: &Run) -> Duration;

    /// How long it is given to end by itself when the job is cancelled. Most steps may be dropped at once.
    const CANCEL_GRACE: Duration = Duration::ZERO;

    /// What it is about to do, for the record.
    fn intent(run: &Run) -> Value;

    /// Whether it holds already. Changes nothing.
    fn check(run: &Run) -> impl Future<Output = Result<Option<Outcome<Self::Output>>, Halt>> + Send;

    /// Does it.
    fn run(run: &Run) -> impl Future<Output = Result<Outcome<Self::Output>, Halt>> + Send;
}

/// A step that ended well.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome<T> {
    /// What later steps read.
    pub output: T,
    /// How it ended: done, with a warning, or skipped.
    how: Well,
    /// In words.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Well {
    Done,
    Warning,
    Skipped,
}

impl<T> Outcome<T> {
    pub fn done(output: T, message: impl Into<String>) -> Self {
        Outcome { output, how: Well::Done, message: message.into() }
    }

    pub fn warning(output: T, message: impl Into<String>) -> Self {
        Outcome { output, how: Well::Warning, message: message.into() }
    }

    pub fn skipped(output: T, message: impl Into<String>) -> Self {
        Outcome { output, how: Well::Skipped, message: message.into() }
    }

    /// As events tell it.
    pub fn told(&self) -> StepOutcome {
        match self.how {
            Well::Done => StepOutcome::Done,
            Well::Warning => StepOutcome::Warning,
            Well::Skipped => StepOutcome::Skipped,
        }
    }
}

impl<T: Serialize> Outcome<T> {
    /// As the ledger keeps it.
    pub fn recorded(&self) -> Result<StepEnd, Problem> {
        let output = to_value(&self.output)?;
        let message = self.message.clone();
        Ok(match self.how {
            Well::Done => StepEnd::Done { output },
            Well::Warning => StepEnd::Warning { output, message },
            Well::Skipped => StepEnd::Skipped { output, message },
        })
    }
}

/// Why a step did not end well.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Halt {
    /// It was asked to end.
    Cancelled,
    /// It failed.
    Failed(Problem),
}

impl Halt {
    pub fn problem(&self) -> Problem {
        match self {
            Halt::Cancelled => {
                Problem::new("job.cancelled", "The job was cancelled", "Resume the job to go on, or undo it")
            }
            Halt::Failed(problem) => problem.clone(),
        }
    }
}

/// Everything a port can answer turns into a problem, and that ends the step.
impl<E: Into<Problem>> From<E> for Halt {
    fn from(error: E) -> Self {
        Halt::Failed(error.into())
    }
}

/// A halt with a problem of the job's own.
pub(super) fn halt<T>(code: &'static str, sentence: impl Into<String>, advice: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Failed(Problem::new(code, sentence, advice)))
}

/// Writes a value as JSON.
pub(super) fn to_value(value: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|error| unreadable(&error))
}

/// Reads what a step has written.
pub(super) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    T::deserialize(value).map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::new(
        "job.record",
        format!("The record of the job does not fit this version: {error}"),
        "Undo the job and begin anew",
    )
}
