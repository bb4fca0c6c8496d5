//! How long the board waits before it connects again.

const FIRST_MILLIS: u64 = 1_000;
const LONGEST_MILLIS: u64 = 60_000;

/// The wait before the next connection: 1 s, doubling to 60 s, each shortened at random by up to half, so that a
/// fleet that lost its broker in one moment does not come back in one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    step_millis: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { step_millis: FIRST_MILLIS }
    }
}

impl Backoff {
    /// The wait before the next attempt, in milliseconds; the one after it is twice as long. `random` is any evenly
    /// spread number, from the chip's generator or the sandbox's seed.
    pub fn next_delay_millis(&mut self, random: u32) -> u64 {
        let half_millis = self.step_millis / 2;
        self.step_millis = (self.step_millis * 2).min(LONGEST_MILLIS);
        half_millis + half_millis * u64::from(random) / u64::from(u32::MAX)
    }

    /// Starts again at 1 s. To be called after a session in which the broker acknowledged a message
    /// ([`Outcome::was_useful`](super::Outcome::was_useful)): a session that merely connected and was thrown out
    /// must not be repeated every second.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn doubles_to_a_minute_and_starts_again() {
        let mut backoff = Backoff::default();
        let longest: Vec<u64> = (0..9).map(|_| backoff.next_delay_millis(u32::MAX)).collect();
        assert_eq!(longest, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        backoff.reset();
        assert_eq!(backoff.next_delay_millis(0), 500);
    }

    proptest! {
        #[test]
        fn jitter_takes_off_half_at_most(randoms in proptest::collection::vec(any::<u32>(), 1..20)) {
            let mut backoff = Backoff::default();
            let mut step_millis = 1_000;
            for random in randoms {
                let delay_millis = backoff.next_delay_millis(random);
                prop_assert!((step_millis / 2..=step_millis).contains(&delay_millis));
                step_millis = (step_millis * 2).min(60_000);
            }
        }
    }
}
