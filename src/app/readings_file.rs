//! Readings as CSV, for a spreadsheet.

use std::fmt::Write;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::live::{Light, Row};

/// The readings as CSV (RFC 4180), one a line, times in UTC. A field is empty where nothing was measured.
pub fn csv(rows: &[Row]) -> String {
    let mut csv =
        "time_utc,seq,freezer_celsius,outside_celsius,supply_volts,door_open,status,late,usb,mqtt\r\n".to_owned();
    for row in rows {
        let time = OffsetDateTime::from_unix_timestamp(i64::from(row.unix_secs)).ok();
        let time = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
        let value = |value: f32| if value.is_finite() { value.to_string() } else { String::new() };
        let status = match row.light {
            Light::Green => "green",
            Light::Amber => "amber",
            Light::Red => "red",
            Light::Unknown => "",
        };
        let [freezer, outside, supply] = [row.freezer_celsius, row.outside_celsius, row.supply_volts].map(value);
        let Row { seq, door_open, late, usb, mqtt, .. } = row;
        // Writing to memory cannot fail.
        let _ = write!(csv, "{time},{seq},{freezer},{outside},{supply},{door_open},{status},{late},{usb},{mqtt}\r\n");
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_empty() {
        let row = Row {
            unix_secs: 1_795_766_400,
            seq: 7,
            freezer_celsius: -18.5,
            outside_celsius: f32::NAN,
            supply_volts: 13.8,
            light: Light::Green,
            door_open: false,
            late: true,
            usb: true,
            mqtt: false,
        };
        let csv = csv(&[row]);
        assert_eq!(csv.lines().nth(1), Some("2026-11-27T08:00:00Z,7,-18.5,,13.8,false,green,true,true,false"));
    }
}
