//! A reading as one JSON string. It is written once, on the board; the same bytes go over USB and MQTT.

use alloc::{string::String, vec::Vec};

use coldbench_protocol::ProbeFault;
use serde::{Deserialize, Serialize};

use crate::{alerts::Alert, hardware::Light};

/// Version of the payload.
pub const PAYLOAD_VERSION: u8 = 1;

/// Longest reading, in bytes.
pub const MAX_READING_LEN: usize = 1024;

/// One reading. A measurement that could not be made is `null` and has an entry in `faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// [`PAYLOAD_VERSION`].
    pub v: u8,
    /// Number of the reading since the start, from 1.
    pub seq: u32,
    /// UTC, RFC 3339 to the second; `None` until the clock was set.
    pub time: Option<String>,
    /// Seconds since the start; tells readings apart while there is no time.
    pub uptime_secs: u64,
    /// Name of the thing; `None` until the board is commissioned.
    pub thing: Option<String>,
    /// Seconds between two readings.
    pub interval_secs: u16,
    /// Freezer temperature, °C.
    pub freezer_celsius: Option<f32>,
    /// Outside temperature, °C; `None` also where no probe is fitted.
    pub outside_celsius: Option<f32>,
    /// Supply voltage at the freezer unit, V.
    pub supply_volts: Option<f32>,
    /// Lowest supply voltage since the last reading, V.
    pub supply_min_volts: Option<f32>,
    /// Whether the door is open now.
    pub door_open: bool,
    /// How often the door was opened since the last reading.
    pub door_openings: u32,
    /// How long the door was open since the last reading, seconds.
    pub door_open_secs: f32,
    /// Degrees north, where a receiver is fitted and has a position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latitude_deg: Option<f64>,
    /// Degrees east, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longitude_deg: Option<f64>,
    /// What the light shows.
    pub status: Light,
    /// The alerts that are on.
    pub alerts: Vec<Alert>,
    /// The sensors that do not work.
    pub faults: Vec<SensorFault>,
    /// It was kept while the board had no connection, and is sent late. Written only when it is so: otherwise the late
    /// string is the one that went over USB.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub late: bool,
}

/// A sensor that does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SensorFault {
    /// Which one.
    pub sensor: Sensor,
    /// What is wrong with it.
    pub fault: FaultCode,
}

/// A sensor that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensor {
    /// The temperature probe in the freezer.
    Freezer,
    /// The temperature probe outside.
    Outside,
    /// The voltage input.
    Supply,
}

/// What is wrong with a sensor, as it is written into a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCode {
    /// It does not answer.
    Missing,
    /// Its checksum is wrong.
    BadChecksum,
    /// The data line is shorted.
    Shorted,
    /// It is not a DS18B20.
    NotADs18b20,
    /// It shows its power-on value.
    PowerOnValue,
    /// Its value is outside its range.
    OutOfRange,
    /// It did not answer in time.
    Timeout,
}

impl From<ProbeFault> for FaultCode {
    fn from(fault: ProbeFault) -> Self {
        match fault {
            ProbeFault::Missing => FaultCode::Missing,
            ProbeFault::Crc => FaultCode::BadChecksum,
            ProbeFault::Shorted => FaultCode::Shorted,
            ProbeFault::NotADs18b20 => FaultCode::NotADs18b20,
            ProbeFault::PowerOnValue => FaultCode::PowerOnValue,
            ProbeFault::OutOfRange => FaultCode::OutOfRange,
            ProbeFault::Timeout => FaultCode::Timeout,
        }
    }
}

