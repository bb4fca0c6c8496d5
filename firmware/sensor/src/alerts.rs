//! Alerts: thresholds with delay and hysteresis, and the light they ask for.

use alloc::vec::Vec;

use coldbench_protocol::Thresholds;
use serde::{Deserialize, Serialize};

use crate::hardware::Light;

/// A supply alert ends when the voltage is this much above its threshold: 12.2 V ends at 12.44 V.
const SUPPLY_RECOVERY_FACTOR: f32 = 1.02;

/// What is wrong. Written into readings by its name in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alert {
    /// The freezer is too warm.
    FreezerWarning,
    /// The freezer is far too warm.
    FreezerCritical,
    /// The door has been open too long.
    DoorWarning,
    /// The door has been open far too long.
    DoorCritical,
    /// The supply voltage is low.
    SupplyWarning,
    /// The supply voltage is so low that the freezer unit will stop.
    SupplyCritical,
}

impl Alert {
    /// The light this alert asks for.
    pub fn light(self) -> Light {
        match self {
            Alert::FreezerWarning | Alert::DoorWarning | Alert::SupplyWarning => Light::Amber,
            Alert::FreezerCritical | Alert::DoorCritical | Alert::SupplyCritical => Light::Red,
        }
    }
}

/// What the alerts are judged by. A faulty sensor gives `None`: it starts no alert and ends none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// Freezer temperature, calibrated, °C.
    pub freezer_celsius: Option<f32>,
    /// Supply voltage, calibrated, V.
    pub supply_volts: Option<f32>,
    /// How long the door has been open without a break, milliseconds; 0 when it is closed.
    pub door_open_millis: u64,
}

/// All alerts over time.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    freezer_warning: Latch,
    freezer_critical: Latch,
    door_warning: Latch,
    door_critical: Latch,
    supply_warning: Latch,
    supply_critical: Latch,
}

impl Alerts {
    /// Takes what is observed now.
    pub fn observe(&mut self, seen: &Observation, thresholds: &Thresholds, now_millis: u64) {
        let t = thresholds;
        let colder_for = Condition::lasting(t.freezer_clear_secs);
        for (latch, limit_celsius, secs) in [
            (&mut self.freezer_warning, t.freezer_warning_celsius, t.freezer_warning_secs),
            (&mut self.freezer_critical, t.freezer_critical_celsius, t.freezer_critical_secs),
        ] {
            let starts = Condition::lasting(secs).when(seen.freezer_celsius.is_some_and(|now| now > limit_celsius));
            let ends = colder_for.when(seen.freezer_celsius.is_some_and(|now| now <= t.freezer_clear_celsius));
            latch.observe(starts, ends, now_millis);
        }
        for (latch, secs) in
            [(&mut self.door_warning, t.door_warning_secs), (&mut self.door_critical, t.door_critical_secs)]
        {
            let open_too_long = seen.door_open_millis > u64::from(secs) * 1000;
            let closed = seen.door_open_millis == 0;
            latch.observe(Condition::at_once(open_too_long), Condition::at_once(closed), now_millis);
        }
        for (latch, limit_volts, secs) in [
            (&mut self.supply_warning, t.supply_warning_volts, t.supply_warning_secs),
            (&mut self.supply_critical, t.supply_critical_volts, t.supply_critical_secs),
        ] {
            let starts = Condition::lasting(secs).when(seen.supply_volts.is_some_and(|now| now < limit_volts));
            let recovered = seen.supply_volts.is_some_and(|now| now >= limit_volts * SUPPLY_RECOVERY_FACTOR);
            latch.observe(starts, Condition::at_once(recovered), now_millis);
        }
    }

    /// The alerts that are on.
    pub fn active(&self) -> Vec<Alert> {
        [
            (Alert::FreezerWarning, &self.freezer_warning),
            (Alert::FreezerCritical, &self.freezer_critical),
            (Alert::DoorWarning, &self.door_warning),
            (Alert::DoorCritical, &self.door_critical),
            (Alert::SupplyWarning, &self.supply_warning),
            (Alert::SupplyCritical, &self.supply_critical),
        ]
        .into_iter()
        .filter_map(|(alert, latch)| latch.on.then_some(alert))
        .collect()
    }
}

/// Something that is true or not now, and counts once it has been true for a time.
#[derive(Debug, Clone, Copy)]
struct Condition {
    holds: bool,
    millis: u64,
}

impl Condition {
    fn lasting(secs: u16) -> Self {
        Condition { holds: false, millis: u64::from(secs) * 1000 }
    }

    fn when(self, holds: bool) -> Self {
        Condition { holds, ..self }
    }

    fn at_once(holds: bool) -> Self {
        Condition { holds, millis: 0 }
    }

    /// Whether it has been true long enough; remembers in `since` when it became so.
    fn counts(self, since: &mut Option<u64>, now_millis: u64) -> bool {
        if !self.holds {
            *since = None;
            return false;
        }
        now_millis.saturating_sub(*since.get_or_insert(now_millis)) >= self.millis
    }
}

