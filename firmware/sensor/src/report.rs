//! What the board reports to its shadow.

use alloc::{format, string::String};

use coldbench_protocol::{Settings, Thresholds};
use serde::Serialize;

use crate::{
    hardware::{BoardFacts, Light},
    payload::Reading,
    shadow::Rejected,
};

/// What is reported.
pub(crate) struct Report<'a> {
    pub facts: &'a BoardFacts,
    pub settings: &'a Settings,
    pub calibration_job: &'a str,
    pub rejected: &'a Rejected,
    /// How many readings wait for a connection, and how many were dropped since the start.
    pub backlog: (u32, u32),
    pub reading: Option<&'a Reading>,
}

impl Report<'_> {
    /// The document for `update`. A `null` removes what an earlier report said.
    pub(crate) fn to_json(&self) -> String {
        let (waiting, dropped) = self.backlog;
        let reported = Reported {
            interval_secs: self.settings.interval_secs,
            thresholds: &self.settings.thresholds,
            rejected: (!self.rejected.is_empty()).then_some(self.rejected),
            firmware: &self.facts.firmware,
            image_sha256: hex(&self.facts.image_sha256),
            mac: mac_text(&self.facts.mac),
            chip: &self.facts.chip,
            calibration_job: (!self.calibration_job.is_empty()).then_some(self.calibration_job),
            backlog: (waiting > 0 || dropped > 0).then_some(BacklogSummary { waiting, dropped }),
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
    backlog: Option<BacklogSummary>,
    reading: Option<ReadingSummary<'a>>,
}

/// Readings that were made without a connection.
#[derive(Serialize)]
struct BacklogSummary {
    waiting: u32,
    dropped: u32,
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
    use serde_json::Value;

    use super::*;
    use crate::shadow;

    #[test]
    fn the_report_closes_the_difference() {
        let facts = BoardFacts {
            firmware: "0.1.0".into(),
            image_sha256: [0xAB; 32],
            mac: [0xA0, 0, 1, 2, 3, 0xFF],
            chip: "esp32c3".into(),
            reset_reason: "power-on".into(),
        };
        let wanted = r#"{"state":{"thresholds":{"supply_warning_volts":12.1},"interval_secs":0}}"#;
        let applied = shadow::apply(wanted, &Settings::default()).unwrap();
        let report = Report {
            facts: &facts,
            settings: &applied.settings,
            calibration_job: "",
            rejected: &applied.rejected,
            backlog: (0, 0),
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
}
