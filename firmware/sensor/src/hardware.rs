//! What the board's logic needs from the hardware.
//!
//! No method waits for the outside world longer than a bus transaction takes. Whatever does not answer gives `None`,
//! so a board without any sensor still starts, reads and says what is missing.

use alloc::{string::String, vec::Vec};
use core::fmt;

use coldbench_protocol::{Position, ProbeRom};
use serde::{Deserialize, Serialize};

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
/// [`Store::save`] must be atomic: after a loss of power at any moment the item is either the old one or the new one.
pub trait Store {
    /// What was saved last; `None` when there is nothing or it is damaged.
    fn load(&mut self, item: Item) -> Option<Vec<u8>>;

    /// Replaces the item.
    ///
    /// # Errors
    /// The old item is still there.
    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), StoreError>;

    /// Forgets the item, so that its bytes cannot be read from the flash chip any more.
    ///
    /// # Errors
    /// The item may still be there.
    fn erase(&mut self, item: Item) -> Result<(), StoreError>;
}

/// What is kept. Each item lies apart from the others: erasing the credentials leaves the calibration alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// Probes, lines and door polarity.
    Calibration,
    /// Interval and thresholds.
    Settings,
    /// Keys, certificates, broker, thing name and network, all in one so that they change together. Secret.
    Credentials,
}

impl Item {
    /// All items.
    pub const ALL: [Item; 3] = [Item::Calibration, Item::Settings, Item::Credentials];

    /// Most bytes an item may have; a store offers at least this much for it.
    pub const MAX_LEN: usize = 8192;
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
