//! What the pre-shift check found.

use serde::Serialize;

/// One finding of the pre-shift check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub what: String,
    /// Whether it is as it should be.
    pub state: FindingState,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when nothing is.
    pub advice: String,
}

/// Whether a finding is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingState {
    /// As it should be.
    Good,
    /// Works, but somebody should know.
    Warning,
    /// In the way of a job.
    Bad,
}

impl Finding {
    /// As it should be.
    pub fn good(what: &str, found: impl Into<String>) -> Self {
        Finding { what: what.to_owned(), state: FindingState::Good, found: found.into(), advice: String::new() }
    }

    /// Works, but somebody should know.
    pub fn warning(what: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { what: what.to_owned(), state: FindingState::Warning, found: found.into(), advice: advice.into() }
    }

    /// In the way of a job.
    pub fn bad(what: &str, problem: super::Problem) -> Self {
        Finding { what: what.to_owned(), state: FindingState::Bad, found: problem.sentence, advice: problem.advice }
    }
}
