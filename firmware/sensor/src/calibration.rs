//! Calibration: fitting a line through reference points, and the bounds of what a board accepts.
//!
//! The tool fits, the board checks and applies. A probe that needs more than the bounds allow is replaced, not corrected.

use alloc::{string::String, vec::Vec};
use core::{fmt, ops::RangeInclusive};

use coldbench_protocol::{Calibration, Line};

use crate::ds18b20;

/// Most characters of the name of a job.
pub const MAX_JOB_LEN: usize = 64;

/// What a correction may be for one kind of measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Bounds {
    /// Smallest and largest gain.
    pub gain: RangeInclusive<f32>,
    /// Largest offset either way, in the unit of the measurement.
    pub offset: f32,
    /// Smallest distance between the outer reference points for a gain to be fitted, in the same unit.
    pub span: f32,
}

/// Temperature, °C.
pub const TEMPERATURE: Bounds = Bounds { gain: 0.97..=1.03, offset: 2.0, span: 15.0 };

/// Supply voltage, V. Divider resistors and the converter's reference are off by up to 10 %.
pub const SUPPLY: Bounds = Bounds { gain: 0.90..=1.10, offset: 1.0, span: 1.0 };

/// What the board says and what the reference says at the same time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Raw value of the board.
    pub raw: f32,
    /// Value of the reference.
    pub reference: f32,
}

/// A fitted line.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The correction.
    pub line: Line,
    /// Reference minus corrected value at each point, in the order of the points.
    pub residuals: Vec<f32>,
}

impl Fit {
    /// The largest residual, without sign.
    pub fn worst_residual(&self) -> f32 {
        self.residuals.iter().fold(0.0, |worst, residual| worst.max(residual.abs()))
    }
}

/// Why there is no line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FitError {
    /// No point was given.
    NoPoints,
    /// A value is not a number.
    NotANumber,
    /// The points are too close for a gain.
    PointsTooClose {
        /// Distance of the outer points.
        span: f32,
        /// Distance that is needed.
        needed: f32,
    },
    /// The gain is outside its bounds.
    Gain(f32),
    /// The offset is outside its bounds.
    Offset(f32),
}

impl fmt::Display for FitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FitError::NoPoints => f.write_str("no reference point"),
            FitError::NotANumber => f.write_str("a reference point is not a number"),
            FitError::PointsTooClose { span, needed } => {
                write!(f, "the reference points are {span:.2} apart; {needed:.2} are needed")
            }
            FitError::Gain(gain) => write!(f, "a gain of {gain:.4} is out of bounds"),
            FitError::Offset(offset) => write!(f, "an offset of {offset:.2} is out of bounds"),
        }
    }
}

impl core::error::Error for FitError {}

/// Fits a correction: one point gives an offset, more give gain and offset by least squares.
///
/// # Errors
/// No usable points, or a line outside `bounds`.
pub fn fit(points: &[Point], bounds: &Bounds) -> Result<Fit, FitError> {
    if points.iter().any(|point| !point.raw.is_finite() || !point.reference.is_finite()) {
        return Err(FitError::NotANumber);
    }
    let line = match points {
        [] => return Err(FitError::NoPoints),
        [only] => Line { gain: 1.0, offset: only.reference - only.raw },
        several => least_squares(several, bounds.span)?,
    };
    check_line(line, bounds)?;
    let residuals = points.iter().map(|point| point.reference - line.apply(point.raw)).collect();
    Ok(Fit { line, residuals })
}

/// Whether a line is within `bounds`.
///
/// # Errors
/// The first value that is not.
pub fn check_line(line: Line, bounds: &Bounds) -> Result<(), FitError> {
    if !bounds.gain.contains(&line.gain) {
        return Err(FitError::Gain(line.gain));
    }
    if line.offset.is_nan() || line.offset.abs() > bounds.offset {
        return Err(FitError::Offset(line.offset));
    }
    Ok(())
}

/// Whether a board can work with this calibration.
///
/// # Errors
/// One sentence that names the value.
pub fn check(calibration: &Calibration) -> Result<(), String> {
    let lines = [
        ("freezer", calibration.freezer, TEMPERATURE),
        ("outside", calibration.outside, TEMPERATURE),
        ("supply", calibration.supply, SUPPLY),
    ];
    for (name, line, bounds) in lines {
        check_line(line, &bounds).map_err(|error| alloc::format!("{name}: {error}"))?;
    }
    for probe in [calibration.freezer_probe, calibration.outside_probe].into_iter().flatten() {
        if !ds18b20::is_valid_rom(probe) {
            return Err(alloc::format!("{probe} is no address of a temperature probe"));
        }
    }
    if calibration.freezer_probe.is_some() && calibration.freezer_probe == calibration.outside_probe {
        return Err("freezer and outside are the same probe".into());
    }
    if calibration.job.len() > MAX_JOB_LEN || calibration.job.chars().any(char::is_control) {
        return Err(alloc::format!("the name of the job is longer than {MAX_JOB_LEN} or not plain text"));
    }
    Ok(())
}