impl Reading {
    /// The one JSON string, at most [`MAX_READING_LEN`] bytes for a thing name of at most 128.
    pub fn to_json(&self) -> String {
        // Writing plain data to memory cannot fail; an empty string would be refused by every reader.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the string back. Keys of a newer version are passed over.
    ///
    /// # Errors
    /// It is no reading.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

/// Rounds to hundredths: more than a probe of 1/16 °C and a 12-bit converter can tell.
pub fn hundredths(value: f32) -> f32 {
    let rounded = libm::roundf(value * 100.0) / 100.0;
    // So that -0.001 is written as 0.0, not as -0.0.
    rounded + 0.0
}

/// Rounds degrees to millionths, a tenth of a metre.
pub fn millionths(degrees: f64) -> f64 {
    libm::round(degrees * 1_000_000.0) / 1_000_000.0 + 0.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use alloc::{string::ToString, vec};

    use proptest::prelude::*;

    use super::*;

    fn reading() -> Reading {
        Reading {
            v: PAYLOAD_VERSION,
            seq: 7,
            time: Some("2026-11-27T07:00:05Z".into()),
            uptime_secs: 35,
            thing: Some("truckSensor01".into()),
            interval_secs: 5,
            freezer_celsius: Some(-19.31),
            outside_celsius: None,
            supply_volts: Some(12.61),
            supply_min_volts: Some(8.1),
            door_open: false,
            door_openings: 1,
            door_open_secs: 1.2,
            latitude_deg: None,
            longitude_deg: None,
            status: Light::Amber,
            alerts: vec![Alert::SupplyWarning],
            faults: vec![SensorFault { sensor: Sensor::Outside, fault: FaultCode::NotADs18b20 }],
            late: false,
        }
    }

    #[test]
    fn the_string_as_the_cloud_sees_it() {
        assert_eq!(
            reading().to_json(),
            r#"{"v":1,"seq":7,"time":"2026-11-27T07:00:05Z","uptime_secs":35,"thing":"truckSensor01","interval_secs":5,"#
                .to_string()
                + r#""freezer_celsius":-19.31,"outside_celsius":null,"supply_volts":12.61,"supply_min_volts":8.1,"#
                + r#""door_open":false,"door_openings":1,"door_open_secs":1.2,"status":"amber","#
                + r#""alerts":["supply_warning"],"faults":[{"sensor":"outside","fault":"not_a_ds18b20"}]}"#
        );
    }

    #[test]
    fn a_late_reading_is_the_same_string_with_a_mark() {
        let on_time = reading().to_json();
        let late = Reading { late: true, ..reading() }.to_json();
        assert_eq!(late, on_time.strip_suffix('}').unwrap().to_string() + r#","late":true}"#);
        assert!(Reading::parse(&late).unwrap().late);
    }

    #[test]
    fn keys_of_a_newer_version_are_passed_over() {
        let newer = reading().to_json().replacen('{', r#"{"humidity_percent":40,"#, 1);
        assert_eq!(Reading::parse(&newer).unwrap(), reading());
        assert!(Reading::parse("{}").is_err());
    }

    #[test]
    fn rounding_leaves_two_places_and_no_negative_zero() {
        assert_eq!(hundredths(-19.3125).to_string(), "-19.31");
        assert_eq!(hundredths(-0.001).to_string(), "0");
        assert_eq!(millionths(-0.000_000_1).to_string(), "0");
        assert_eq!(millionths(48.137_154_321).to_string(), "48.137154");
    }

    proptest! {
        #[test]
        fn reads_back_and_is_bounded(
            seq in any::<u32>(),
            uptime_secs in any::<u64>(),
            thing in prop::option::of("[a-zA-Z0-9:_-]{1,128}"),
            freezer in prop::option::of(-70.0_f32..130.0),
            volts in prop::option::of(0.0_f32..50.0),
            open_secs in 0.0_f32..3600.0,
            latitude in prop::option::of(-90.0_f64..90.0),
        ) {
            let all_alerts = vec![
                Alert::FreezerWarning, Alert::FreezerCritical, Alert::DoorWarning,
                Alert::DoorCritical, Alert::SupplyWarning, Alert::SupplyCritical,
            ];
            let faults = [Sensor::Freezer, Sensor::Outside, Sensor::Supply]
                .map(|sensor| SensorFault { sensor, fault: FaultCode::PowerOnValue });
            let reading = Reading {
                seq,
                uptime_secs,
                thing,
                interval_secs: u16::MAX,
                freezer_celsius: freezer.map(hundredths),
                supply_volts: volts.map(hundredths),
                supply_min_volts: volts.map(hundredths),
                door_openings: seq,
                door_open_secs: hundredths(open_secs),
                latitude_deg: latitude.map(millionths),
                longitude_deg: latitude.map(millionths),
                alerts: all_alerts,
                faults: faults.to_vec(),
                ..reading()
            };
            let json = reading.to_json();
            prop_assert!(json.len() <= MAX_READING_LEN, "{} bytes", json.len());
            prop_assert_eq!(Reading::parse(&json).unwrap(), reading);
        }
    }
}
