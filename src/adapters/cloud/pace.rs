//! Keeps each API below the rate that AWS IoT allows an account by default.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Time between two requests of one API in the long run: 10 per second (AWS IoT quotas: 10 to 15 for the registry).
const SPACING: Duration = Duration::from_millis(100);
/// How far requests may run ahead of that: ten at once.
const BURST: Duration = Duration::from_millis(900);

/// A token bucket for each API. Time is kept instead of tokens: the time at which the bucket is full again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    full_at: Mutex<HashMap<&'static str, Instant>>,
}

impl Pace {
    /// Waits until a request of this API may go out.
    pub(super) async fn wait(&self, operation: &'static str) {
        let at = self.take(operation, Instant::now());
        sleep_until(at).await;
    }

    /// Takes a token and says from when on it may be used.
    fn take(&self, operation: &'static str, now: Instant) -> Instant {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full = full_at.entry(operation).or_insert(now);
        let begun = now.max(*full);
        *full = begun + SPACING;
        now.max(begun.checked_sub(BURST).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_requests_go_at_once_and_more_at_ten_a_second() {
        let pace = Pace::default();
        let now = Instant::now() + Duration::from_secs(60);
        let waits: Vec<Duration> = (0..20).map(|_| pace.take("CreateThing", now) - now).collect();
        assert!(waits[..10].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[10], Duration::from_millis(100));
        assert_eq!(waits[19], Duration::from_secs(1));
        assert_eq!(pace.take("DescribeThing", now), now, "each API has its own bucket");
        let later = now + Duration::from_secs(3);
        assert_eq!(pace.take("CreateThing", later), later, "it fills again");
    }
}