fn least_squares(points: &[Point], needed_span: f32) -> Result<Line, FitError> {
    let (low, high) = points
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), point| (low.min(point.raw), high.max(point.raw)));
    let span = high - low;
    if span < needed_span {
        return Err(FitError::PointsTooClose { span, needed: needed_span });
    }
    let mean = |value: fn(&Point) -> f32| {
        points.iter().map(|point| f64::from(value(point))).sum::<f64>() / points.len() as f64
    };
    let (mean_raw, mean_reference) = (mean(|point| point.raw), mean(|point| point.reference));
    let (mut covariance, mut variance) = (0.0, 0.0);
    for point in points {
        let raw = f64::from(point.raw) - mean_raw;
        covariance += raw * (f64::from(point.reference) - mean_reference);
        variance += raw * raw;
    }
    let gain = covariance / variance;
    Ok(Line { gain: gain as f32, offset: (mean_reference - gain * mean_raw) as f32 })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(raw: f32, reference: f32) -> Point {
        Point { raw, reference }
    }

    #[test]
    fn one_point_gives_an_offset() {
        let fit = fit(&[point(0.3125, 0.0)], &TEMPERATURE).unwrap();
        assert_eq!(fit.line, Line { gain: 1.0, offset: -0.3125 });
        assert!(fit.worst_residual() < 1e-6);
    }

    #[test]
    fn two_points_give_gain_and_offset() {
        let fit = fit(&[point(0.25, 0.0), point(-19.5, -20.0)], &TEMPERATURE).unwrap();
        assert!((fit.line.gain - 1.012_658).abs() < 1e-5);
        assert!((fit.line.apply(-19.5) + 20.0).abs() < 1e-4);
        assert!((fit.line.apply(0.25)).abs() < 1e-4);
    }

    #[test]
    fn three_points_leave_residuals() {
        let points = [point(-20.0, -20.0), point(0.0, 0.2), point(20.0, 20.0)];
        let fit = fit(&points, &TEMPERATURE).unwrap();
        assert_eq!(fit.residuals.len(), 3);
        assert!((fit.worst_residual() - 0.1333).abs() < 1e-3);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        assert_eq!(fit(&[], &TEMPERATURE), Err(FitError::NoPoints));
        assert_eq!(fit(&[point(f32::NAN, 0.0)], &TEMPERATURE), Err(FitError::NotANumber));
        assert_eq!(fit(&[point(2.5, 0.0)], &TEMPERATURE), Err(FitError::Offset(-2.5)));
        assert!(matches!(
            fit(&[point(0.0, 0.0), point(-10.0, -10.0)], &TEMPERATURE),
            Err(FitError::PointsTooClose { .. })
        ));
        assert!(matches!(fit(&[point(0.0, 0.0), point(-20.0, -21.0)], &TEMPERATURE), Err(FitError::Gain(_))));
        assert!(fit(&[point(11.5, 12.0), point(13.7, 14.2)], &SUPPLY).is_ok());
    }

    #[test]
    fn a_board_refuses_what_it_cannot_work_with() {
        let good = Calibration { freezer_probe: Some(ds18b20::rom(7)), job: "job-1".into(), ..Default::default() };
        assert_eq!(check(&good), Ok(()));
        let same = Calibration { outside_probe: good.freezer_probe, ..good.clone() };
        assert!(check(&same).unwrap_err().contains("same probe"));
        let foreign = Calibration { outside_probe: Some(coldbench_protocol::ProbeRom([1; 8])), ..good.clone() };
        assert!(check(&foreign).unwrap_err().contains("no address"));
        let gain = Calibration { supply: Line { gain: f32::NAN, offset: 0.0 }, ..good.clone() };
        assert!(check(&gain).unwrap_err().starts_with("supply: a gain"));
        let long = Calibration { job: "x".repeat(65), ..good };
        assert!(check(&long).is_err());
    }

    proptest! {
        #[test]
        fn a_true_line_is_found(gain in 0.98_f32..1.02, offset in -1.5_f32..1.5, low in -30.0_f32..-20.0, span in 16.0_f32..40.0) {
            let line = Line { gain, offset };
            let points: Vec<Point> =
                [low, low + span / 3.0, low + span].map(|raw| point(raw, line.apply(raw))).to_vec();
            let fit = fit(&points, &TEMPERATURE).unwrap();
            prop_assert!((fit.line.gain - gain).abs() < 1e-4);
            prop_assert!((fit.line.offset - offset).abs() < 1e-2);
            prop_assert!(fit.worst_residual() < 1e-3);
        }

        #[test]
        fn any_points_give_a_bounded_line_or_an_error(
            values in prop::collection::vec((any::<f32>(), any::<f32>()), 0..5),
        ) {
            let points: Vec<Point> = values.into_iter().map(|(raw, reference)| point(raw, reference)).collect();
            if let Ok(fit) = fit(&points, &TEMPERATURE) {
                prop_assert_eq!(check_line(fit.line, &TEMPERATURE), Ok(()));
            }
        }
    }
}
