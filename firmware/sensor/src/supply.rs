//! The supply voltage at the freezer unit: scaling of the converter, and the lowest value between two readings.

/// A resistor divider in front of the converter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divider {
    /// Resistor towards the supply, ohms.
    pub upper_ohms: f32,
    /// Resistor towards ground, across which the converter measures, ohms.
    pub lower_ohms: f32,
}

impl Divider {
    /// The board's divider: 36 V become 2.5 V, the end of the converter's range at 12 dB.
    pub const NOMINAL: Divider = Divider { upper_ohms: 134_000.0, lower_ohms: 10_000.0 };

    /// Supply in volts from the converter's millivolts.
    pub fn supply_volts(&self, converter_millivolts: f32) -> f32 {
        converter_millivolts / 1000.0 * (self.upper_ohms + self.lower_ohms) / self.lower_ohms
    }
}

/// What a supply can have; anything else is the converter's mistake.
const RANGE_VOLTS: core::ops::RangeInclusive<f32> = 0.0..=60.0;

/// The converter's answers between two readings. A crank of 15 ms is shorter than the interval, so the lowest is kept.
#[derive(Debug, Clone, Default)]
pub struct Supply {
    volts: Option<f32>,
    lowest_volts: Option<f32>,
}

impl Supply {
    /// Takes one sample in volts; `None` when the converter does not answer. Beyond 0 to 60 V counts as no answer.
    pub fn sample(&mut self, volts: Option<f32>) {
        self.volts = volts.filter(|volts| RANGE_VOLTS.contains(volts));
        self.lowest_volts = match (self.lowest_volts, self.volts) {
            (Some(lowest), Some(volts)) => Some(lowest.min(volts)),
            (lowest, volts) => lowest.or(volts),
        };
    }

    /// The last sample, volts.
    pub fn volts(&self) -> Option<f32> {
        self.volts
    }

    /// The lowest sample since the last call, volts, for a reading.
    pub fn take_lowest_volts(&mut self) -> Option<f32> {
        core::mem::replace(&mut self.lowest_volts, self.volts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nominal_divider_ends_at_36_volts() {
        assert!((Divider::NOMINAL.supply_volts(2500.0) - 36.0).abs() < 1e-4);
        assert!((Divider::NOMINAL.supply_volts(875.0) - 12.6).abs() < 1e-4);
        assert!(Divider::NOMINAL.supply_volts(0.0).abs() < f32::EPSILON);
    }

    #[test]
    fn a_crank_between_two_readings_is_kept_once() {
        let mut supply = Supply::default();
        for volts in [12.6, 8.1, 12.5] {
            supply.sample(Some(volts));
        }
        assert_eq!(supply.volts(), Some(12.5));
        assert_eq!(supply.take_lowest_volts(), Some(8.1));
        supply.sample(Some(12.6));
        assert_eq!(supply.take_lowest_volts(), Some(12.5));
    }

    #[test]
    fn a_silent_converter_gives_nothing() {
        let mut supply = Supply::default();
        supply.sample(None);
        supply.sample(Some(f32::NAN));
        supply.sample(Some(-0.5));
        assert_eq!((supply.volts(), supply.take_lowest_volts()), (None, None));
    }
}
