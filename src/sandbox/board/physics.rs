//! A freezer body on a truck: air, load, refrigeration unit, door, supply, weather.
//!
//! A first-order model with the time constants of published vehicles: the probe of a loaded box rises 2 K in 20 minutes
//! with the unit off and by 5 to 15 K during a stop of three minutes with the door open; it takes some 20 minutes to
//! recover. Values are what is, not what a sensor says.

use super::seed::Seeded;

/// Longest step of the model, in seconds; longer times are taken in several.
const STEP_SECS: f64 = 0.5;

/// Air follows the load, in seconds.
const LOAD_TO_AIR_SECS: f64 = 1_500.0;
/// Heat through the walls, as a time constant of the air, in seconds.
const WALL_SECS: f64 = 24_000.0;
/// Exchange of air through the open door, in seconds.
const DOOR_SECS: f64 = 350.0;
/// The load is this many times heavier than the air.
const LOAD_HEAVIER: f64 = 30.0;
/// What the running unit takes from the air, in K/s.
const COOLING_PER_SEC: f64 = 0.0034;
/// What the defrost heater adds, in K/s.
const DEFROST_PER_SEC: f64 = 0.003;

const CUT_OUT_CELSIUS: f64 = -20.6;
const CUT_IN_CELSIUS: f64 = -19.4;
const DEFROST_EVERY_SECS: f64 = 6.0 * 3600.0;
const DEFROST_SECS: f64 = 20.0 * 60.0;

/// A probe in air.
const AIR_PROBE_SECS: f64 = 90.0;
/// A probe in a stirred bath.
const BATH_PROBE_SECS: f64 = 6.0;

const REST_VOLTS: f64 = 12.65;
const RUNNING_DROP_VOLTS: f64 = 0.15;
const START_SAG_SECS: f64 = 0.6;

/// Where a probe hangs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Probe {
    /// At its place in the truck.
    #[default]
    Fitted,
    /// In a bath of this temperature, °C, as for calibration; 0 is an ice bath, 33 a hand around it.
    InBath(f64),
}

/// What people do to the truck.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Influence {
    pub(super) door_open: bool,
    pub(super) freezer_probe: Probe,
    pub(super) outside_probe: Probe,
    /// A bench supply in place of the battery.
    pub(super) supply_volts: Option<f64>,
    /// Seconds that the starter motor still turns.
    pub(super) cranking: bool,
}

/// The true state of the truck.
#[derive(Debug, Clone)]
pub(super) struct Truck {
    air_celsius: f64,
    load_celsius: f64,
    weather_celsius: f64,
    freezer_probe_celsius: f64,
    outside_probe_celsius: f64,
    compressor_on: bool,
    sag_secs: f64,
    sag_volts: f64,
    defrost_in_secs: f64,
    drift_volts: f64,
    weather: Seeded,
}

impl Truck {
    /// A loaded truck that has been cold for a day.
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut weather = Seeded::new(seed, "truck");
        let weather_celsius = weather.between(14.0, 26.0);
        let air_celsius = weather.between(-20.1, -19.9);
        Truck {
            air_celsius,
            load_celsius: -20.0,
            weather_celsius,
            freezer_probe_celsius: air_celsius,
            outside_probe_celsius: weather_celsius,
            compressor_on: weather.between(0.0, 1.0) < 0.5,
            sag_secs: 0.0,
            sag_volts: 0.0,
            defrost_in_secs: weather.between(0.4, 1.0) * DEFROST_EVERY_SECS,
            drift_volts: weather.between(-0.08, 0.08),
            weather,
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, secs: f64, influence: &Influence) {
        let mut left = secs.max(0.0);
        while left > 0.0 {
            let step = left.min(STEP_SECS);
            self.step(step, influence);
            left -= step;
        }
    }

    /// Temperature of the freezer probe itself, °C.
    pub(super) fn freezer_celsius(&self) -> f64 {
        self.freezer_probe_celsius
    }

    /// Temperature of the outside probe itself, °C.
    pub(super) fn outside_celsius(&self) -> f64 {
        self.outside_probe_celsius
    }

    /// Voltage at the terminals of the unit, V.
    pub(super) fn supply_volts(&self, influence: &Influence) -> f64 {
        if let Some(volts) = influence.supply_volts {
            return volts;
        }
        let unit = if self.compressor_on { RUNNING_DROP_VOLTS } else { 0.0 };
        let sag = if self.sag_secs > 0.0 { self.sag_volts } else { 0.0 };
        let crank = if influence.cranking { 5.0 } else { 0.0 };
        REST_VOLTS + self.drift_volts - unit - sag - crank
    }

    /// The refrigeration unit runs.
    pub(super) fn compressor_on(&self) -> bool {
        self.compressor_on
    }

