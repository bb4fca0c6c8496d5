//! UTC from the uptime and one setting, and its text form.

use alloc::{format, string::String};

/// First and last moment the clock can be set to: the years 2020 to 2099, milliseconds since 1970.
pub const VALID_UNIX_MILLIS: core::ops::Range<u64> = 1_577_836_800_000..4_102_444_800_000;

const SECS_PER_DAY: u64 = 86_400;
/// Days of 400 years.
const DAYS_PER_ERA: u64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;

/// A clock that knows UTC once it was set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// UTC at the start of the board, milliseconds since 1970.
    unix_millis_at_start: Option<u64>,
}

/// A moment outside [`VALID_UNIX_MILLIS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTime;

impl Clock {
    /// Sets the clock: now it is `unix_millis`.
    ///
    /// # Errors
    /// [`InvalidTime`] outside [`VALID_UNIX_MILLIS`]; the clock stays as it was.
    pub fn set(&mut self, unix_millis: u64, uptime_millis: u64) -> Result<(), InvalidTime> {
        if !VALID_UNIX_MILLIS.contains(&unix_millis) {
            return Err(InvalidTime);
        }
        self.unix_millis_at_start = Some(unix_millis.saturating_sub(uptime_millis));
        Ok(())
    }

    /// UTC in milliseconds since 1970; `None` until the clock was set.
    pub fn unix_millis(&self, uptime_millis: u64) -> Option<u64> {
        self.unix_millis_at_start.map(|start| start.saturating_add(uptime_millis))
    }
}

/// UTC as RFC 3339 to the second: `2026-11-27T07:00:05Z`. Fractions are cut off.
pub fn utc_text(unix_millis: u64) -> String {
    let secs = unix_millis / 1000;
    let (days, secs_of_day) = (secs / SECS_PER_DAY, secs % SECS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (secs_of_day / 3600, secs_of_day / 60 % 60, secs_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970 of a text that [`utc_text`] made; `None` for any other text.
pub fn unix_secs_of(text: &str) -> Option<u64> {
    let number = |range: core::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let days = days_from_civil(year, month, day)?;
    let unix_secs = days.checked_mul(SECS_PER_DAY)? + hour * 3600 + minute * 60 + second;
    // What does not give the same text again is out of some range, or written in another way.
    (utc_text(unix_secs * 1000) == text).then_some(unix_secs)
}

/// Days since 1970-01-01; `None` before it. The inverse of [`civil_from_days`] for dates that exist.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * DAYS_PER_ERA + day_of_era).checked_sub(DAYS_BEFORE_1970)
}

/// Year, month and day of the proleptic Gregorian calendar for days since 1970-01-01. The year is counted from March,
/// so that the leap day is its last day.
pub fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_795_762_805, "2026-11-27T07:00:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc_text(secs * 1000 + 999), text);
            assert_eq!(unix_secs_of(text), Some(secs));
        }
    }

    #[test]
    fn a_text_that_is_no_time_is_none() {
        for text in [
            "",
            "2026",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-27T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-27 07:00:05Z",
            "2026-11-27T07:00:05+00:00",
            "2026-00-00T00:00:00Z",
            "+026-11-27T07:00:05Z",
            "éééééééééééééééééééé",
        ] {
            assert_eq!(unix_secs_of(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_130_years_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..47_482 {
            assert_eq!(civil_from_days(days), (year, month, day));
            assert_eq!(days_from_civil(year, month, day), Some(days));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (2100, 1, 1));
    }

    #[test]
    fn the_clock_runs_on_from_its_setting() {
        let mut clock = Clock::default();
        assert_eq!(clock.unix_millis(10), None);
        assert_eq!(clock.set(0, 10), Err(InvalidTime));
        assert_eq!(clock.set(1_795_762_805_000, 5000), Ok(()));
        assert_eq!(clock.unix_millis(6500), Some(1_795_762_806_500));
    }
}
