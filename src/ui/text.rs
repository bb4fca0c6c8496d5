//! How numbers, times and addresses read on the screen.
//!
//! Rules for words: sentence case, no full stop after a single sentence, "…" on a button that opens a dialog, units
//! after a space, the true minus sign.

use time::{OffsetDateTime, UtcOffset};

/// What stands where there is no value.
pub const NO_VALUE: &str = "–";

/// A number with fixed decimals and the true minus sign; [`NO_VALUE`] for none.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return NO_VALUE.to_owned() };
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        // Rounding must not leave a minus before a plain zero.
        Some(size) if size.bytes().all(|byte| matches!(byte, b'0' | b'.')) => size.to_owned(),
        Some(size) => format!("\u{2212}{size}"),
        None => text,
    }
}

/// A temperature: "−21.4 °C".
pub fn celsius(value: Option<f64>) -> String {
    format!("{} °C", number(value, 1))
}

/// A voltage: "12.6 V".
pub fn volts(value: Option<f64>) -> String {
    format!("{} V", number(value, 1))
}

/// A length of time, rounded as a person would say it: "8 s", "2 min 05 s", "1 h 03 min".
pub fn duration(secs: f64) -> String {
    let whole = if secs.is_finite() { secs.max(0.0).round() as u64 } else { return NO_VALUE.to_owned() };
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds:02} s"),
        _ => format!("{hours} h {minutes:02} min"),
    }
}

/// An amount of data in decimal units: "512 B", "4.2 kB", "1.4 MB".
pub fn bytes(count: u64) -> String {
    let count_f = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count_f / 1e3),
        _ => format!("{:.1} MB", count_f / 1e6),
    }
}

/// Done and total of something counted, with its share: "1.2 MB of 1.4 MB".
pub fn bytes_of(done: u64, total: u64) -> String {
    format!("{} of {}", bytes(done), bytes(total))
}

/// Date and time in UTC: "2026-03-01 14:05:09 UTC".
pub fn utc(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{} {} UTC", date(at), clock(at))
}

/// The time of day where the technician is: "15:05:09".
pub fn local_clock(at: OffsetDateTime, local: UtcOffset) -> String {
    clock(at.to_offset(local))
}

/// UTC with the local time beside it, to the minute: "14:05 UTC (15:05 here)"; only UTC where both are the same.
pub fn both_minutes(at: OffsetDateTime, local: UtcOffset) -> String {
    let minutes = |at: OffsetDateTime| format!("{:02}:{:02}", at.hour(), at.minute());
    let utc = minutes(at.to_offset(UtcOffset::UTC));
    if local.is_utc() { format!("{utc} UTC") } else { format!("{utc} UTC ({} here)", minutes(at.to_offset(local))) }
}

/// The part of a port's path that tells it from others: "ttyUSB0", "COM3".
pub fn port(path: &str) -> &str {
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path)
}

/// UTC with the local time beside it: "14:05:09 UTC (15:05:09 here)"; only UTC where both are the same.
pub fn both_clocks(at: OffsetDateTime, local: UtcOffset) -> String {
    let utc = clock(at.to_offset(UtcOffset::UTC));
    if local.is_utc() { format!("{utc} UTC") } else { format!("{utc} UTC ({} here)", local_clock(at, local)) }
}

/// Date and time in UTC, with the time here beside it where it is another.
pub fn utc_and_local(at: OffsetDateTime) -> String {
    let local = super::open::local_offset();
    if local.is_utc() { utc(at) } else { format!("{} ({} here)", utc(at), local_clock(at, local)) }
}

/// The time of day in UTC of a place on a plot, seconds since 1970: "14:05", or "14:05:09".
pub fn clock_of(unix_secs: f64, with_seconds: bool) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix_secs as i64).map_or_else(|_| NO_VALUE.to_owned(), clock);
    if with_seconds { at } else { at.get(..5).unwrap_or(&at).to_owned() }
}

/// A name of the record as a heading: "register" becomes "Register".
pub fn sentence_case(name: &str) -> String {
    let mut letters = name.replace(['_', '-'], " ").chars().collect::<Vec<_>>();
    if let Some(first) = letters.first_mut() {
        *first = first.to_ascii_uppercase();
    }
    letters.into_iter().collect()
}

/// The day in UTC: "2026-03-01".
pub fn date_of(at: OffsetDateTime) -> String {
    date(at.to_offset(UtcOffset::UTC))
}

fn date(at: OffsetDateTime) -> String {
    format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// One word for a count: "1 board", "3 boards".
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests {
    use time::macros::{datetime, offset};

    use super::*;

    #[test]
    fn numbers_have_their_units_and_a_true_minus() {
        assert_eq!(celsius(Some(-21.44)), "\u{2212}21.4 °C");
        assert_eq!(celsius(Some(-0.04)), "0.0 °C");
        assert_eq!(volts(None), "– V");
        assert_eq!(number(Some(f64::NAN), 1), NO_VALUE);
    }

    #[test]
    fn lengths_of_time_and_data_are_rounded_as_people_say_them() {
        assert_eq!([duration(7.6), duration(125.0), duration(3780.0)], ["8 s", "2 min 05 s", "1 h 03 min"]);
        assert_eq!([bytes(512), bytes(4_200), bytes(1_440_000)], ["512 B", "4.2 kB", "1.4 MB"]);
        assert_eq!(count(1, "board", "boards"), "1 board");
    }

    #[test]
    fn names_of_the_record_become_headings() {
        assert_eq!(sentence_case("freezer_warning"), "Freezer warning");
        assert_eq!(sentence_case(""), "");
    }

    #[test]
    fn utc_stands_beside_the_local_time() {
        let at = datetime!(2026-03-01 14:05:09 UTC);
        assert_eq!(utc(at), "2026-03-01 14:05:09 UTC");
        assert_eq!(both_clocks(at, offset!(+1)), "14:05:09 UTC (15:05:09 here)");
        assert_eq!(both_clocks(at, UtcOffset::UTC), "14:05:09 UTC");
        assert_eq!(both_minutes(at, offset!(+1)), "14:05 UTC (15:05 here)");
    }

    #[test]
    fn a_port_is_called_by_the_end_of_its_path() {
        assert_eq!([port("/dev/ttyUSB0"), port("COM3"), port("/")], ["ttyUSB0", "COM3", "/"]);
    }
}
