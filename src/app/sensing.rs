//! What the sensors said lately while a job calibrates them: for the plot, and for what has changed since a question.

use std::collections::VecDeque;

use time::{Duration, OffsetDateTime};

use crate::commission::events::{Sensed, SensedProbe, Steadiness};

/// How much of the past is kept, seconds.
pub const KEPT_SECS: i64 = 120;
/// A probe that got warmer by so much is held in a hand, °C.
const WARMED_CELSIUS: f64 = 1.0;
/// Most that is kept, should the sensors be asked faster than once a second.
const MAX_ROWS: usize = 600;

/// What the sensors said lately.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sensing {
    rows: VecDeque<(OffsetDateTime, Sensed)>,
    /// What they said when the question that stands was asked.
    at_question: Option<Sensed>,
}

impl Sensing {
    /// Takes what they say.
    pub fn take(&mut self, at: OffsetDateTime, sensed: Sensed) {
        let before = self.at_question.get_or_insert_with(|| sensed.clone());
        // A probe that had no value when the question was asked is compared with its first one.
        for probe in sensed.probes.iter().filter(|probe| probe.celsius.is_some()) {
            match before.probes.iter_mut().find(|known| known.rom == probe.rom) {
                Some(known) if known.celsius.is_none() => *known = probe.clone(),
                Some(_) => {}
                None => before.probes.push(probe.clone()),
            }
        }
        self.rows.push_back((at, sensed));
        let oldest = at - Duration::seconds(KEPT_SECS);
        while self.rows.len() > MAX_ROWS || self.rows.front().is_some_and(|(at, _)| *at < oldest) {
            self.rows.pop_front();
        }
    }

    /// A question is asked: changes count from here.
    pub fn asked(&mut self) {
        self.at_question = self.last().cloned();
    }

    /// What they say now.
    pub fn last(&self) -> Option<&Sensed> {
        self.rows.back().map(|(_, sensed)| sensed)
    }

    /// How steady the probe is that a reference is asked for.
    pub fn steadiness(&self) -> Option<&Steadiness> {
        self.last()?.steadiness.as_ref()
    }

    /// What a probe says now.
    pub fn probe(&self, rom: &str) -> Option<&SensedProbe> {
        find(self.last()?, rom)
    }

    /// How much warmer a probe is than when the question was asked, °C.
    pub fn warmed_by(&self, rom: &str) -> Option<f64> {
        let before = find(self.at_question.as_ref()?, rom)?.celsius?;
        Some(self.probe(rom)?.celsius? - before)
    }

    /// The probe that a person holds in the hand: the one that got clearly, and more than any other, warmer.
    pub fn held_in_hand(&self) -> Option<&str> {
        let probes = self.last()?.probes.iter();
        let warmed = probes.filter_map(|probe| Some((probe.rom.as_str(), self.warmed_by(&probe.rom)?)));
        let warmest = warmed.max_by(|one, other| one.1.total_cmp(&other.1))?;
        (warmest.1 >= WARMED_CELSIUS).then_some(warmest.0)
    }

    /// A probe's temperatures: seconds before the last one, and °C.
    pub fn trace<'a>(&'a self, rom: &'a str) -> impl Iterator<Item = (f64, f64)> + 'a {
        let now = self.rows.back().map(|(at, _)| *at);
        self.rows
            .iter()
            .filter_map(move |(at, sensed)| Some(((*at - now?).as_seconds_f64(), find(sensed, rom)?.celsius?)))
    }

    /// Whether the door's contact stands otherwise than when the question was asked; `None` while nothing is known.
    pub fn door_moved(&self) -> Option<bool> {
        Some(self.last()?.door_high != self.at_question.as_ref()?.door_high)
    }

    /// How often the door's contact bounced since the question was asked.
    pub fn door_bounces(&self) -> u32 {
        let (Some(before), Some(now)) = (&self.at_question, self.last()) else { return 0 };
        let raw = now.door_raw_edges.saturating_sub(before.door_raw_edges);
        raw.saturating_sub(now.door_edges.saturating_sub(before.door_edges))
    }
}

fn find<'a>(sensed: &'a Sensed, rom: &str) -> Option<&'a SensedProbe> {
    sensed.probes.iter().find(|probe| probe.rom == rom)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test states what it expects")]
mod tests {
    use super::*;

    fn sensed(celsius: [Option<f64>; 2], door_high: bool, edges: (u32, u32)) -> Sensed {
        let probe = |(rom, celsius): (&str, Option<f64>)| SensedProbe { rom: rom.into(), celsius, fault: None };
        Sensed {
            probes: ["a", "b"].into_iter().zip(celsius).map(probe).collect(),
            supply_volts: None,
            door_high,
            door_raw_edges: edges.0,
            door_edges: edges.1,
            steadiness: None,
        }
    }

    fn at(secs: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(secs)
    }

    #[test]
    fn the_probe_in_the_hand_is_the_one_that_gets_warmer() {
        let mut sensing = Sensing::default();
        sensing.take(at(0), sensed([Some(-20.0), Some(-19.0)], false, (0, 0)));
        sensing.take(at(1), sensed([Some(-19.8), None], false, (0, 0)));
        assert_eq!(sensing.held_in_hand(), None, "noise is no hand, an error value is no temperature");
        sensing.take(at(2), sensed([Some(-19.9), Some(-14.0)], false, (0, 0)));
        assert_eq!(sensing.held_in_hand(), Some("b"));
        assert_eq!(sensing.trace("b").collect::<Vec<_>>(), [(-2.0, -19.0), (0.0, -14.0)]);
        sensing.asked();
        assert_eq!(sensing.held_in_hand(), None, "the next question begins anew");
    }

    #[test]
    fn a_probe_without_a_value_yet_is_compared_with_its_first_one() {
        let mut sensing = Sensing::default();
        for (secs, celsius) in [(0, None), (1, Some(-20.0)), (2, Some(-10.0))] {
            sensing.take(at(secs), sensed([celsius, Some(20.0)], false, (0, 0)));
        }
        assert_eq!(sensing.held_in_hand(), Some("a"));
    }

    #[test]
    fn a_door_moves_and_bounces() {
        let mut sensing = Sensing::default();
        assert_eq!(sensing.door_moved(), None);
        sensing.take(at(0), sensed([None, None], true, (10, 4)));
        assert_eq!(sensing.door_moved(), Some(false));
        sensing.take(at(1), sensed([None, None], false, (16, 5)));
        assert_eq!((sensing.door_moved(), sensing.door_bounces()), (Some(true), 5));
    }

    #[test]
    fn two_minutes_are_kept() {
        let mut sensing = Sensing::default();
        (0..300).for_each(|secs| sensing.take(at(secs), sensed([Some(0.0), None], false, (0, 0))));
        assert_eq!(sensing.trace("a").count(), 121);
    }
}
