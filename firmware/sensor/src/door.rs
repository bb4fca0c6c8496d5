//! The door switch: debounced, and what happens between two readings kept.

use coldbench_protocol::DoorPolarity;

/// The input must hold its level this long before it counts; a reed contact bounces for 0.5 to 1 ms, a rattling door
/// longer.
pub const DEBOUNCE_MILLIS: u64 = 30;

/// The door input over time. Times are in milliseconds since the start.
#[derive(Debug, Clone)]
pub struct Door {
    polarity: DoorPolarity,
    last_raw_high: bool,
    last_raw_change_millis: u64,
    high: bool,
    raw_edges: u32,
    edges: u32,
    open_since_millis: Option<u64>,
    since_reading: DoorRecord,
    /// Up to here `since_reading.open_millis` is counted.
    counted_until_millis: u64,
}

/// What the door did since the last reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DoorRecord {
    /// How often it was opened.
    pub openings: u32,
    /// How long it was open in all, milliseconds.
    pub open_millis: u64,
}

impl Door {
    /// A door whose input has this level now.
    pub fn new(high: bool, polarity: DoorPolarity, now_millis: u64) -> Self {
        let mut door = Door {
            polarity,
            last_raw_high: high,
            last_raw_change_millis: now_millis,
            high,
            raw_edges: 0,
            edges: 0,
            open_since_millis: None,
            since_reading: DoorRecord::default(),
            counted_until_millis: now_millis,
        };
        door.open_since_millis = door.is_open().then_some(now_millis);
        door
    }

    /// Takes one sample of the input. A change counts from its first edge, once it has held for [`DEBOUNCE_MILLIS`].
    pub fn sample(&mut self, high: bool, now_millis: u64) {
        if high != self.last_raw_high {
            self.last_raw_high = high;
            self.last_raw_change_millis = now_millis;
            self.raw_edges = self.raw_edges.wrapping_add(1);
        }
        let held_millis = now_millis.saturating_sub(self.last_raw_change_millis);
        if high != self.high && held_millis >= DEBOUNCE_MILLIS {
            self.turn(high);
        }
    }

    /// Sets which level means "open". What was counted so far stays.
    pub fn set_polarity(&mut self, polarity: DoorPolarity, now_millis: u64) {
        if polarity == self.polarity {
            return;
        }
        self.count_until(now_millis);
        self.polarity = polarity;
        self.open_since_millis = self.is_open().then_some(now_millis);
    }

    /// Whether the door is open, debounced.
    pub fn is_open(&self) -> bool {
        self.high == (self.polarity == DoorPolarity::OpenIsHigh)
    }

    /// How long the door has been open without a break, milliseconds; 0 when it is closed.
    pub fn open_for_millis(&self, now_millis: u64) -> u64 {
        self.open_since_millis.map_or(0, |since| now_millis.saturating_sub(since))
    }

    /// Level of the input after debouncing.
    pub fn high(&self) -> bool {
        self.high
    }

    /// Edges since the start, before debouncing.
    pub fn raw_edges(&self) -> u32 {
        self.raw_edges
    }

    /// Edges since the start, after debouncing.
    pub fn edges(&self) -> u32 {
        self.edges
    }

    /// What happened since the last call, for a reading.
    pub fn take_record(&mut self, now_millis: u64) -> DoorRecord {
        self.count_until(now_millis);
        core::mem::take(&mut self.since_reading)
    }

    fn turn(&mut self, high: bool) {
        let edge_millis = self.last_raw_change_millis;
        self.count_until(edge_millis);
        self.high = high;
        self.edges = self.edges.wrapping_add(1);
        if self.is_open() {
            self.open_since_millis = Some(edge_millis);
            self.since_reading.openings += 1;
        } else {
            self.open_since_millis = None;
        }
    }

    fn count_until(&mut self, millis: u64) {
        // A reading may fall between an edge and the end of its debouncing; that piece was counted with the old level.
        let piece_millis = millis.saturating_sub(self.counted_until_millis);
        if self.is_open() {
            self.since_reading.open_millis += piece_millis;
        }
        self.counted_until_millis = self.counted_until_millis.max(millis);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn closed_door() -> Door {
        Door::new(false, DoorPolarity::OpenIsHigh, 0)
    }

    /// Samples every 5 ms from `from` to `until`.
    fn hold(door: &mut Door, high: bool, from: u64, until: u64) {
        for millis in (from..until).step_by(5) {
            door.sample(high, millis);
        }
    }

    #[test]
    fn an_opening_shorter_than_the_interval_is_kept() {
        let mut door = closed_door();
        hold(&mut door, false, 5, 1000);
        hold(&mut door, true, 1000, 2200);
        hold(&mut door, false, 2200, 5000);
        assert!(!door.is_open());
        assert_eq!(door.take_record(5000), DoorRecord { openings: 1, open_millis: 1200 });
        assert_eq!(door.take_record(6000), DoorRecord::default());
    }

    #[test]
    fn bounce_is_counted_raw_and_is_one_edge() {
        let mut door = closed_door();
        for (millis, high) in [(100, true), (105, false), (110, true), (115, false), (120, true)] {
            door.sample(high, millis);
        }
        hold(&mut door, true, 125, 200);
        assert!(door.is_open());
        assert_eq!((door.raw_edges(), door.edges()), (5, 1));
        assert_eq!(door.open_for_millis(220), 100);
    }

    #[test]
    fn an_open_door_counts_across_readings() {
        let mut door = closed_door();
        hold(&mut door, true, 1000, 5000);
        assert_eq!(door.take_record(5000), DoorRecord { openings: 1, open_millis: 4000 });
        hold(&mut door, true, 5000, 10_000);
        assert_eq!(door.take_record(10_000), DoorRecord { openings: 0, open_millis: 5000 });
        assert_eq!(door.open_for_millis(10_000), 9000);
    }

    #[test]
    fn polarity_turns_the_meaning_of_a_level() {
        let mut door = closed_door();
        hold(&mut door, false, 5, 1000);
        door.set_polarity(DoorPolarity::OpenIsLow, 1000);
        assert!(door.is_open());
        assert_eq!(door.edges(), 0);
        assert_eq!(door.take_record(2000), DoorRecord { openings: 0, open_millis: 1000 });
    }

    proptest! {
        #[test]
        fn never_open_longer_than_time_went_by(
            steps in prop::collection::vec((any::<bool>(), 1_u64..200), 1..200),
            read_every in 1_usize..20,
        ) {
            let mut door = closed_door();
            let mut now = 0;
            let mut read_at = 0;
            let mut openings = 0;
            for (nth, (high, wait)) in steps.iter().enumerate() {
                now += wait;
                door.sample(*high, now);
                if nth % read_every == 0 {
                    let record = door.take_record(now);
                    prop_assert!(record.open_millis <= now - read_at);
                    openings += record.openings;
                    read_at = now;
                }
            }
            openings += door.take_record(now).openings;
            prop_assert!(door.edges() <= door.raw_edges());
            prop_assert_eq!(openings, door.edges().div_ceil(2));
            let levels: Vec<bool> = steps.iter().map(|step| step.0).collect();
            prop_assert!(levels.contains(&true) || openings == 0);
        }
    }
}
