//! The device shadow: what the cloud wants changed, and what the board reports.
//!
//! Keys that this firmware does not know are passed over. A value out of bounds is left alone and named under
//! `rejected`, so that whoever asked for it sees why the difference stays.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
};
use core::{fmt, ops::RangeInclusive};

use coldbench_protocol::{Settings, Thresholds};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    hardware::{BoardFacts, Light},
    payload::Reading,
};

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

/// What the board reports.
pub(crate) struct Report<'a> {
    pub facts: &'a BoardFacts,
    pub settings: &'a Settings,
    pub calibration_job: &'a str,
    pub rejected: &'a Rejected,
    pub reading: Option<&'a Reading>,
}

impl Report<'_> {
    /// The document for `update`. A `null` removes what an earlier report said.
    pub(crate) fn to_json(&self) -> String {
        let reported = Reported {
            interval_secs: self.settings.interval_secs,
            thresholds: &self.settings.thresholds,
            rejected: (!self.rejected.is_empty()).then_some(self.rejected),
            firmware: &self.facts.firmware,
            image_sha256: hex(&self.facts.image_sha256),
            mac: mac_text(&self.facts.mac),
            chip: &self.facts.chip,
            calibration_job: (!self.calibration_job.is_empty()).then_some(self.calibration_job),
            reading: self.reading.map(ReadingSummary::of),
        };
        // Writing plain data to memory cannot fail.
        serde_json::to_string(&Document { state: State { reported } }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    state: State<'a>,
}

#[derive(Serialize)]
struct State<'a> {
    reported: Reported<'a>,
}

#[derive(Serialize)]
struct Reported<'a> {
    interval_secs: u16,
    thresholds: &'a Thresholds,
    rejected: Option<&'a Rejected>,
    firmware: &'a str,
    image_sha256: String,
    mac: String,
    chip: &'a str,
    calibration_job: Option<&'a str>,
    reading: Option<ReadingSummary<'a>>,
}

/// The last reading under the names of the payload, so that a tool can hold the two side by side.
#[derive(Serialize)]
struct ReadingSummary<'a> {
    seq: u32,
    time: Option<&'a str>,
    freezer_celsius: Option<f32>,
    outside_celsius: Option<f32>,
    supply_volts: Option<f32>,
    supply_min_volts: Option<f32>,
    door_open: bool,
    door_openings: u32,
    status: Light,
}

impl<'a> ReadingSummary<'a> {
    fn of(reading: &'a Reading) -> Self {
        ReadingSummary {
            seq: reading.seq,
            time: reading.time.as_deref(),
            freezer_celsius: reading.freezer_celsius,
            outside_celsius: reading.outside_celsius,
            supply_volts: reading.supply_volts,
            supply_min_volts: reading.supply_min_volts,
            door_open: reading.door_open,
            door_openings: reading.door_openings,
            status: reading.status,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac_text(mac: &[u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
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

    #[test]
    fn the_report_closes_the_difference() {
        let facts = BoardFacts {
            firmware: "0.1.0".into(),
            image_sha256: [0xAB; 32],
            mac: [0xA0, 0, 1, 2, 3, 0xFF],
            chip: "esp32c3".into(),
            reset_reason: "power-on".into(),
        };
        let applied = apply_to_default(r#"{"state":{"thresholds":{"supply_warning_volts":12.1},"interval_secs":0}}"#);
        let report = Report {
            facts: &facts,
            settings: &applied.settings,
            calibration_job: "",
            rejected: &applied.rejected,
            reading: None,
        };
        let document: Value = serde_json::from_str(&report.to_json()).unwrap();
        let reported = &document["state"]["reported"];
        assert_eq!(reported["thresholds"]["supply_warning_volts"].as_f64(), Some(12.1), "not 12.100000381");
        assert_eq!(reported["mac"], "a0:00:01:02:03:ff");
        assert_eq!(reported["image_sha256"].as_str().map(str::len), Some(64));
        assert_eq!(reported["rejected"]["interval_secs"], "0 is not from 1 to 3600");
        assert_eq!(reported["calibration_job"], Value::Null);
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
