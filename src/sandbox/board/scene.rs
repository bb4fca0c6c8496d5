//! The truck around the board: its physics, the state of its wiring, and what people do to it.

use std::time::{Duration, Instant};

use coldbench_protocol::ProbeRom;

use super::{
    physics::{Influence, Probe, Truck},
    seed::Seeded,
};

/// A look at the truck sooner than this after the last one sees the same.
const RESOLUTION: Duration = Duration::from_millis(50);

/// How a probe is wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeWire {
    /// As it should be.
    #[default]
    Intact,
    /// Broken: the probe does not answer.
    Broken,
    /// The data line is shorted while the probe is read: every bit reads zero.
    Shorted,
}

/// How the door switch works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DoorSwitch {
    /// It follows the door.
    #[default]
    Working,
    /// It says "open" whatever the door does.
    StuckOpen,
    /// It says "closed" whatever the door does.
    StuckClosed,
}

/// What is true in the truck, as a reference instrument would show it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrueValues {
    /// Temperature of the freezer probe, °C.
    pub freezer_celsius: f64,
    /// Temperature of the outside probe, °C.
    pub outside_celsius: f64,
    /// Voltage at the freezer unit, V.
    pub supply_volts: f64,
    /// The door is open.
    pub door_open: bool,
    /// The refrigeration unit runs.
    pub compressor_on: bool,
}

/// One of the two probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbePlace {
    /// In the freezer.
    Freezer,
    /// Outside.
    Outside,
}

/// Truck, wiring and people.
#[derive(Debug)]
pub(super) struct Scene {
    truck: Truck,
    pub(super) influence: Influence,
    pub(super) door_switch: DoorSwitch,
    pub(super) wires: [ProbeWire; 2],
    pub(super) supply_connected: bool,
    crank_until: Option<Instant>,
    seen_at: Instant,
}

impl Scene {
    pub(super) fn from_seed(seed: u64) -> Self {
        Scene {
            truck: Truck::from_seed(seed),
            influence: Influence::default(),
            door_switch: DoorSwitch::default(),
            wires: [ProbeWire::Intact; 2],
            supply_connected: true,
            crank_until: None,
            seen_at: Instant::now(),
        }
    }

    /// What is true now.
    pub(super) fn now(&mut self) -> TrueValues {
        if self.seen_at.elapsed() >= RESOLUTION || self.crank_until.is_some() {
            self.catch_up();
        }
        TrueValues {
            freezer_celsius: self.truck.freezer_celsius(),
            outside_celsius: self.truck.outside_celsius(),
            supply_volts: self.truck.supply_volts(&self.influence),
            door_open: self.influence.door_open,
            compressor_on: self.truck.compressor_on(),
        }
    }

    /// Changes what people do, from now on.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Scene)) {
        self.catch_up();
        change(self);
    }

    pub(super) fn place_probe(&mut self, place: ProbePlace, probe: Probe) {
        match place {
            ProbePlace::Freezer => self.influence.freezer_probe = probe,
            ProbePlace::Outside => self.influence.outside_probe = probe,
        }
    }

    pub(super) fn crank_until(&mut self, moment: Instant) {
        self.crank_until = Some(moment);
        self.influence.cranking = true;
    }

    fn catch_up(&mut self) {
        let now = Instant::now();
        if self.crank_until.is_some_and(|moment| now >= moment) {
            self.crank_until = None;
            self.influence.cranking = false;
        }
        self.truck.pass(now.duration_since(self.seen_at).as_secs_f64(), &self.influence);
        self.seen_at = now;
    }
}

/// What makes this board's sensors differ from every other's.
#[derive(Debug, Clone)]
pub(super) struct Tolerances {
    /// Addresses of the probes in the freezer and outside.
    pub(super) roms: [ProbeRom; 2],
    /// Gain and offset (K) of both probes.
    pub(super) probes: [(f64, f64); 2],
    /// Gain and offset (V) of the divider and converter.
    pub(super) supply: (f64, f64),
}

impl Tolerances {
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut draw = Seeded::new(seed, "tolerances");
        let mut rom = || {
            let mut bytes = [0x28, 0, 0, 0, 0, 0, 0, 0];
            draw.fill(&mut bytes[1..5]);
            bytes[7] = crc8(&bytes[..7]);
            ProbeRom(bytes)
        };
        let roms = [rom(), rom()];
        let mut probe = || (1.0 + draw.between(-0.004, 0.004), draw.between(-0.4, 0.4));
        let probes = [probe(), probe()];
        Tolerances { roms, probes, supply: (1.0 + draw.between(-0.02, 0.02), draw.between(-0.12, 0.12)) }
    }
}

/// CRC-8 of the 1-Wire bus: polynomial x⁸+x⁵+x⁴+1, reflected, start 0.
pub(super) fn crc8(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8c } else { crc >> 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_look_genuine_and_differ() {
        let tolerances = Tolerances::from_seed(5);
        for rom in tolerances.roms {
            assert_eq!((rom.0[0], rom.0[5], rom.0[6]), (0x28, 0, 0));
            assert_eq!(crc8(&rom.0[..7]), rom.0[7]);
        }
        assert_ne!(tolerances.roms[0], tolerances.roms[1]);
    }

    #[test]
    fn crc8_matches_the_application_note() {
        // Maxim application note 27: the address 02 1C B8 01 00 00 00 has the CRC A2.
        assert_eq!(crc8(&[0x02, 0x1c, 0xb8, 0x01, 0, 0, 0]), 0xa2);
    }
}
