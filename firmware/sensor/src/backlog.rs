//! Readings that wait for a connection, and how they get to the broker.
//!
//! A reading goes to the [`Outbox`] while a session is up, and else to the flash memory. What the broker has not
//! acknowledged within [`MEMORY_SECS`] goes there too, so that a loss of power takes no more with it. While a session is
//! up, what waits is sent beside the live readings, oldest first, one every [`LATE_INTERVAL_MILLIS`] at most, and marked
//! as late. It leaves the flash memory when the broker has acknowledged it.
//!
//! What is kept is not the JSON string but the numbers in it, 36 bytes instead of 350. The string is written again when
//! it is sent, from the same numbers by the same code, so that it is the one that went over USB, with the mark.

use alloc::{string::String, vec::Vec};

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

use crate::{
    alerts::Alert,
    board::Board,
    clock::{unix_secs_of, utc_text},
    hardware::{Backlog, Light, Peripherals, Store},
    payload::{FaultCode, PAYLOAD_VERSION, Reading, Sensor, SensorFault},
    session::Outbox,
    shared::Shared,
};

/// How long a reading may wait in memory for its acknowledgement, seconds.
const MEMORY_SECS: u16 = 5;

/// Time between two late readings: a day of them takes a quarter of an hour, and the broker sees a fifth of what it
/// allows a board in a second.
pub const LATE_INTERVAL_MILLIS: u64 = 50;

/// What a board knows of the late reading under way.
#[derive(Debug, Default)]
pub(crate) struct Late {
    ticket: Option<u64>,
    next_millis: u64,
}

/// Whose readings these are, for [`Backlog::claim`].
pub(crate) fn owner_of(thing_name: Option<&str>) -> u32 {
    Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(thing_name.unwrap_or_default().as_bytes())
}

impl<P: Peripherals, S: Store + Backlog> Board<P, S> {
    /// Sends a reading that carries a time: at once while a session is up, and else later. Without an identity there is
    /// nobody to send it to.
    pub fn send_reading(&mut self, json: String, outbox: &impl Shared<Outbox>) {
        if self.credentials.thing_name().is_none() {
            return;
        }
        let in_memory = usize::from(MEMORY_SECS / self.settings.interval_secs.max(1)).max(1);
        let spilled = outbox.with(|outbox| {
            if outbox.is_online() && outbox.readings() < in_memory {
                // A reading is far shorter than the outbox takes.
                let _ = outbox.push_reading(json);
                return Vec::new();
            }
            let mut spilled = outbox.take_readings();
            spilled.push(json.into_bytes());
            spilled
        });
        spilled.iter().for_each(|json| self.keep(json));
    }

    /// Moves readings between the outbox and the flash memory; to be called after every poll.
    pub fn tend_backlog(&mut self, outbox: &impl Shared<Outbox>) {
        let now_millis = self.peripherals.uptime_millis();
        let is_due = now_millis >= self.late.next_millis;
        let (acknowledged, spilled, takes_late) = outbox.with(|outbox| {
            let acknowledged = outbox.take_late_acknowledged();
            let spilled = if outbox.is_online() { Vec::new() } else { outbox.take_readings() };
            (acknowledged, spilled, outbox.is_online() && !outbox.has_late())
        });
        // Between sending and acknowledging this is called many times: the ticket stays until then.
        if acknowledged && let Some(ticket) = self.late.ticket.take() {
            // When this fails it is sent once more after the next start.
            let _ = self.store.acknowledge(ticket);
        }
        spilled.iter().for_each(|json| self.keep(json));
        if takes_late
            && is_due
            && let Some(waiting) = self.store.oldest()
        {
            self.late = Late { ticket: Some(waiting.ticket), next_millis: now_millis + LATE_INTERVAL_MILLIS };
            match self.late_json(&waiting.record) {
                Some(json) => outbox.with(|outbox| outbox.push_late(json)),
                // Written by a firmware that kept readings in another form.
                None => drop(self.store.acknowledge(waiting.ticket)),
            }
        }
    }

    /// How many readings wait in flash memory.
    pub fn readings_waiting(&self) -> u32 {
        self.store.waiting()
    }

    /// How many readings were dropped since the start because there was no room for them.
    pub fn readings_dropped(&self) -> u32 {
        self.store.dropped()
    }

    fn keep(&mut self, json: &[u8]) {
        let reading = core::str::from_utf8(json).ok().and_then(|json| Reading::parse(json).ok());
        if let Some(record) = reading.as_ref().and_then(Record::of)
            && let Ok(bytes) = postcard::to_allocvec(&record)
        {
            // What is not kept, the store counts.
            let _ = self.store.push(&bytes);
        }
    }

    fn late_json(&self, record: &[u8]) -> Option<String> {
        let record: Record = postcard::from_bytes(record).ok()?;
        Some(record.late_reading(self.credentials.thing_name()?)?.to_json())
    }
}

