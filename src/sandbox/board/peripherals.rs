//! The peripherals of the board's logic, wired to the imitated truck.

use std::{sync::Arc, time::Instant};

use coldbench_protocol::{Position, ProbeRom};
use coldbench_sensor::hardware::{BoardFacts, Light, Peripherals};
use rand::TryRngCore as _;

use super::{
    control::Shared,
    scene::{DoorSwitch, ProbeWire, Tolerances, crc8},
    seed::Seeded,
};

/// One step of a DS18B20 at 12 bits, °C.
const CELSIUS_PER_STEP: f64 = 0.0625;
/// Scratchpad after power-on: 85 °C, and 0x0C in the reserved byte.
const POWER_ON_SCRATCHPAD: [u8; 8] = [0x50, 0x05, 0x4b, 0x46, 0x7f, 0xff, 0x0c, 0x10];
/// How often the reed contact bounces after a change, in looks at it.
const BOUNCES: u8 = 2;

/// Sensors of one board between two resets.
#[derive(Debug)]
pub(super) struct ImitatedPeripherals {
    shared: Arc<Shared>,
    tolerances: Tolerances,
    facts: BoardFacts,
    started_at: Instant,
    noise: Seeded,
    scratchpads: [[u8; 9]; 2],
    door: Contact,
}

/// A reed contact that bounces.
#[derive(Debug)]
struct Contact {
    settled_high: bool,
    bounces: u8,
}

impl ImitatedPeripherals {
    pub(super) fn new(shared: Arc<Shared>, seed: u64, facts: BoardFacts) -> Self {
        let door_high = shared.scene().now().door_open;
        ImitatedPeripherals {
            shared,
            tolerances: Tolerances::from_seed(seed),
            facts,
            started_at: Instant::now(),
            noise: Seeded::new(seed, "noise"),
            scratchpads: [with_crc(POWER_ON_SCRATCHPAD); 2],
            door: Contact { settled_high: door_high, bounces: 0 },
        }
    }
}

