//! The readings of one board over a day, kept so that a screen can draw them without copying them.

use std::collections::VecDeque;

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::{
    proof::{Proof, ProofState},
    trace::Trace,
};
use crate::domain::{Reading, shadow::Shadow};

/// 24 hours at one reading in 5 s.
pub const MAX_ROWS: usize = 17_280;

/// The way a reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// The serial line.
    Usb,
    /// The message broker.
    Mqtt,
}

/// A reading with its bytes and the time of its arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// The way it came.
    pub path: Path,
    /// What it says.
    pub reading: Reading,
    /// The bytes as the board made them.
    pub payload: Vec<u8>,
    /// When it arrived here, UTC.
    pub received: OffsetDateTime,
}

impl Arrived {
    /// When it was measured; when it arrived, for a board without a clock.
    pub fn measured(&self) -> OffsetDateTime {
        self.reading.time.unwrap_or(self.received)
    }

    /// How long it took from the sensor to here; `None` for a board without a clock. The two clocks may differ, so it
    /// may be negative.
    pub fn latency(&self) -> Option<Duration> {
        self.reading.time.map(|time| self.received - time)
    }
}

/// The driver's traffic light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Light {
    /// All is well.
    Green,
    /// Something should be looked at.
    Amber,
    /// The load is in danger.
    Red,
    /// The board said something else, or nothing yet.
    #[default]
    Unknown,
}

impl Light {
    fn of(status: &str) -> Self {
        match status {
            "green" => Light::Green,
            "amber" => Light::Amber,
            "red" => Light::Red,
            _ => Light::Unknown,
        }
    }

    /// What the driver is to think.
    pub fn words(self) -> &'static str {
        match self {
            Light::Green => "All well",
            Light::Amber => "Look at it",
            Light::Red => "Load in danger",
            Light::Unknown => "No signal yet",
        }
    }
}

/// One reading, as small as it can be. A value without a measurement is not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// When it was measured, seconds since 1970.
    pub unix_secs: u32,
    /// Its number since the board's start.
    pub seq: u32,
    /// Freezer, °C.
    pub freezer_celsius: f32,
    /// Outside, °C.
    pub outside_celsius: f32,
    /// Supply, V.
    pub supply_volts: f32,
    /// The traffic light.
    pub light: Light,
    /// The door was open.
    pub door_open: bool,
    /// It was sent late, or came after a younger one.
    pub late: bool,
    /// It came over USB.
    pub usb: bool,
    /// It came over MQTT.
    pub mqtt: bool,
}

/// A stretch without readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last reading before it, seconds since 1970.
    pub from_secs: u32,
    /// The first reading after it, seconds since 1970.
    pub to_secs: u32,
}

/// A day of readings of one board.
#[derive(Debug, Clone, Default)]
pub struct Live {
    rows: VecDeque<Row>,
    freezer: Trace,
    outside: Trace,
    supply: Trace,
    last: Option<Arrived>,
    usb_latency: Option<Duration>,
    mqtt_latency: Option<Duration>,
    usb_count: u64,
    mqtt_count: u64,
    proof: Proof,
}

impl Live {
    /// Takes a reading. The same one over the other way is the same row.
    pub fn take(&mut self, arrived: Arrived) {
        self.insert(row(&arrived));
        // What was kept without a connection has its place in the past and says nothing about now.
        if arrived.reading.late {
            return;
        }
        match arrived.path {
            Path::Usb => (self.usb_latency, self.usb_count) = (arrived.latency(), self.usb_count + 1),
            Path::Mqtt => (self.mqtt_latency, self.mqtt_count) = (arrived.latency(), self.mqtt_count + 1),
        }
        self.proof.take(&arrived);
        let is_newest = self.last.as_ref().is_none_or(|last| last.measured() <= arrived.measured());
        if is_newest {
            self.last = Some(arrived);
        }
    }

    /// Takes what the shadow reports.
    pub fn take_shadow(&mut self, shadow: &Shadow) {
        if let Some(reading) = shadow.state.reported.get("reading").and_then(Value::as_object) {
            self.proof.take_shadow(reading);
        }
    }

    /// The readings, oldest first.
    pub fn rows(&self) -> &VecDeque<Row> {
        &self.rows
    }

    /// Freezer temperature, °C, ready to draw.
    pub fn freezer(&self) -> &Trace {
        &self.freezer
    }

    /// Outside temperature, °C, ready to draw.
    pub fn outside(&self) -> &Trace {
        &self.outside
    }

