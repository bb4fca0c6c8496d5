//! The person at the bench, asked by a job.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::calibration::{TemperaturePoint, VoltagePoint};

/// Asks the person at the bench. A front end shows the question and sends the answer.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Asks; ends when answered or when the front end goes away ([`Reply::Declined`]).
    async fn ask(&self, question: Question) -> Reply;

    /// Whether the person sees what the sensors say while a question stands. Then a reference is asked for at once, and
    /// the front end takes it only while the probe is steady; else it is asked for once the probe is steady.
    fn sees_sensors(&self) -> bool {
        false
    }
}

/// What a job asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "question")]
pub enum Question {
    /// Which of the probes is in the freezer (warmed by hand)?
    FreezerProbe {
        /// Addresses, with what each says now, °C.
        probes: Vec<(String, Option<f64>)>,
    },
    /// What does the reference thermometer show now?
    FreezerReference {
        /// Number of the point, from 1.
        point: u32,
        /// What the probe says now, °C.
        raw_celsius: f64,
        /// The points that were taken already.
        taken: Vec<TemperaturePoint>,
        /// Why the last answer was not taken, in words.
        refused: Option<String>,
    },
    /// What does the multimeter show now?
    SupplyReference {
        /// Number of the point, from 1.
        point: u32,
        /// What the board says now, V.
        raw_volts: f64,
        /// The points that were taken already.
        taken: Vec<VoltagePoint>,
        /// Why the last answer was not taken, in words.
        refused: Option<String>,
    },
    /// Open the door now, then answer yes.
    OpenDoor,
    /// Close the door now, then answer yes.
    CloseDoor,
    /// Serial number of an instrument.
    Serial {
        /// `thermometer` or `multimeter`.
        instrument: String,
        /// The one used last, to take over.
        last: String,
    },
}

/// What the person answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply", content = "value")]
pub enum Reply {
    /// A number in the question's unit.
    Number(f64),
    /// A text.
    Text(String),
    /// Done.
    Yes,
    /// Leave this point out.
    Skip,
    /// Take the point before anew.
    Back,
    /// Nobody answers: the job is to be cancelled.
    Declined,
}