/// An alert with a condition that starts it and another that ends it; between the two it stays as it is.
#[derive(Debug, Clone, Copy, Default)]
struct Latch {
    on: bool,
    starting_since: Option<u64>,
    ending_since: Option<u64>,
}

impl Latch {
    fn observe(&mut self, starts: Condition, ends: Condition, now_millis: u64) {
        let start = starts.counts(&mut self.starting_since, now_millis);
        let end = ends.counts(&mut self.ending_since, now_millis);
        self.on = start || self.on && !end;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const WELL: Observation =
        Observation { freezer_celsius: Some(-22.0), supply_volts: Some(12.8), door_open_millis: 0 };

    /// Observes the same every 5 seconds, the ends included.
    fn hold(alerts: &mut Alerts, seen: Observation, secs: core::ops::RangeInclusive<u64>) {
        for second in secs.step_by(5) {
            alerts.observe(&seen, &Thresholds::default(), second * 1000);
        }
    }

    #[test]
    fn warm_freezer_warns_after_its_delay_and_clears_with_hysteresis() {
        let mut alerts = Alerts::default();
        hold(&mut alerts, WELL, 0..=60);
        assert_eq!(alerts.active(), vec![]);
        hold(&mut alerts, Observation { freezer_celsius: Some(-17.0), ..WELL }, 65..=960);
        assert_eq!(alerts.active(), vec![], "895 s");
        hold(&mut alerts, Observation { freezer_celsius: Some(-17.0), ..WELL }, 965..=965);
        assert_eq!(alerts.active(), vec![Alert::FreezerWarning], "900 s");
        hold(&mut alerts, Observation { freezer_celsius: Some(-18.5), ..WELL }, 970..=3000);
        assert_eq!(alerts.active(), vec![Alert::FreezerWarning], "between warning and clear");
        hold(&mut alerts, WELL, 3005..=3300);
        assert_eq!(alerts.active(), vec![Alert::FreezerWarning], "295 s");
        hold(&mut alerts, WELL, 3305..=3305);
        assert_eq!(alerts.active(), vec![]);
    }

    #[test]
    fn a_critical_freezer_asks_for_red() {
        let mut alerts = Alerts::default();
        hold(&mut alerts, Observation { freezer_celsius: Some(-5.0), ..WELL }, 0..=600);
        assert_eq!(alerts.active(), vec![Alert::FreezerCritical]);
        assert_eq!(Alert::FreezerCritical.light(), Light::Red);
    }

    #[test]
    fn a_faulty_sensor_starts_nothing_and_ends_nothing() {
        let mut alerts = Alerts::default();
        let blind = Observation { freezer_celsius: None, supply_volts: None, ..WELL };
        hold(&mut alerts, blind, 0..=4000);
        assert_eq!(alerts.active(), vec![]);
        hold(&mut alerts, Observation { freezer_celsius: Some(-17.0), ..WELL }, 4005..=5000);
        hold(&mut alerts, blind, 5005..=9000);
        assert_eq!(alerts.active(), vec![Alert::FreezerWarning]);
    }

    #[test]
    fn door_and_supply() {
        let mut alerts = Alerts::default();
        for second in (0_u64..=185).step_by(5) {
            let seen = Observation { door_open_millis: second * 1000, ..WELL };
            alerts.observe(&seen, &Thresholds::default(), second * 1000);
        }
        assert_eq!(alerts.active(), vec![Alert::DoorWarning]);
        hold(&mut alerts, Observation { supply_volts: Some(11.7), ..WELL }, 190..=310);
        assert_eq!(alerts.active(), vec![Alert::SupplyCritical]);
        hold(&mut alerts, Observation { supply_volts: Some(11.9), ..WELL }, 315..=490);
        assert_eq!(alerts.active(), vec![Alert::SupplyWarning, Alert::SupplyCritical]);
        hold(&mut alerts, Observation { supply_volts: Some(12.1), ..WELL }, 495..=495);
        assert_eq!(alerts.active(), vec![Alert::SupplyWarning]);
        hold(&mut alerts, Observation { supply_volts: Some(12.5), ..WELL }, 500..=500);
        assert_eq!(alerts.active(), vec![]);
    }

    proptest! {
        #[test]
        fn nothing_starts_before_its_delay(
            values in prop::collection::vec((-30.0_f32..10.0, 8.0_f32..15.0), 0..24),
        ) {
            // 24 samples of 5 s are shorter than every delay of the defaults.
            let mut alerts = Alerts::default();
            for (nth, (celsius, volts)) in values.iter().enumerate() {
                let seen = Observation {
                    freezer_celsius: Some(*celsius),
                    supply_volts: Some(*volts),
                    door_open_millis: nth as u64 * 5000,
                };
                alerts.observe(&seen, &Thresholds::default(), nth as u64 * 5000);
                prop_assert_eq!(alerts.active(), vec![]);
            }
        }
    }
}