    /// Supply voltage, V, ready to draw.
    pub fn supply(&self) -> &Trace {
        &self.supply
    }

    /// The youngest reading with its bytes.
    pub fn last(&self) -> Option<&Arrived> {
        self.last.as_ref()
    }

    /// The traffic light as the driver sees it.
    pub fn light(&self) -> Light {
        self.last.as_ref().map_or(Light::Unknown, |last| Light::of(&last.reading.status))
    }

    /// How long the last reading over a way took.
    pub fn latency(&self, path: Path) -> Option<Duration> {
        match path {
            Path::Usb => self.usb_latency,
            Path::Mqtt => self.mqtt_latency,
        }
    }

    /// How many readings came over a way.
    pub fn count(&self, path: Path) -> u64 {
        match path {
            Path::Usb => self.usb_count,
            Path::Mqtt => self.mqtt_count,
        }
    }

    /// Whether the same reading was seen over USB, over MQTT and in the shadow.
    pub fn proof(&self) -> ProofState {
        self.proof.state()
    }

    /// How old the youngest reading is. Older than two intervals is stale.
    pub fn age(&self, now: OffsetDateTime) -> Option<Duration> {
        self.last.as_ref().map(|last| now - last.received)
    }

    /// Whether a reading should have come by now.
    pub fn is_stale(&self, now: OffsetDateTime) -> bool {
        let usual = self.last.as_ref().map_or(5, |last| last.reading.interval_secs.max(1));
        self.age(now).is_some_and(|age| age > Duration::seconds(i64::from(usual) * 2 + 1))
    }

    /// The stretches without readings, oldest first.
    pub fn gaps(&self) -> impl Iterator<Item = Gap> + '_ {
        let longest = self.freezer.longest_pause_secs();
        self.rows.iter().zip(self.rows.iter().skip(1)).filter_map(move |(one, next)| {
            let is_gap = next.unix_secs.saturating_sub(one.unix_secs) > longest;
            is_gap.then_some(Gap { from_secs: one.unix_secs, to_secs: next.unix_secs })
        })
    }

    fn insert(&mut self, mut row: Row) {
        let place = self.rows.partition_point(|other| (other.unix_secs, other.seq) < (row.unix_secs, row.seq));
        if let Some(same) =
            self.rows.get_mut(place).filter(|same| (same.unix_secs, same.seq) == (row.unix_secs, row.seq))
        {
            same.usb |= row.usb;
            same.mqtt |= row.mqtt;
            same.late |= row.late;
            return;
        }
        row.late |= place < self.rows.len();
        self.rows.insert(place, row);
        for (trace, value) in [
            (&mut self.freezer, row.freezer_celsius),
            (&mut self.outside, row.outside_celsius),
            (&mut self.supply, row.supply_volts),
        ] {
            trace.insert(row.unix_secs, value);
        }
        if self.rows.len() > MAX_ROWS {
            self.rows.pop_front();
        }
        if let (Some(oldest), true) = (self.rows.front(), self.rows.len() == MAX_ROWS) {
            let oldest_secs = oldest.unix_secs;
            for trace in [&mut self.freezer, &mut self.outside, &mut self.supply] {
                trace.forget_before(oldest_secs);
            }
        }
        if let Some(last) = &self.last {
            let interval_secs = last.reading.interval_secs;
            for trace in [&mut self.freezer, &mut self.outside, &mut self.supply] {
                trace.expect_every(interval_secs);
            }
        }
    }
}

