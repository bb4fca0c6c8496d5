//! The device shadow: what the cloud wants changed. What the board reports is in [`Board::reported`].
//!
//! Keys that this firmware does not know are passed over. A value out of bounds is left alone and named under
//! `rejected`, so that whoever asked for it sees why the difference stays.
//!
//! [`Board::reported`]: crate::board::Board::reported

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
};
use core::{fmt, ops::RangeInclusive};

use coldbench_protocol::{Settings, Thresholds};
use serde_json::{Map, Value};

/// Longest shadow document of AWS IoT, in bytes; a longer one is not read.
pub const MAX_DOCUMENT_LEN: usize = 8192;

/// Seconds between two readings.
pub const INTERVAL_SECS: RangeInclusive<u16> = 1..=3600;
/// Every temperature threshold, °C.
pub const CELSIUS: RangeInclusive<f32> = -40.0..=20.0;
/// Every voltage threshold, V.
pub const VOLTS: RangeInclusive<f32> = 5.0..=36.0;
/// Every delay, seconds.
pub const DELAY_SECS: RangeInclusive<u16> = 0..=14_400;

/// Why a value was not taken, by its key.
pub type Rejected = BTreeMap<String, String>;

/// The settings after a shadow document.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// With every valid change made.
    pub settings: Settings,
    /// What was not taken.
    pub rejected: Rejected,
}

/// Text that is no shadow document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAShadow;

impl fmt::Display for NotAShadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no shadow document")
    }
}

impl core::error::Error for NotAShadow {}

/// Applies a document of `update/delta` (`state` holds the differences) or of `get/accepted` (`state.delta` holds them,
/// and is absent when there are none).
///
/// # Errors
/// [`NotAShadow`] when it is not JSON, has no `state`, or is longer than [`MAX_DOCUMENT_LEN`].
pub fn apply(json: &str, current: &Settings) -> Result<Applied, NotAShadow> {
    if json.len() > MAX_DOCUMENT_LEN {
        return Err(NotAShadow);
    }
    let document: Value = serde_json::from_str(json).map_err(|_| NotAShadow)?;
    let state = document.get("state").and_then(Value::as_object).ok_or(NotAShadow)?;
    let is_whole_document = ["desired", "reported", "delta"].iter().any(|key| state.contains_key(*key));
    let nothing = Map::new();
    let wanted =
        if is_whole_document { state.get("delta").and_then(Value::as_object).unwrap_or(&nothing) } else { state };

    let mut applied = Applied { settings: current.clone(), rejected: Rejected::new() };
    if let Some(value) = wanted.get("interval_secs") {
        match number_in(value, &INTERVAL_SECS) {
            Ok(secs) => applied.settings.interval_secs = secs,
            Err(why) => applied.reject("interval_secs", why),
        }
    }
    match wanted.get("thresholds") {
        Some(Value::Object(thresholds)) => applied.apply_thresholds(thresholds),
        Some(_) => applied.reject("thresholds", "not an object".into()),
        None => {}
    }
    Ok(applied)
}

/// Whether a board can work with these settings.
///
/// # Errors
/// One sentence that names the value.
pub fn check(settings: &Settings) -> Result<(), String> {
    let in_bounds = |key: &str, why: Result<(), String>| why.map_err(|why| format!("{key}: {why}"));
    in_bounds("interval_secs", within(settings.interval_secs, &INTERVAL_SECS).map(drop))?;
    let mut thresholds = settings.thresholds;
    for (key, field) in fields(&mut thresholds) {
        in_bounds(key, field.check())?;
    }
    check_order(&thresholds)
}

impl Applied {
    fn reject(&mut self, key: &str, why: String) {
        self.rejected.insert(key.to_string(), why);
    }

    fn apply_thresholds(&mut self, wanted: &Map<String, Value>) {
        let mut thresholds = self.settings.thresholds;
        for (key, field) in fields(&mut thresholds) {
            if let Some(Err(why)) = wanted.get(key).map(|value| field.set(value)) {
                self.reject(key, why);
            }
        }
        match check_order(&thresholds) {
            Ok(()) => self.settings.thresholds = thresholds,
            Err(why) => self.reject("thresholds", why),
        }
    }
}

