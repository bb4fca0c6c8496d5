//! What is heard when a job ends.

/// A sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// A job has passed: two rising tones.
    Pass,
    /// A job has failed: two falling tones.
    Fail,
}
