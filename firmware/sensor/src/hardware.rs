//! What the board's logic needs from the hardware.
//!
//! No method waits for the outside world longer than a bus transaction takes. Whatever does not answer gives `None`,
//! so a board without any sensor still starts, reads and says what is missing.

use alloc::{string::String, vec::Vec};
use core::fmt;

use coldbench_protocol::{Position, ProbeRom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::identity::Connection;

/// Sensors, clock, light and random numbers of one board.
pub trait Peripherals {
    /// Milliseconds since the start; never goes back.
    fn uptime_millis(&mut self) -> u64;

    /// Level of the door input now, not debounced; `true` is high.
    fn door_high(&mut self) -> bool;

    /// Supply voltage now, in volts as scaled by the nominal divider (see [`crate::supply`]); `None` when the converter
    /// does not answer. Called in every poll, so that a crank of 15 ms is seen.
    fn supply_volts(&mut self) -> Option<f32>;

    /// Addresses of all probes on the 1-Wire bus, in the order of the search; empty when nothing answers.
    fn search_probes(&mut self) -> Vec<ProbeRom>;

    /// Starts a conversion on all probes and returns at once. The result is fetched
    /// [`crate::thermometers::CONVERSION_MILLIS`] later.
    fn start_conversion(&mut self);

    /// The nine bytes of a probe's scratchpad as read, CRC not checked; `None` when no presence pulse answers.
    fn scratchpad(&mut self, probe: ProbeRom) -> Option<[u8; 9]>;

    /// Position, where a receiver is fitted and has one.
    fn position(&mut self) -> Option<Position>;

    /// Shows the driver how it stands.
    fn set_light(&mut self, light: Light);

    /// Fills the bytes from a source fit for keys. On an ESP32-C3 the hardware generator is one only while the radio
    /// or the SAR ADC feeds it noise; the driver must see to that before it returns.
    fn fill_random(&mut self, bytes: &mut [u8]);

    /// What does not change while the board runs.
    fn facts(&self) -> BoardFacts;
}

/// What does not change while the board runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardFacts {
    /// Version of the firmware, as in its manifest.
    pub firmware: String,
    /// SHA-256 over the app image as it lies in flash.
    pub image_sha256: [u8; 32],
    /// Base MAC address from efuse.
    pub mac: [u8; 6],
    /// Chip name as the flashing tool writes it: `esp32c3`.
    pub chip: String,
    /// `power-on`, `software`, `watchdog`, `brown-out` or `unknown`.
    pub reset_reason: String,
}

/// The light at the driver's place, and the status in a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// All is well.
    #[default]
    Green,
    /// A warning or a faulty sensor.
    Amber,
    /// Critical.
    Red,
}

/// Memory that survives a loss of power.
///
/// Every change must be atomic: after a loss of power at any moment there is what was before or what was to be.
pub trait Store {
    /// What was saved last; `None` when there is nothing or it is damaged.
    fn load(&mut self, item: Item) -> Option<Vec<u8>>;

    /// Replaces the item.
    ///
    /// # Errors
    /// The old item is still there.
    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), StoreError>;

    /// The installed identity; `None` when there is none or it is damaged.
    fn load_identity(&mut self) -> Option<Connection>;

    /// Replaces the identity and forgets the key that waited for it.
    ///
    /// # Errors
    /// The old identity is still there.
    fn save_identity(&mut self, identity: &Connection) -> Result<(), StoreError>;

    /// The key that waits for its certificate, as PKCS#8 DER; `None` when none does.
    fn load_pending_key(&mut self) -> Option<Zeroizing<Vec<u8>>>;

    /// Replaces the key that waits.
    ///
    /// # Errors
    /// The old key may still be there.
    fn save_pending_key(&mut self, key_pkcs8_der: &[u8]) -> Result<(), StoreError>;

    /// Forgets identity and keys, so that their bytes cannot be read from the flash chip any more.
    ///
    /// # Errors
    /// They may still be there.
    fn erase_credentials(&mut self) -> Result<(), StoreError>;
}

/// What is kept as plain bytes. Each item lies apart from the others and from the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// Probes, lines and door polarity.
    Calibration,
    /// Interval and thresholds.
    Settings,
}

impl Item {
    /// All items.
    pub const ALL: [Item; 2] = [Item::Calibration, Item::Settings];

    /// Most bytes an item may have; a store offers at least this much for it.
    pub const MAX_LEN: usize = 8192;
}

/// Records that wait to be sent, oldest first, over a loss of power. A loss of power at any moment loses at most the
/// record that is being pushed. When there is no more room the oldest ones give way and are counted.
pub trait Backlog {
    /// From now on records are this owner's. Those of another one stay, unsent, until they give way or their owner
    /// comes back.
    fn claim(&mut self, owner: u32);

    /// Appends a record of at most 255 bytes.
    ///
    /// # Errors
    /// It was not kept, and counts as dropped.
    fn push(&mut self, record: &[u8]) -> Result<(), StoreError>;

    /// The oldest record that waits. It stays until it is acknowledged.
    fn oldest(&mut self) -> Option<Waiting>;

    /// Takes out the record with this ticket, if it is still the oldest.
    ///
    /// # Errors
    /// It may come again after the next start.
    fn acknowledge(&mut self, ticket: u64) -> Result<(), StoreError>;

    /// How many records wait.
    fn waiting(&self) -> u32;

    /// How many records gave way before they were sent, since the start.
    fn dropped(&self) -> u32;
}

/// A record that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Names the record towards [`Backlog::acknowledge`].
    pub ticket: u64,
    /// What was pushed.
    pub record: Vec<u8>,
}

/// Why the memory did not take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Writing failed.
    Save,
    /// Erasing failed.
    Erase,
    /// The item is longer than its place.
    Full,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreError::Save => "writing failed",
            StoreError::Erase => "erasing failed",
            StoreError::Full => "no room",
        })
    }
}

impl core::error::Error for StoreError {}
