//! Whether one and the same reading was seen over USB, over MQTT and in the shadow.

use std::collections::VecDeque;

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::live::{Arrived, Path};

/// Readings that are compared: at one in 5 s more than a minute, which the slowest way does not need.
const MAX_SIGHTINGS: usize = 16;

/// Where a reading was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Over USB.
    pub usb: bool,
    /// Over MQTT.
    pub mqtt: bool,
    /// In the shadow.
    pub shadow: bool,
}

/// How far the proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofState {
    /// No reading with a time was seen yet.
    Waiting,
    /// The reading that was seen on most ways.
    Partly(Seen),
    /// The same reading on all three ways.
    Proven {
        /// Its number.
        seq: u64,
        /// When it was measured, UTC.
        time: OffsetDateTime,
    },
    /// The same reading came with other bytes over MQTT than over USB.
    Differs {
        /// Its number.
        seq: u64,
    },
}

impl ProofState {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            ProofState::Waiting => "Waiting for a reading with a time".to_owned(),
            ProofState::Partly(seen) => {
                let ways = [(seen.usb, "USB"), (seen.mqtt, "MQTT"), (seen.shadow, "shadow")];
                let missing: Vec<&str> = ways.into_iter().filter(|(seen, _)| !seen).map(|(_, way)| way).collect();
                format!("Not yet seen: {}", missing.join(", "))
            }
            ProofState::Proven { seq, .. } => format!("Reading {seq} is the same over USB, MQTT and in the shadow"),
            ProofState::Differs { seq } => format!("Reading {seq} differs between USB and MQTT"),
        }
    }
}

/// The last readings, and where each was seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof {
    sightings: VecDeque<Sighting>,
}

#[derive(Debug, Clone)]
struct Sighting {
    seq: u64,
    time: OffsetDateTime,
    payload: Option<Vec<u8>>,
    seen: Seen,
    differs: bool,
}

impl Proof {
    pub fn take(&mut self, arrived: &Arrived) {
        // A late reading carries a mark, so its bytes are others; and it proves nothing about now.
        let (Some(time), false) = (arrived.reading.time, arrived.reading.late) else { return };
        let sighting = self.sighting(arrived.reading.seq, time);
        match &sighting.payload {
            None => sighting.payload = Some(arrived.payload.clone()),
            Some(first) => sighting.differs |= *first != arrived.payload,
        }
        match arrived.path {
            Path::Usb => sighting.seen.usb = true,
            Path::Mqtt => sighting.seen.mqtt = true,
        }
    }

    /// Takes the reading that the shadow reports.
    pub fn take_shadow(&mut self, reported: &Map<String, Value>) {
        let seq = reported.get("seq").and_then(Value::as_u64);
        let time =
            reported.get("time").and_then(Value::as_str).and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        if let (Some(seq), Some(time)) = (seq, time) {
            self.sighting(seq, time).seen.shadow = true;
        }
    }

    pub fn state(&self) -> ProofState {
        let complete = |sighting: &&Sighting| sighting.seen == Seen { usb: true, mqtt: true, shadow: true };
        if let Some(differing) = self.sightings.iter().rev().find(|sighting| sighting.differs) {
            return ProofState::Differs { seq: differing.seq };
        }
        if let Some(proven) = self.sightings.iter().rev().find(complete) {
            return ProofState::Proven { seq: proven.seq, time: proven.time };
        }
        let ways = |seen: &Seen| u8::from(seen.usb) + u8::from(seen.mqtt) + u8::from(seen.shadow);
        match self.sightings.iter().map(|sighting| sighting.seen).max_by_key(ways) {
            None => ProofState::Waiting,
            Some(seen) => ProofState::Partly(seen),
        }
    }

    fn sighting(&mut self, seq: u64, time: OffsetDateTime) -> &mut Sighting {
        let known = self.sightings.iter().position(|sighting| (sighting.seq, sighting.time) == (seq, time));
        let place = known.unwrap_or_else(|| {
            if self.sightings.len() == MAX_SIGHTINGS {
                self.sightings.pop_front();
            }
            let new = Sighting { seq, time, payload: None, seen: Seen::default(), differs: false };
            self.sightings.push_back(new);
            self.sightings.len() - 1
        });
        &mut self.sightings[place]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use crate::domain::Reading;
    use serde_json::json;
    use time::macros::datetime;

    fn arrived(path: Path, seq: u64, status: &str) -> Arrived {
        let payload = json!({ "v": 1, "seq": seq, "time": "2026-11-27T08:00:00Z", "status": status });
        let payload = payload.to_string().into_bytes();
        let received = datetime!(2026-11-27 08:00:01 UTC);
        Arrived { path, reading: Reading::parse(&payload).unwrap(), payload, received }
    }

    fn report(proof: &mut Proof, seq: u64) {
        let reading = json!({ "seq": seq, "time": "2026-11-27T08:00:00Z" });
        proof.take_shadow(reading.as_object().unwrap());
    }

    #[test]
    fn the_same_reading_on_three_ways_is_the_proof() {
        let mut proof = Proof::default();
        assert_eq!(proof.state().words(), "Waiting for a reading with a time");
        proof.take(&arrived(Path::Usb, 7, "green"));
        assert_eq!(proof.state().words(), "Not yet seen: MQTT, shadow");
        proof.take(&arrived(Path::Mqtt, 7, "green"));
        report(&mut proof, 6);
        assert_eq!(proof.state().words(), "Not yet seen: shadow");
        report(&mut proof, 7);
        assert_eq!(proof.state().words(), "Reading 7 is the same over USB, MQTT and in the shadow");
    }

    #[test]
    fn other_bytes_of_the_same_reading_are_told() {
        let mut proof = Proof::default();
        proof.take(&arrived(Path::Usb, 7, "green"));
        proof.take(&arrived(Path::Mqtt, 7, "red"));
        assert_eq!(proof.state(), ProofState::Differs { seq: 7 });
    }
}
