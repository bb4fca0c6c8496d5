//! A reading: the one JSON string that a board makes every interval.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Problem;

/// What the tool takes from a reading. The bytes themselves stay as the board made them; see [`Reading::parse`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Version of the payload's layout.
    pub v: u32,
    /// Sequence number since the board's start.
    pub seq: u64,
    /// When it was measured, UTC; `None` while the board has no clock.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub time: Option<OffsetDateTime>,
    /// The thing that measured; empty or absent before the board is commissioned.
    #[serde(default)]
    pub thing: Option<String>,
    /// Seconds between two readings.
    #[serde(default)]
    pub interval_secs: u32,
    /// Freezer temperature, °C, calibrated; `None` with the fault in [`Reading::faults`].
    #[serde(default)]
    pub freezer_celsius: Option<f64>,
    /// Outside temperature, °C, calibrated, where a probe is fitted.
    #[serde(default)]
    pub outside_celsius: Option<f64>,
    /// Supply voltage, V, calibrated.
    #[serde(default)]
    pub supply_volts: Option<f64>,
    /// Lowest supply voltage since the reading before, V.
    #[serde(default)]
    pub supply_min_volts: Option<f64>,
    /// The freezer door is open now.
    #[serde(default)]
    pub door_open: Option<bool>,
    /// How often the door was opened since the reading before.
    #[serde(default)]
    pub door_openings: u32,
    /// How long it was open since the reading before, seconds.
    #[serde(default)]
    pub door_open_secs: f64,
    /// Degrees north, where a receiver is fitted.
    #[serde(default)]
    pub latitude_deg: Option<f64>,
    /// Degrees east, where a receiver is fitted.
    #[serde(default)]
    pub longitude_deg: Option<f64>,
    /// The driver's traffic light: `green`, `amber` or `red`.
    pub status: String,
    /// Why the light is not green, as codes.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// Sensors that gave no measurement, and why.
    #[serde(default)]
    pub faults: Vec<SensorFault>,
    /// `true` when it was kept while the board was offline and is sent late.
    #[serde(default)]
    pub late: bool,
}

/// A sensor without a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorFault {
    /// `freezer`, `outside` or `supply`.
    pub sensor: String,
    /// Why, as a code.
    pub fault: String,
}

impl Reading {
    /// Reads a payload as a board sends it.
    ///
    /// # Errors
    /// `reading.malformed` when the bytes are not a reading.
    pub fn parse(payload: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(payload).map_err(|error| {
            Problem::new(
                "reading.malformed",
                format!("The board sent something that is not a reading: {error}"),
                "Flash the board with the site's firmware",
            )
        })
    }
}
