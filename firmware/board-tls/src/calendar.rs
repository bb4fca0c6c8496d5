//! The time by which the library judges certificates: the moment at which the connection was begun.
//!
//! A handshake takes seconds, so one moment serves it whole, and the library needs no clock that runs.

use core::sync::atomic::{AtomicU32, Ordering};

use coldbench_sensor::clock::civil_from_days;
use mbedtls_rs::sys::{
    hook::wall_clock::{MbedtlsWallClock, hook_wall_clock},
    tm,
};

const SECS_PER_DAY: u32 = 86_400;

/// Seconds since 1970; 0 until the first connection. Good until 2106.
static NOW_UNIX_SECS: AtomicU32 = AtomicU32::new(0);

struct Moment;

impl MbedtlsWallClock for Moment {
    fn instant(&self) -> Option<tm> {
        let unix_secs = NOW_UNIX_SECS.load(Ordering::Relaxed);
        let secs_of_day = unix_secs % SECS_PER_DAY;
        let (year, month, day) = civil_from_days(u64::from(unix_secs / SECS_PER_DAY));
        // Only date and time are looked at; the library's own conversion is not used.
        (unix_secs > 0).then_some(tm {
            tm_sec: number(secs_of_day % 60),
            tm_min: number(secs_of_day / 60 % 60),
            tm_hour: number(secs_of_day / 3600),
            tm_mday: number(day),
            tm_mon: number(month) - 1,
            tm_year: number(year) - 1900,
            tm_wday: 0,
            tm_yday: 0,
            tm_isdst: 0,
        })
    }
}

fn number(value: impl TryInto<i32>) -> i32 {
    value.try_into().unwrap_or_default()
}

/// Gives the library its clock.
#[allow(unsafe_code, reason = "the library keeps a global; the clock is a static without state of its own")]
pub(crate) fn hook() {
    static MOMENT: Moment = Moment;
    // SAFETY: the clock lives as long as the program, and nothing of the library has run before `Tls::start`.
    unsafe { hook_wall_clock(Some(&MOMENT)) }
}

/// From now on certificates are judged by this moment.
pub(crate) fn set(unix_millis: u64) {
    NOW_UNIX_SECS.store(u32::try_from(unix_millis / 1000).unwrap_or_default(), Ordering::Relaxed);
}
