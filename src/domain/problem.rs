//! What went wrong, for a person: one sentence, an advice, a code for support.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// A problem as it is shown, printed and recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable code for support, `area.what` in lower case, such as `port.busy`.
    pub code: Cow<'static, str>,
    /// What happened, one plain sentence without a full stop.
    pub sentence: String,
    /// What to do about it, one plain sentence without a full stop, true in every front end.
    pub advice: String,
    /// How that is said to the terminal: an option or a command. A window does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
}

impl Problem {
    /// A problem with its code, sentence and advice.
    pub fn new(code: &'static str, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Problem { code: Cow::Borrowed(code), sentence: sentence.into(), advice: advice.into(), terminal: None }
    }

    /// The same, with how the advice is followed in the terminal.
    pub fn in_terminal(mut self, words: impl Into<String>) -> Self {
        self.terminal = Some(words.into());
        self
    }

    /// The advice for somebody at a terminal.
    pub fn terminal_advice(&self) -> String {
        match &self.terminal {
            Some(words) => format!("{} ({words})", self.advice),
            None => self.advice.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sentence, self.code)
    }
}

impl std::error::Error for Problem {}
