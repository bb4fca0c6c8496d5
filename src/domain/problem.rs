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
    /// What to do about it, one plain sentence without a full stop.
    pub advice: String,
}

impl Problem {
    /// A problem with its code, sentence and advice.
    pub fn new(code: &'static str, sentence: impl Into<String>, advice: impl Into<String>) -> Self {
        Problem { code: Cow::Borrowed(code), sentence: sentence.into(), advice: advice.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sentence, self.code)
    }
}

impl std::error::Error for Problem {}
