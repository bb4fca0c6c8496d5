//! Whether a temperature has settled enough to be compared with a reference.

use alloc::collections::VecDeque;

/// Most samples that are kept: one a second for ten minutes.
const MAX_SAMPLES: usize = 600;

/// What counts as settled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criterion {
    /// Length of the window, milliseconds.
    pub window_millis: u64,
    /// Largest difference between two samples of the window, K.
    pub peak_to_peak_kelvin: f32,
}

impl Criterion {
    /// A stirred ice bath.
    pub const BATH: Criterion = Criterion { window_millis: 60_000, peak_to_peak_kelvin: 0.13 };
    /// Air in the freezer.
    pub const AIR: Criterion = Criterion { window_millis: 600_000, peak_to_peak_kelvin: 0.13 };
}

/// The samples of the last window.
#[derive(Debug, Clone)]
pub struct Stability {
    criterion: Criterion,
    samples: VecDeque<(u64, f32)>,
    /// When the first sample of an unbroken series was taken.
    started_millis: Option<u64>,
}

/// How far the temperature has settled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Settling {
    /// The window is not full yet: so many milliseconds of it are.
    Filling(u64),
    /// It still moves: peak-to-peak in K over the window.
    Moving(f32),
    /// It drifts: K over the window, though within the peak-to-peak limit.
    Drifting(f32),
    /// Settled at this mean, °C.
    Settled(f32),
}

impl Stability {
    /// A window without samples.
    pub fn new(criterion: Criterion) -> Self {
        Stability { criterion, samples: VecDeque::new(), started_millis: None }
    }

    /// Takes a sample. A time before the last one, or `None` (the probe failed), starts the window anew.
    pub fn sample(&mut self, celsius: Option<f32>, now_millis: u64) {
        let last_millis = self.samples.back().map(|sample| sample.0);
        let Some(celsius) = celsius.filter(|celsius| celsius.is_finite()) else {
            return self.restart();
        };
        if last_millis.is_some_and(|last| now_millis < last) {
            self.restart();
        }
        self.started_millis.get_or_insert(now_millis);
        self.samples.push_back((now_millis, celsius));
        let window_start = now_millis.saturating_sub(self.criterion.window_millis);
        while self.samples.len() > MAX_SAMPLES || self.samples.front().is_some_and(|sample| sample.0 < window_start) {
            self.samples.pop_front();
        }
    }

    /// How far the temperature has settled. A trend is a slope that explains more than half of the allowed
    /// peak-to-peak over the window: a slow bath would be read too early.
    pub fn settling(&self) -> Settling {
        let filled_millis = match (self.started_millis, self.samples.back()) {
            (Some(started), Some(last)) => last.0 - started,
            _ => 0,
        };
        if filled_millis < self.criterion.window_millis || self.samples.len() < 3 {
            return Settling::Filling(filled_millis.min(self.criterion.window_millis));
        }
        let temperatures = || self.samples.iter().map(|sample| sample.1);
        let peak_to_peak =
            temperatures().fold(f32::NEG_INFINITY, f32::max) - temperatures().fold(f32::INFINITY, f32::min);
        if peak_to_peak >= self.criterion.peak_to_peak_kelvin {
            return Settling::Moving(peak_to_peak);
        }
        let (mean, drift) = self.mean_and_drift();
        if drift.abs() > self.criterion.peak_to_peak_kelvin / 2.0 {
            return Settling::Drifting(drift);
        }
        Settling::Settled(mean)
    }

    fn restart(&mut self) {
        self.samples.clear();
        self.started_millis = None;
    }

    /// Mean in °C, and slope by least squares times the window in K.
    fn mean_and_drift(&self) -> (f32, f32) {
        let count = self.samples.len() as f64;
        let first_millis = self.samples.front().map_or(0, |sample| sample.0);
        let points = || self.samples.iter().map(|(at, celsius)| ((at - first_millis) as f64, f64::from(*celsius)));
        let mean_millis = points().map(|point| point.0).sum::<f64>() / count;
        let mean_celsius = points().map(|point| point.1).sum::<f64>() / count;
        let variance: f64 = points().map(|(at, _)| (at - mean_millis) * (at - mean_millis)).sum();
        let covariance: f64 = points().map(|(at, celsius)| (at - mean_millis) * (celsius - mean_celsius)).sum();
        let slope = if variance > 0.0 { covariance / variance } else { 0.0 };
        (mean_celsius as f32, (slope * self.criterion.window_millis as f64) as f32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fed(celsius_at: impl Fn(u64) -> f32, secs: u64) -> Stability {
        let mut stability = Stability::new(Criterion::BATH);
        for second in (0..=secs).step_by(5) {
            stability.sample(Some(celsius_at(second)), second * 1000);
        }
        stability
    }

    #[test]
    fn a_quiet_bath_settles_after_its_window() {
        assert_eq!(fed(|_| 0.0625, 55).settling(), Settling::Filling(55_000));
        let dithering = fed(|second| if second % 10 == 0 { 0.0625 } else { 0.0 }, 60);
        assert!(matches!(dithering.settling(), Settling::Settled(mean) if (mean - 0.03).abs() < 0.01));
    }

    #[test]
    fn movement_and_drift_are_told_apart() {
        assert!(matches!(fed(|second| 20.0 - second as f32 * 0.1, 120).settling(), Settling::Moving(_)));
        let drift = fed(|second| second as f32 * 0.1 / 60.0, 120).settling();
        assert!(matches!(drift, Settling::Drifting(kelvin) if (kelvin - 0.1).abs() < 0.01), "{drift:?}");
    }

    #[test]
    fn a_failed_probe_starts_the_window_anew() {
        let mut stability = fed(|_| -20.0, 120);
        stability.sample(None, 125_000);
        assert_eq!(stability.settling(), Settling::Filling(0));
        stability.sample(Some(-20.0), 130_000);
        stability.sample(Some(-20.0), 129_000);
        assert_eq!(stability.settling(), Settling::Filling(0));
    }

    proptest! {
        #[test]
        fn never_settled_on_a_wide_window_and_always_bounded(
            samples in prop::collection::vec((prop::option::of(-30.0_f32..30.0), 0_u64..20_000), 0..900),
        ) {
            let mut stability = Stability::new(Criterion::BATH);
            let mut now = 0;
            for (celsius, wait) in samples {
                now += wait;
                stability.sample(celsius, now);
                prop_assert!(stability.samples.len() <= MAX_SAMPLES);
                if let Settling::Settled(mean) = stability.settling() {
                    for (_, celsius) in &stability.samples {
                        prop_assert!((celsius - mean).abs() < Criterion::BATH.peak_to_peak_kelvin);
                    }
                }
            }
        }
    }
}
