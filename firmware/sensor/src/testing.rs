//! Hardware and store for tests, all in memory.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use coldbench_protocol::{Position, ProbeRom};
use zeroize::Zeroizing;

use crate::{
    ds18b20,
    hardware::{Backlog, BoardFacts, Item, Light, Peripherals, Store, StoreError, Waiting},
    identity::Connection,
};

/// A store in memory that can be told to fail.
#[derive(Default, Clone)]
pub struct Memory {
    pub items: BTreeMap<Item, Vec<u8>>,
    pub identity: Option<Connection>,
    pub pending_key: Option<Zeroizing<Vec<u8>>>,
    pub backlog: VecDeque<Waiting>,
    pub owner: u32,
    pub pushed: u64,
    pub fails: bool,
}

impl Memory {
    fn check(&self) -> Result<(), StoreError> {
        if self.fails { Err(StoreError::Save) } else { Ok(()) }
    }
}

impl Store for Memory {
    fn load(&mut self, item: Item) -> Option<Vec<u8>> {
        self.items.get(&item).cloned()
    }

    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        self.items.insert(item, bytes.to_vec());
        Ok(())
    }

    fn load_identity(&mut self) -> Option<Connection> {
        self.identity.clone()
    }

    fn save_identity(&mut self, identity: &Connection) -> Result<(), StoreError> {
        self.check()?;
        (self.identity, self.pending_key) = (Some(identity.clone()), None);
        Ok(())
    }

    fn load_pending_key(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.pending_key.clone()
    }

    fn save_pending_key(&mut self, key_pkcs8_der: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        self.pending_key = Some(Zeroizing::new(key_pkcs8_der.to_vec()));
        Ok(())
    }

    fn erase_credentials(&mut self) -> Result<(), StoreError> {
        self.check().map_err(|_| StoreError::Erase)?;
        (self.identity, self.pending_key) = (None, None);
        Ok(())
    }
}

impl Backlog for Memory {
    fn claim(&mut self, owner: u32) {
        if self.owner != owner {
            (self.owner, self.backlog) = (owner, VecDeque::new());
        }
    }

    fn push(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        self.pushed += 1;
        self.backlog.push_back(Waiting { ticket: self.pushed, record: record.to_vec() });
        Ok(())
    }

    fn oldest(&mut self) -> Option<Waiting> {
        self.backlog.front().cloned()
    }

    fn acknowledge(&mut self, ticket: u64) -> Result<(), StoreError> {
        self.backlog.retain(|waiting| waiting.ticket != ticket);
        Ok(())
    }

    fn waiting(&self) -> u32 {
        self.backlog.len() as u32
    }

    fn dropped(&self) -> u32 {
        0
    }
}

/// Peripherals whose values a test sets. A scratchpad shows what was set when the conversion started.
#[derive(Default, Clone)]
pub struct Bench {
    pub now_millis: u64,
    pub door_high: bool,
    pub supply_volts: Option<f32>,
    pub scratchpads: BTreeMap<ProbeRom, [u8; 9]>,
    pub converted: BTreeMap<ProbeRom, [u8; 9]>,
    pub position: Option<Position>,
    pub light: Option<Light>,
    pub random: u8,
}

impl Bench {
    /// A board with one probe, a closed door and a full battery.
    pub fn in_a_truck() -> Self {
        let mut bench = Bench { supply_volts: Some(12.6), ..Bench::default() };
        bench.set_celsius(1, -19.3);
        bench
    }

    pub fn set_celsius(&mut self, serial: u32, celsius: f32) {
        self.scratchpads.insert(ds18b20::rom(serial), ds18b20::scratchpad(celsius));
    }
}

impl Peripherals for Bench {
    fn uptime_millis(&mut self) -> u64 {
        self.now_millis
    }

    fn door_high(&mut self) -> bool {
        self.door_high
    }

    fn supply_volts(&mut self) -> Option<f32> {
        self.supply_volts
    }

    fn search_probes(&mut self) -> Vec<ProbeRom> {
        self.scratchpads.keys().copied().collect()
    }

    fn start_conversion(&mut self) {
        self.converted = self.scratchpads.clone();
    }

    fn scratchpad(&mut self, probe: ProbeRom) -> Option<[u8; 9]> {
        self.converted.get(&probe).copied()
    }

    fn position(&mut self) -> Option<Position> {
        self.position
    }

    fn set_light(&mut self, light: Light) {
        self.light = Some(light);
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.random = self.random.wrapping_mul(29).wrapping_add(17);
            *byte = self.random;
        }
    }

    fn facts(&self) -> BoardFacts {
        BoardFacts {
            firmware: "0.1.0".into(),
            image_sha256: [0xAB; 32],
            mac: [0xA0, 0, 1, 2, 3, 0xFF],
            chip: "esp32c3".into(),
            reset_reason: "power-on".into(),
        }
    }
}
