//! How long steps usually take, learned from those that were done here.

use std::collections::BTreeMap;

use crate::commission::events::{Event, StepOutcome};

/// How much of what is known gives way to what was just seen.
const LEARNING: f64 = 0.4;

/// Seconds that steps usually take.
#[derive(Debug, Clone, PartialEq)]
pub struct Typical {
    seconds: BTreeMap<String, f64>,
}

impl Default for Typical {
    fn default() -> Self {
        let usual = [
            ("identify", 2.0),
            ("preflight", 3.0),
            ("flash", 20.0),
            ("boot", 3.0),
            ("key", 2.0),
            ("register", 4.0),
            ("install", 3.0),
            ("calibrate", 4.0),
            ("prove", 25.0),
            ("seal", 2.0),
        ];
        Typical { seconds: usual.into_iter().map(|(step, seconds)| (step.to_owned(), seconds)).collect() }
    }
}

impl Typical {
    /// Seconds that a step usually takes.
    pub fn seconds(&self, step: &str) -> f64 {
        self.seconds.get(step).copied().unwrap_or(2.0)
    }

    /// Learns from a step that was done. One that waited for a person, or had nothing to do, teaches nothing.
    pub fn learn(&mut self, event: &Event) {
        if let Event::StepFinished { step, outcome: StepOutcome::Done, seconds, .. } = event
            && step != "calibrate"
        {
            let known = self.seconds(step);
            self.seconds.insert(step.clone(), known + (seconds - known) * LEARNING);
        }
    }
}