impl Peripherals for ImitatedPeripherals {
    fn uptime_millis(&mut self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A reed contact to ground with pull-up: high while the door is open.
    fn door_high(&mut self) -> bool {
        let mut scene = self.shared.scene();
        let high = match scene.door_switch {
            DoorSwitch::Working => scene.now().door_open,
            DoorSwitch::StuckOpen => true,
            DoorSwitch::StuckClosed => false,
        };
        self.door.level(high)
    }

    fn supply_volts(&mut self) -> Option<f32> {
        let mut scene = self.shared.scene();
        let (gain, offset) = self.tolerances.supply;
        let volts = scene.now().supply_volts * gain + offset + self.noise.noise(0.008);
        scene.supply_connected.then_some(volts.max(0.0) as f32)
    }

    fn search_probes(&mut self) -> Vec<ProbeRom> {
        let wires = self.shared.scene().wires;
        let answering = self.tolerances.roms.iter().zip(wires).filter(|(_, wire)| *wire != ProbeWire::Broken);
        let mut found: Vec<ProbeRom> = answering.map(|(rom, _)| *rom).collect();
        // The search walks the addresses from their lowest bit.
        found.sort_by_key(|rom| rom.0.map(u8::reverse_bits));
        found
    }

    fn start_conversion(&mut self) {
        let truth = self.shared.scene().now();
        for (index, celsius) in [truth.freezer_celsius, truth.outside_celsius].into_iter().enumerate() {
            let (gain, offset) = self.tolerances.probes[index];
            let measured = celsius * gain + offset + self.noise.noise(0.01);
            self.scratchpads[index] = scratchpad(measured);
        }
    }

    fn scratchpad(&mut self, probe: ProbeRom) -> Option<[u8; 9]> {
        let index = self.tolerances.roms.iter().position(|rom| *rom == probe)?;
        match self.shared.scene().wires[index] {
            ProbeWire::Intact => Some(self.scratchpads[index]),
            ProbeWire::Broken => None,
            ProbeWire::Shorted => Some([0; 9]),
        }
    }

    fn position(&mut self) -> Option<Position> {
        None
    }

    fn set_light(&mut self, light: Light) {
        self.shared.set_light(light);
    }

    /// From the operating system, not from the seed: a key that can be guessed must never reach a real cloud.
    fn fill_random(&mut self, bytes: &mut [u8]) {
        if rand::rngs::OsRng.try_fill_bytes(bytes).is_err() {
            // Without entropy the board makes no usable key; zeros are refused as one.
            bytes.fill(0);
        }
    }

    fn facts(&self) -> BoardFacts {
        self.facts.clone()
    }
}

impl Contact {
    fn level(&mut self, high: bool) -> bool {
        if high != self.settled_high {
            self.settled_high = high;
            self.bounces = BOUNCES;
            return high;
        }
        if self.bounces > 0 {
            self.bounces -= 1;
            return high ^ (self.bounces % 2 == 1);
        }
        high
    }
}

/// A genuine DS18B20's scratchpad: byte 6 counts down with the low bits of the temperature.
fn scratchpad(celsius: f64) -> [u8; 9] {
    let steps = (celsius.clamp(-55.0, 125.0) / CELSIUS_PER_STEP).round() as i16;
    let [low, high] = steps.to_le_bytes();
    with_crc([low, high, 0x4b, 0x46, 0x7f, 0xff, 0x10 - (low & 0x0f), 0x10])
}

fn with_crc(bytes: [u8; 8]) -> [u8; 9] {
    let mut whole = [0; 9];
    whole[..8].copy_from_slice(&bytes);
    whole[8] = crc8(&bytes);
    whole
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use coldbench_protocol::ProbeFault;
    use coldbench_sensor::ds18b20;

    use super::super::{control::BoardControl, scene::ProbePlace};
    use super::*;

    fn board() -> (BoardControl, ImitatedPeripherals) {
        let shared = Arc::new(Shared::new(11));
        let facts = BoardFacts {
            firmware: "1.0.0".into(),
            image_sha256: [0; 32],
            mac: [0; 6],
            chip: "esp32c3".into(),
            reset_reason: "power-on".into(),
        };
        (BoardControl::new(shared.clone()), ImitatedPeripherals::new(shared, 11, facts))
    }

    #[test]
    fn the_boards_own_decoder_reads_the_probes() {
        let (control, mut peripherals) = board();
        let [freezer, outside] = peripherals.tolerances.roms;
        assert_eq!(ds18b20::celsius(peripherals.scratchpad(freezer)), Err(ProbeFault::PowerOnValue));
        peripherals.start_conversion();
        let celsius = ds18b20::celsius(peripherals.scratchpad(freezer)).unwrap();
        assert!((f64::from(celsius) - control.true_values().freezer_celsius).abs() < 0.7);
        assert!(!ds18b20::is_clone(freezer, peripherals.scratchpad(freezer).as_ref()));
        assert!(ds18b20::celsius(peripherals.scratchpad(outside)).unwrap() > 10.0);
    }

    #[test]
    fn broken_wires_look_broken() {
        let (control, mut peripherals) = board();
        let [freezer, _] = peripherals.tolerances.roms;
        control.set_probe_wire(ProbePlace::Freezer, ProbeWire::Shorted);
        assert_eq!(ds18b20::celsius(peripherals.scratchpad(freezer)), Err(ProbeFault::Shorted));
        control.set_probe_wire(ProbePlace::Freezer, ProbeWire::Broken);
        assert_eq!(ds18b20::celsius(peripherals.scratchpad(freezer)), Err(ProbeFault::Missing));
        assert_eq!(peripherals.search_probes().len(), 1);
        control.set_supply_connected(false);
        assert_eq!(peripherals.supply_volts(), None);
    }

    #[test]
    fn the_door_contact_bounces_and_settles() {
        let (control, mut peripherals) = board();
        assert!(!peripherals.door_high());
        control.open_door();
        let levels: Vec<bool> = (0..5).map(|_| peripherals.door_high()).collect();
        assert!(levels[0] && levels[3] && levels[4] && levels.contains(&false), "{levels:?}");
        control.set_door_switch(DoorSwitch::StuckClosed);
        let levels: Vec<bool> = (0..5).map(|_| peripherals.door_high()).collect();
        assert!(!levels[3] && !levels[4], "{levels:?}");
    }
}