    fn step(&mut self, secs: f64, influence: &Influence) {
        self.run_unit(secs);
        let defrosting = self.defrost_in_secs < DEFROST_SECS;
        let mut change = (self.load_celsius - self.air_celsius) / LOAD_TO_AIR_SECS
            + (self.weather_celsius - self.air_celsius) / WALL_SECS;
        if influence.door_open {
            change += (self.weather_celsius - self.air_celsius) / DOOR_SECS;
        }
        if self.compressor_on {
            change -= COOLING_PER_SEC;
        }
        if defrosting {
            change += DEFROST_PER_SEC;
        }
        let to_load = (self.air_celsius - self.load_celsius) / (LOAD_TO_AIR_SECS * LOAD_HEAVIER);
        self.air_celsius += change * secs;
        self.load_celsius += to_load * secs;
        self.weather_celsius += self.weather.noise(0.002) * secs;
        self.weather_celsius = self.weather_celsius.clamp(-30.0, 45.0);
        self.drift_volts = (self.drift_volts + self.weather.noise(0.001) * secs).clamp(-0.15, 0.15);
        follow(&mut self.freezer_probe_celsius, self.air_celsius, influence.freezer_probe, secs);
        follow(&mut self.outside_probe_celsius, self.weather_celsius, influence.outside_probe, secs);
    }

    /// The thermostat, the defrost clock and the sag while the motor starts.
    fn run_unit(&mut self, secs: f64) {
        self.sag_secs = (self.sag_secs - secs).max(0.0);
        self.defrost_in_secs -= secs;
        if self.defrost_in_secs <= 0.0 {
            self.defrost_in_secs = DEFROST_EVERY_SECS;
        }
        let wanted = if self.defrost_in_secs < DEFROST_SECS || self.air_celsius <= CUT_OUT_CELSIUS {
            false
        } else {
            self.compressor_on || self.air_celsius >= CUT_IN_CELSIUS
        };
        if wanted && !self.compressor_on {
            self.sag_secs = START_SAG_SECS;
            self.sag_volts = self.weather.between(0.3, 1.0);
        }
        self.compressor_on = wanted;
    }
}

fn follow(probe: &mut f64, fitted: f64, place: Probe, secs: f64) {
    let (target, lag) = match place {
        Probe::Fitted => (fitted, AIR_PROBE_SECS),
        Probe::InBath(celsius) => (celsius, BATH_PROBE_SECS),
    };
    *probe += (target - *probe) * (1.0 - (-secs / lag).exp());
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Influence = Influence {
        door_open: false,
        freezer_probe: Probe::Fitted,
        outside_probe: Probe::Fitted,
        supply_volts: None,
        cranking: false,
    };

    #[test]
    fn a_closed_freezer_cycles_and_stays_cold_for_hours() {
        let mut truck = Truck::from_seed(1);
        let (mut starts, mut was_on, mut lowest_volts) = (0, truck.compressor_on(), f64::MAX);
        for _ in 0..5 * 3600 {
            truck.pass(1.0, &CLOSED);
            starts += u32::from(truck.compressor_on() && !was_on);
            was_on = truck.compressor_on();
            lowest_volts = lowest_volts.min(truck.supply_volts(&CLOSED));
            assert!((-22.0..-15.0).contains(&truck.freezer_celsius()), "{}", truck.freezer_celsius());
        }
        assert!((3..60).contains(&starts), "{starts} starts in five hours");
        assert!((11.0..12.4).contains(&lowest_volts), "{lowest_volts} V: a start sags");
    }

    #[test]
    fn it_starts_steady_near_minus_twenty() {
        for seed in 0..20 {
            let mut truck = Truck::from_seed(seed);
            truck.pass(60.0, &CLOSED);
            assert!((-20.5..-19.5).contains(&truck.freezer_celsius()), "seed {seed}");
        }
    }

    #[test]
    fn a_stop_of_three_minutes_warms_the_probe_and_not_the_load() {
        let mut truck = Truck::from_seed(3);
        let (before, load_before) = (truck.freezer_celsius(), truck.load_celsius);
        truck.pass(180.0, &Influence { door_open: true, ..CLOSED });
        let rise = truck.freezer_celsius() - before;
        assert!((5.0..16.0).contains(&rise), "{rise} K");
        assert!(truck.load_celsius - load_before < 0.5);
        truck.pass(45.0 * 60.0, &CLOSED);
        assert!(truck.freezer_celsius() < -18.0, "it recovers: {}", truck.freezer_celsius());
    }

    #[test]
    fn a_bath_rules_the_probe_within_a_minute() {
        let mut truck = Truck::from_seed(4);
        truck.pass(60.0, &Influence { freezer_probe: Probe::InBath(0.0), ..CLOSED });
        assert!(truck.freezer_celsius().abs() < 0.01);
    }

    #[test]
    fn the_same_seed_gives_the_same_day() {
        let day = |seed| {
            let mut truck = Truck::from_seed(seed);
            truck.pass(3600.0, &CLOSED);
            (truck.freezer_celsius(), truck.supply_volts(&CLOSED))
        };
        assert_eq!(day(9), day(9));
        assert_ne!(day(9), day(10));
    }
}
