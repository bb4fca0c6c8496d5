//! When to sample and when to read.

/// Longest time between two samplings, seconds. Alerts and the tool's raw values are never older than this.
const MAX_SAMPLING_SECS: u64 = 5;

/// Samplings at even distances, every so many of which ends in a reading.
#[derive(Debug, Clone)]
pub struct Schedule {
    samplings_per_reading: u64,
    period_millis: u64,
    next_sampling_millis: u64,
    samplings_to_reading: u64,
}

impl Schedule {
    /// Starts now, with a reading after the first sampling.
    pub fn new(interval_secs: u16, now_millis: u64) -> Self {
        let interval_secs = u64::from(interval_secs.max(1));
        let samplings_per_reading = interval_secs.div_ceil(MAX_SAMPLING_SECS);
        Schedule {
            samplings_per_reading,
            period_millis: interval_secs * 1000 / samplings_per_reading,
            next_sampling_millis: now_millis,
            samplings_to_reading: 1,
        }
    }

    /// Whether a sampling is to be started now. Samplings that were missed are not made up for.
    pub fn sampling_is_due(&mut self, now_millis: u64) -> bool {
        if now_millis < self.next_sampling_millis {
            return false;
        }
        let missed = (now_millis - self.next_sampling_millis) / self.period_millis;
        self.next_sampling_millis += (missed + 1) * self.period_millis;
        true
    }

    /// Whether the sampling that has ended is followed by a reading.
    pub fn reading_is_due(&mut self) -> bool {
        self.samplings_to_reading -= 1;
        let due = self.samplings_to_reading == 0;
        if due {
            self.samplings_to_reading = self.samplings_per_reading;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn readings(interval_secs: u16, until_secs: u64) -> Vec<u64> {
        let mut schedule = Schedule::new(interval_secs, 0);
        (0..until_secs * 100)
            .map(|tick| tick * 10)
            .filter(|now| schedule.sampling_is_due(*now) && schedule.reading_is_due())
            .collect()
    }

    #[test]
    fn readings_follow_the_interval() {
        assert_eq!(readings(5, 16), [0, 5000, 10_000, 15_000]);
        assert_eq!(readings(7, 16), [0, 7000, 14_000]);
        assert_eq!(readings(1, 3), [0, 1000, 2000]);
        assert_eq!(readings(60, 121), [0, 60_000, 120_000]);
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut schedule = Schedule::new(5, 0);
        assert!(schedule.sampling_is_due(0));
        assert!(schedule.sampling_is_due(17_000));
        assert!(!schedule.sampling_is_due(19_990));
        assert!(schedule.sampling_is_due(20_000));
    }

    proptest! {
        #[test]
        fn samplings_are_never_further_apart_than_five_seconds(interval_secs in 1_u16..=3600) {
            let schedule = Schedule::new(interval_secs, 0);
            prop_assert!(schedule.period_millis <= 5000);
            prop_assert!(schedule.period_millis >= 1000);
            let drift = u64::from(interval_secs) * 1000 - schedule.period_millis * schedule.samplings_per_reading;
            prop_assert!(drift < 1000);
        }
    }
}
