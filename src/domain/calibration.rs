//! What calibration needs from the operator, and what it is held to.

use coldbench_sensor::calibration::{Bounds, Point, SUPPLY, TEMPERATURE, fit};
pub use coldbench_sensor::calibration::{Fit, FitError};
use serde::{Deserialize, Serialize};

use super::{DoorPolarity, ProbeRom};

/// Reference values for a calibration without prompts (`--calibration FILE`, TOML).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct References {
    /// Serial number of the reference thermometer.
    pub thermometer_serial: String,
    /// Serial number of the multimeter.
    pub multimeter_serial: String,
    /// Which probe is in the freezer; the only one on the bus when absent.
    pub freezer_probe: Option<String>,
    /// Which probe is outside.
    pub outside_probe: Option<String>,
    /// One or two points for the freezer probe. An absent raw value is measured at once.
    pub freezer: Vec<TemperaturePoint>,
    /// One or two points for the supply voltage. An absent raw value is measured at once.
    pub supply: Vec<VoltagePoint>,
    /// The level that means "open"; the board's own when absent.
    pub door: Option<DoorLevel>,
}

impl References {
    /// Reads a file of references.
    ///
    /// # Errors
    /// `calibration.file` with line, column and reason.
    pub fn parse(text: &str) -> Result<Self, super::Problem> {
        super::toml_file::parse(text, "The calibration file", "calibration.file")
    }
}

/// A point at which reference and probe were read together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemperaturePoint {
    /// What the reference thermometer shows, °C.
    pub reference_celsius: f64,
    /// What the probe said, °C; measured now when absent.
    pub raw_celsius: Option<f64>,
}

/// A point at which multimeter and board were read together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoltagePoint {
    /// What the multimeter shows, V.
    pub reference_volts: f64,
    /// What the board said, V; measured now when absent.
    pub raw_volts: Option<f64>,
}

/// The correction that temperature points make; points without a raw value are left out.
///
/// # Errors
/// No usable points, or a correction that no board accepts.
pub fn fit_freezer(points: &[TemperaturePoint]) -> Result<Fit, FitError> {
    fit_points(points.iter().map(|point| (point.raw_celsius, point.reference_celsius)), &TEMPERATURE)
}

/// The correction that voltage points make; points without a raw value are left out.
///
/// # Errors
/// No usable points, or a correction that no board accepts.
pub fn fit_supply(points: &[VoltagePoint]) -> Result<Fit, FitError> {
    fit_points(points.iter().map(|point| (point.raw_volts, point.reference_volts)), &SUPPLY)
}

fn fit_points(points: impl Iterator<Item = (Option<f64>, f64)>, bounds: &Bounds) -> Result<Fit, FitError> {
    let points = points.filter_map(|(raw, reference)| Some(Point { raw: raw? as f32, reference: reference as f32 }));
    fit(&points.collect::<Vec<_>>(), bounds)
}

/// The level of the door input that means "open".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DoorLevel {
    /// High when open.
    OpenIsHigh,
    /// Low when open.
    OpenIsLow,
}

impl From<DoorLevel> for DoorPolarity {
    fn from(level: DoorLevel) -> Self {
        match level {
            DoorLevel::OpenIsHigh => DoorPolarity::OpenIsHigh,
            DoorLevel::OpenIsLow => DoorPolarity::OpenIsLow,
        }
    }
}

/// What a calibration is held to (site profile).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerances {
    /// Largest residual of a temperature point, °C (EN 12830 allows ±1; half of it by default).
    pub freezer_celsius: f64,
    /// Largest residual of a voltage point, V.
    pub supply_volts: f64,
    /// Largest peak-to-peak drift while a point is taken, °C.
    pub stability_celsius: f64,
    /// How long a point must be steady, seconds.
    pub stability_secs: u32,
}

impl Default for Tolerances {
    fn default() -> Self {
        Tolerances { freezer_celsius: 0.5, supply_volts: 0.2, stability_celsius: 0.13, stability_secs: 60 }
    }
}

/// What a calibration found, for the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// The probes on the bus.
    pub probes: Vec<ProbeRom>,
    /// Residual at each temperature point, °C.
    pub freezer_residuals_celsius: Vec<f64>,
    /// Residual at each voltage point, V.
    pub supply_residuals_volts: Vec<f64>,
    /// What the operator gave.
    pub references: References,
}
