//! What a job is going to do. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::events::PlannedStep;
use crate::ports::ledger::{StepEnd, StepRecord};

/// The steps of a commissioning job, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// What is on the line, and what the record says of it.
    Identify,
    /// Is all there that the job needs? Nothing is written.
    Preflight,
    /// The firmware.
    Flash,
    /// The firmware starts.
    Boot,
    /// Key and certificate signing request.
    Key,
    /// Thing, certificate, policy, group.
    Register,
    /// Identity onto the board.
    Install,
    /// Sensors against references.
    Calibrate,
    /// The whole way from sensor to cloud and back.
    Prove,
    /// Record closed and signed.
    Seal,
}

impl StepName {
    /// All of them, in their order.
    pub const ALL: [StepName; 10] = [
        StepName::Identify,
        StepName::Preflight,
        StepName::Flash,
        StepName::Boot,
        StepName::Key,
        StepName::Register,
        StepName::Install,
        StepName::Calibrate,
        StepName::Prove,
        StepName::Seal,
    ];

    /// The name, as in events and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            StepName::Identify => "identify",
            StepName::Preflight => "preflight",
            StepName::Flash => "flash",
            StepName::Boot => "boot",
            StepName::Key => "key",
            StepName::Register => "register",
            StepName::Install => "install",
            StepName::Calibrate => "calibrate",
            StepName::Prove => "prove",
            StepName::Seal => "seal",
        }
    }

    /// What it does, for a person.
    pub fn title(self) -> &'static str {
        match self {
            StepName::Identify => "Find out which board this is",
            StepName::Preflight => "Check login, clock, names and firmware",
            StepName::Flash => "Write and verify the firmware",
            StepName::Boot => "Start the firmware",
            StepName::Key => "Make the board's key",
            StepName::Register => "Register thing, certificate, policy and group",
            StepName::Install => "Give the board its identity",
            StepName::Calibrate => "Calibrate the sensors",
            StepName::Prove => "Prove the way from sensor to cloud and back",
            StepName::Seal => "Close and sign the record",
        }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The plan of a job of which this is recorded: nothing for a new one.
pub fn plan(recorded: &[StepRecord]) -> Vec<PlannedStep> {
    let is_done = |name: StepName| {
        recorded.iter().any(|step| step.step == name.as_str() && step.end.as_ref().is_some_and(has_output))
    };
    StepName::ALL
        .into_iter()
        .map(|name| PlannedStep { step: name.as_str().to_owned(), title: name.title().to_owned(), done: is_done(name) })
        .collect()
}

/// The same for a board that reaches its broker through this computer.
pub(super) fn through_this_computer(mut plan: Vec<PlannedStep>) -> Vec<PlannedStep> {
    for step in plan.iter_mut().filter(|step| step.step == StepName::Prove.as_str()) {
        step.title.push_str(", through this computer");
    }
    plan
}

/// Whether a step ended with something for later steps.
fn has_output(end: &StepEnd) -> bool {
    matches!(end, StepEnd::Done { .. } | StepEnd::Warning { .. } | StepEnd::Skipped { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_job_has_ten_steps_to_do_in_the_order_of_their_names() {
        let plan = plan(&[]);
        let names: Vec<_> = plan.iter().map(|step| step.step.as_str()).collect();
        assert_eq!(
            names,
            ["identify", "preflight", "flash", "boot", "key", "register", "install", "calibrate", "prove", "seal"]
        );
        assert!(plan.iter().all(|step| !step.done));
        assert!(StepName::ALL.is_sorted());
    }
}