fn row(arrived: &Arrived) -> Row {
    let reading = &arrived.reading;
    let value = |value: Option<f64>| value.map_or(f32::NAN, |value| value as f32);
    Row {
        unix_secs: u32::try_from(arrived.measured().unix_timestamp()).unwrap_or(0),
        seq: reading.seq as u32,
        freezer_celsius: value(reading.freezer_celsius),
        outside_celsius: value(reading.outside_celsius),
        supply_volts: value(reading.supply_volts),
        light: Light::of(&reading.status),
        door_open: reading.door_open.unwrap_or(false),
        late: reading.late,
        usb: arrived.path == Path::Usb,
        mqtt: arrived.path == Path::Mqtt,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-11-27 08:00:00 UTC);

    fn arrived(path: Path, seq: u64, after_secs: i64) -> Arrived {
        let time = START + Duration::seconds(after_secs);
        let stamp = time.format(&time::format_description::well_known::Rfc3339).unwrap();
        let payload = json!({
            "v": 1, "seq": seq, "time": stamp, "interval_secs": 5, "freezer_celsius": -18.0 - seq as f64,
            "supply_volts": 13.8, "door_open": false, "status": "green"
        });
        let payload = payload.to_string().into_bytes();
        let reading = Reading::parse(&payload).unwrap();
        Arrived { path, reading, payload, received: time + Duration::milliseconds(250) }
    }

    fn seqs(live: &Live) -> Vec<u32> {
        live.rows().iter().map(|row| row.seq).collect()
    }

    #[test]
    fn the_same_reading_over_two_ways_is_one_row() {
        let mut live = Live::default();
        live.take(arrived(Path::Usb, 1, 0));
        live.take(arrived(Path::Mqtt, 1, 0));
        assert_eq!(live.rows().len(), 1);
        assert!(live.rows()[0].usb && live.rows()[0].mqtt);
        assert!(!live.rows()[0].late);
        assert_eq!(live.latency(Path::Mqtt), Some(Duration::milliseconds(250)));
    }

    #[test]
    fn a_reading_that_comes_late_takes_its_place_and_is_marked() {
        let mut live = Live::default();
        live.take(arrived(Path::Usb, 1, 0));
        live.take(arrived(Path::Usb, 3, 10));
        live.take(arrived(Path::Mqtt, 2, 5));
        assert_eq!(seqs(&live), [1, 2, 3]);
        assert_eq!(live.rows().iter().map(|row| row.late).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(live.last().unwrap().reading.seq, 3);
    }

    #[test]
    fn what_was_kept_without_a_connection_is_marked_and_touches_neither_live_nor_proof() {
        let late = |seq, after_secs| {
            let mut kept = arrived(Path::Mqtt, seq, after_secs);
            kept.payload.pop();
            kept.payload.extend(br#","late":true}"#);
            Arrived {
                reading: Reading::parse(&kept.payload).unwrap(),
                received: START + Duration::seconds(100),
                ..kept
            }
        };
        let mut live = Live::default();
        live.take(arrived(Path::Usb, 1, 0));
        live.take(arrived(Path::Usb, 2, 5));
        live.take(late(1, 0));
        live.take(late(2, 5));
        live.take(late(7, -60));
        assert_eq!(seqs(&live), [7, 1, 2]);
        assert!(live.rows().iter().all(|row| row.late && row.mqtt));
        let last = live.last().unwrap();
        assert_eq!((last.path, last.reading.seq, last.reading.late), (Path::Usb, 2, false));
        assert!(live.is_stale(START + Duration::seconds(100)), "a late reading does not make it fresh");
        assert_eq!((live.latency(Path::Mqtt), live.count(Path::Mqtt)), (None, 0));
        assert!(matches!(live.proof(), ProofState::Partly(seen) if seen.usb && !seen.mqtt), "{:?}", live.proof());
        live.take(arrived(Path::Mqtt, 2, 5));
        assert!(matches!(live.proof(), ProofState::Partly(seen) if seen.usb && seen.mqtt), "{:?}", live.proof());
    }

    #[test]
    fn a_pause_of_more_than_two_intervals_is_a_gap() {
        let mut live = Live::default();
        for (seq, secs) in [(1, 0), (2, 5), (3, 60), (4, 65)] {
            live.take(arrived(Path::Usb, seq, secs));
        }
        let start = START.unix_timestamp() as u32;
        let gaps: Vec<Gap> = live.gaps().collect();
        assert_eq!(gaps, [Gap { from_secs: start + 5, to_secs: start + 60 }]);
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut live = Live::default();
        let first = arrived(Path::Usb, 0, 0);
        for number in 0..(MAX_ROWS as i64 + 100) {
            let mut next = first.clone();
            next.reading.seq = number as u64;
            next.reading.time = Some(START + Duration::seconds(number * 5));
            live.take(next);
        }
        assert_eq!(live.rows().len(), MAX_ROWS);
        assert_eq!(live.rows()[0].seq, 100);
        let points = live.freezer().points(0, u32::MAX, 1200).count();
        assert!(points <= 1200, "{points} points");
    }

    #[test]
    fn a_silent_board_becomes_stale() {
        let mut live = Live::default();
        assert!(!live.is_stale(START));
        live.take(arrived(Path::Usb, 1, 0));
        assert!(!live.is_stale(START + Duration::seconds(9)));
        assert!(live.is_stale(START + Duration::seconds(12)));
    }
}
