//! What a job tells while it runs. One enum, in the order a front end sees it: the plan first, the end last.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    domain::{JobId, Mac, Problem, ThingName, TruckId},
    ports::operator::Question,
};

/// An event of a job. As JSON, one object a line: `{"event":"step_started",…}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// What is going to happen. Always first.
    Plan {
        /// The job.
        job: JobId,
        /// The truck, where the job has one.
        truck: Option<TruckId>,
        /// The thing, where the job has one.
        thing: Option<ThingName>,
        /// The port, where the job has one.
        port: Option<String>,
        /// The steps in their order.
        steps: Vec<PlannedStep>,
    },
    /// A step begins.
    StepStarted {
        /// Its name.
        step: String,
        /// When, UTC.
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    /// How far a step is. May be dropped when the receiver is slow; no other event is.
    Progress {
        /// The step.
        step: String,
        /// What is done.
        done: u64,
        /// What is to be done.
        total: u64,
        /// What is counted.
        unit: Unit,
        /// In words.
        message: String,
    },
    /// What the sensors say while they are calibrated. May be dropped as progress may.
    Sensed {
        /// The step.
        step: String,
        /// What they say.
        sensed: Sensed,
    },
    /// Something a person should know, without an effect on the job.
    Note {
        /// The step.
        step: String,
        /// In words.
        message: String,
    },
    /// A question to the person at the bench was asked.
    Asked {
        /// The step.
        step: String,
        /// The question.
        question: Question,
    },
    /// A step ended.
    StepFinished {
        /// Its name.
        step: String,
        /// How.
        outcome: StepOutcome,
        /// In words: what was done, why it was skipped, what to know.
        message: String,
        /// How long it took, seconds.
        seconds: f64,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
    /// The job ended. Always last.
    Finished {
        /// The job.
        job: JobId,
        /// How.
        outcome: JobOutcome,
        /// The thing.
        thing: Option<ThingName>,
        /// The truck.
        truck: Option<TruckId>,
        /// The board.
        mac: Option<Mac>,
        /// Why it did not pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
        /// What could not be undone, each with its id.
        leftovers: Vec<String>,
        /// How long the job took, seconds.
        seconds: f64,
    },
}

/// What the sensors say before calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensed {
    /// The temperature probes.
    pub probes: Vec<SensedProbe>,
    /// Supply voltage, V; `None` when its converter does not answer.
    pub supply_volts: Option<f64>,
    /// Level of the door's contact.
    pub door_high: bool,
    /// Changes of the door's contact since the board's start, before bounce is filtered out.
    pub door_raw_edges: u32,
    /// Changes of the door's contact since the board's start, after bounce is filtered out.
    pub door_edges: u32,
    /// How steady the probe is that a reference is asked for.
    pub steadiness: Option<Steadiness>,
}

/// What a temperature probe says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensedProbe {
    /// Its address.
    pub rom: String,
    /// Its temperature, °C; `None` when it gives an error value.
    pub celsius: Option<f64>,
    /// Why it has no temperature, in words.
    pub fault: Option<String>,
}

/// How steady a probe is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steadiness {
    /// Address of the probe.
    pub probe: String,
    /// How long it has been watched without a break, at most as long as is needed, seconds.
    pub watched_secs: u64,
    /// How long it must be watched, seconds.
    pub needed_secs: u64,
    /// How far apart its highest and lowest value may be meanwhile, °C.
    pub band_celsius: f64,
    /// It is steady now.
    pub is_steady: bool,
    /// In words.
    pub words: String,
}

/// A step of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name, as in every later event.
    pub step: String,
    /// What it does, for a person.
    pub title: String,
    /// `true` when an earlier run of the job has done it.
    pub done: bool,
}

/// What a progress counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Operations.
    Steps,
    /// Readings.
    Readings,
    /// Seconds.
    Seconds,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// As planned.
    Done,
    /// As planned, with something to know.
    Warning,
    /// Not needed.
    Skipped,
    /// Failed.
    Failed,
    /// Undone.
    Undone,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// Proven and sealed, or undone as ordered.
    Passed,
    /// Failed; board and cloud are as reported.
    Failed,
    /// Cancelled.
    Cancelled,
}