/// A reading as it is kept. Numbers are written as short as they are; the name of the thing is the owner's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    seq: u32,
    unix_secs: u64,
    uptime_secs: u64,
    interval_secs: u16,
    /// Hundredths of a degree.
    freezer: Option<i32>,
    outside: Option<i32>,
    /// Hundredths of a volt.
    supply: Option<i32>,
    supply_min: Option<i32>,
    door_openings: u32,
    /// Hundredths of a second.
    door_open: i32,
    /// Millionths of a degree, north and east.
    position: Option<(i32, i32)>,
    /// From the lowest bit: door open (1 bit), light (2), alerts (6) in the order of [`ALERTS`].
    flags: u16,
    /// Three bits for each of [`SENSORS`], from the lowest: 0 is well, else one more than the place in [`FAULTS`].
    faults: u16,
}

const ALERTS: [Alert; 6] = [
    Alert::FreezerWarning,
    Alert::FreezerCritical,
    Alert::DoorWarning,
    Alert::DoorCritical,
    Alert::SupplyWarning,
    Alert::SupplyCritical,
];
const LIGHTS: [Light; 3] = [Light::Green, Light::Amber, Light::Red];
const SENSORS: [Sensor; 3] = [Sensor::Freezer, Sensor::Outside, Sensor::Supply];
const FAULTS: [FaultCode; 7] = [
    FaultCode::Missing,
    FaultCode::BadChecksum,
    FaultCode::Shorted,
    FaultCode::NotADs18b20,
    FaultCode::PowerOnValue,
    FaultCode::OutOfRange,
    FaultCode::Timeout,
];

impl Record {
    /// `None` for a reading without a time: nobody could say when it was.
    fn of(reading: &Reading) -> Option<Self> {
        let light = LIGHTS.iter().position(|light| *light == reading.status)? as u16;
        let alerts = ALERTS.iter().enumerate().filter(|(_, alert)| reading.alerts.contains(alert));
        let alerts = alerts.fold(0, |bits, (place, _)| bits | 1 << place);
        let faults = reading.faults.iter().filter_map(|fault| {
            let sensor = SENSORS.iter().position(|sensor| *sensor == fault.sensor)?;
            let code = FAULTS.iter().position(|code| *code == fault.fault)?;
            Some((code as u16 + 1) << (3 * sensor))
        });
        Some(Record {
            seq: reading.seq,
            unix_secs: unix_secs_of(reading.time.as_deref()?)?,
            uptime_secs: reading.uptime_secs,
            interval_secs: reading.interval_secs,
            freezer: reading.freezer_celsius.map(in_hundredths),
            outside: reading.outside_celsius.map(in_hundredths),
            supply: reading.supply_volts.map(in_hundredths),
            supply_min: reading.supply_min_volts.map(in_hundredths),
            door_openings: reading.door_openings,
            door_open: in_hundredths(reading.door_open_secs),
            position: reading.latitude_deg.zip(reading.longitude_deg).map(|(north, east)| {
                let in_millionths = |degrees: f64| libm::round(degrees * 1_000_000.0) as i32;
                (in_millionths(north), in_millionths(east))
            }),
            flags: u16::from(reading.door_open) | light << 1 | alerts << 3,
            faults: faults.fold(0, |bits, fault| bits | fault),
        })
    }

    /// The reading, marked as late; `None` when these are not the numbers of one.
    fn late_reading(&self, thing_name: &str) -> Option<Reading> {
        let celsius_or_volts = |hundredths: Option<i32>| hundredths.map(from_hundredths);
        let degrees = |millionths: i32| f64::from(millionths) / 1_000_000.0;
        let alerts = ALERTS.iter().enumerate().filter(|(place, _)| self.flags >> (3 + place) & 1 == 1);
        let faults = SENSORS.iter().enumerate().filter_map(|(place, sensor)| {
            let code = (self.faults >> (3 * place) & 0b111).checked_sub(1)?;
            Some(SensorFault { sensor: *sensor, fault: *FAULTS.get(usize::from(code))? })
        });
        Some(Reading {
            v: PAYLOAD_VERSION,
            seq: self.seq,
            time: Some(utc_text(self.unix_secs.checked_mul(1000)?)),
            uptime_secs: self.uptime_secs,
            thing: Some(thing_name.into()),
            interval_secs: self.interval_secs,
            freezer_celsius: celsius_or_volts(self.freezer),
            outside_celsius: celsius_or_volts(self.outside),
            supply_volts: celsius_or_volts(self.supply),
            supply_min_volts: celsius_or_volts(self.supply_min),
            door_open: self.flags & 1 == 1,
            door_openings: self.door_openings,
            door_open_secs: from_hundredths(self.door_open),
            latitude_deg: self.position.map(|(north, _)| degrees(north)),
            longitude_deg: self.position.map(|(_, east)| degrees(east)),
            status: *LIGHTS.get(usize::from(self.flags >> 1 & 0b11))?,
            alerts: alerts.map(|(_, alert)| *alert).collect(),
            faults: faults.collect(),
            late: true,
        })
    }
}

fn in_hundredths(value: f32) -> i32 {
    libm::roundf(value * 100.0) as i32
}

/// As [`crate::payload::hundredths`] writes it.
fn from_hundredths(value: i32) -> f32 {
    value as f32 / 100.0
}

#[cfg(test)]
mod tests;