/// One threshold, with its unit.
enum Field<'a> {
    Celsius(&'a mut f32),
    Volts(&'a mut f32),
    Secs(&'a mut u16),
}

impl Field<'_> {
    fn set(self, value: &Value) -> Result<(), String> {
        match self {
            Field::Celsius(celsius) => number_in(value, &CELSIUS).map(|new| *celsius = new),
            Field::Volts(volts) => number_in(value, &VOLTS).map(|new| *volts = new),
            Field::Secs(secs) => number_in(value, &DELAY_SECS).map(|new| *secs = new),
        }
    }

    fn check(self) -> Result<(), String> {
        match self {
            Field::Celsius(celsius) => within(*celsius, &CELSIUS).map(drop),
            Field::Volts(volts) => within(*volts, &VOLTS).map(drop),
            Field::Secs(secs) => within(*secs, &DELAY_SECS).map(drop),
        }
    }
}

fn fields(thresholds: &mut Thresholds) -> [(&'static str, Field<'_>); 12] {
    let t = thresholds;
    [
        ("freezer_warning_celsius", Field::Celsius(&mut t.freezer_warning_celsius)),
        ("freezer_warning_secs", Field::Secs(&mut t.freezer_warning_secs)),
        ("freezer_critical_celsius", Field::Celsius(&mut t.freezer_critical_celsius)),
        ("freezer_critical_secs", Field::Secs(&mut t.freezer_critical_secs)),
        ("freezer_clear_celsius", Field::Celsius(&mut t.freezer_clear_celsius)),
        ("freezer_clear_secs", Field::Secs(&mut t.freezer_clear_secs)),
        ("door_warning_secs", Field::Secs(&mut t.door_warning_secs)),
        ("door_critical_secs", Field::Secs(&mut t.door_critical_secs)),
        ("supply_warning_volts", Field::Volts(&mut t.supply_warning_volts)),
        ("supply_warning_secs", Field::Secs(&mut t.supply_warning_secs)),
        ("supply_critical_volts", Field::Volts(&mut t.supply_critical_volts)),
        ("supply_critical_secs", Field::Secs(&mut t.supply_critical_secs)),
    ]
}

/// A warning comes before its critical alert, and an alert does not end where it starts.
fn check_order(t: &Thresholds) -> Result<(), String> {
    if !(t.freezer_clear_celsius <= t.freezer_warning_celsius
        && t.freezer_warning_celsius <= t.freezer_critical_celsius)
    {
        return Err("freezer clear, warning and critical must rise in this order".into());
    }
    if t.supply_critical_volts > t.supply_warning_volts {
        return Err("supply critical must not be above supply warning".into());
    }
    if t.door_warning_secs > t.door_critical_secs {
        return Err("door warning must not come after door critical".into());
    }
    Ok(())
}

/// A JSON number as the type of its bounds.
fn number_in<T: FromJson>(value: &Value, bounds: &RangeInclusive<T>) -> Result<T, String> {
    let number =
        T::from_json(value).ok_or_else(|| format!("not a number from {} to {}", bounds.start(), bounds.end()))?;
    within(number, bounds)
}

fn within<T: PartialOrd + fmt::Display>(value: T, bounds: &RangeInclusive<T>) -> Result<T, String> {
    if bounds.contains(&value) {
        Ok(value)
    } else {
        Err(format!("{value} is not from {} to {}", bounds.start(), bounds.end()))
    }
}

trait FromJson: PartialOrd + fmt::Display {
    fn from_json(value: &Value) -> Option<Self>
    where
        Self: Sized;
}

impl FromJson for u16 {
    fn from_json(value: &Value) -> Option<u16> {
        value.as_u64().and_then(|number| number.try_into().ok())
    }
}

impl FromJson for f32 {
    fn from_json(value: &Value) -> Option<f32> {
        value.as_f64().map(|number| number as f32)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply_to_default(json: &str) -> Applied {
        apply(json, &Settings::default()).unwrap()
    }

    #[test]
    fn a_delta_changes_what_it_names() {
        let applied = apply_to_default(
            r#"{"version":5,"timestamp":1,"state":{"interval_secs":10,"thresholds":{"freezer_warning_celsius":-18.1,
                "supply_warning_secs":60},"colour":"red"},"metadata":{}}"#,
        );
        let mut expected = Settings { interval_secs: 10, ..Settings::default() };
        expected.thresholds.freezer_warning_celsius = -18.1;
        expected.thresholds.supply_warning_secs = 60;
        assert_eq!(applied, Applied { settings: expected, rejected: Rejected::new() });
    }

    #[test]
    fn a_whole_document_is_read_for_its_delta() {
        let with =
            r#"{"state":{"desired":{"interval_secs":9},"reported":{"interval_secs":5},"delta":{"interval_secs":9}}}"#;
        assert_eq!(apply_to_default(with).settings.interval_secs, 9);
        let without = r#"{"state":{"desired":{"interval_secs":9},"reported":{"interval_secs":9}}}"#;
        assert_eq!(apply_to_default(without).settings.interval_secs, 5);
        assert_eq!(apply_to_default(r#"{"state":{}}"#).settings, Settings::default());
    }

    #[test]
    fn values_out_of_bounds_stay_and_are_named() {
        let applied = apply_to_default(
            r#"{"state":{"interval_secs":0,"thresholds":{"supply_critical_volts":"low","door_warning_secs":-1,
                "freezer_clear_celsius":-99,"freezer_warning_secs":70000,"freezer_critical_secs":300}}}"#,
        );
        let expected = Thresholds { freezer_critical_secs: 300, ..Thresholds::default() };
        assert_eq!(applied.settings, Settings { thresholds: expected, ..Settings::default() });
        let keys: alloc::vec::Vec<&str> = applied.rejected.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "door_warning_secs",
                "freezer_clear_celsius",
                "freezer_warning_secs",
                "interval_secs",
                "supply_critical_volts"
            ]
        );
        assert_eq!(applied.rejected["interval_secs"], "0 is not from 1 to 3600");
        let shape = apply_to_default(r#"{"state":{"thresholds":7,"interval_secs":true}}"#);
        assert_eq!(shape.rejected.len(), 2);
    }

    #[test]
    fn thresholds_that_contradict_each_other_are_refused_together() {
        let applied =
            apply_to_default(r#"{"state":{"thresholds":{"freezer_warning_celsius":-10,"door_warning_secs":60}}}"#);
        assert_eq!(applied.settings, Settings::default());
        assert!(applied.rejected["thresholds"].contains("rise in this order"));
    }

    #[test]
    fn defaults_pass_the_check_and_nonsense_does_not() {
        assert_eq!(check(&Settings::default()), Ok(()));
        assert_eq!(check(&Settings { thresholds: Thresholds::for_24_volts(), ..Settings::default() }), Ok(()));
        assert!(check(&Settings { interval_secs: 0, ..Settings::default() }).unwrap_err().starts_with("interval_secs"));
        let nan = Thresholds { freezer_clear_celsius: f32::NAN, ..Thresholds::default() };
        assert!(check(&Settings { thresholds: nan, ..Settings::default() }).unwrap_err().contains("freezer_clear"));
    }

    #[test]
    fn what_is_no_shadow_is_refused() {
        for text in ["", "[]", "{}", r#"{"state":3}"#, &" ".repeat(MAX_DOCUMENT_LEN + 1)] {
            assert_eq!(apply(text, &Settings::default()), Err(NotAShadow));
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics_and_settings_stay_valid(
            text in prop_oneof![
                ".{0,80}".boxed(),
                (any::<i32>(), any::<f64>(), any::<f32>()).prop_map(|(interval, celsius, volts)| format!(
                    r#"{{"state":{{"interval_secs":{interval},"thresholds":{{"freezer_critical_celsius":{celsius},"supply_warning_volts":{volts}}}}}}}"#
                )).boxed(),
            ],
        ) {
            if let Ok(applied) = apply(&text, &Settings::default()) {
                prop_assert_eq!(check(&applied.settings), Ok(()));
            }
        }
    }
}
