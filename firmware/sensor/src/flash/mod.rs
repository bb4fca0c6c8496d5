//! What the board keeps in flash memory, safe against a loss of power at any moment.
//!
//! Each item has two slots of [`SLOT_SECTORS`] sectors. Saving erases the slot that does not hold the current record,
//! writes the payload behind the header's place and the header last: before the last word is written the slot counts
//! for nothing and the other one stands; after it the new record has the higher sequence number and counts.
//!
//! A record is `magic, sequence, length, CRC-32` (little-endian words), then the payload, filled up to a whole word.
//! The CRC is over sequence, length and payload, so neither a half-erased nor a half-written slot passes.
//!
//! The `calib` partition holds the calibration, the `nvs` partition the rest, one item after the other; see
//! [`Layout`].

pub mod app_image;
#[cfg(test)]
mod tests;

use alloc::{vec, vec::Vec};
use core::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc};

use crate::hardware::{Item, Store, StoreError};

/// Bytes that are erased together.
pub const SECTOR_LEN: u32 = 4096;

/// Sectors of one slot: room for [`Item::MAX_LEN`] and the header.
pub const SLOT_SECTORS: u32 = 3;

/// Bytes that the board needs of the `nvs` partition: settings and credentials, two slots each.
pub const NVS_LEN: u32 = 2 * ITEM_LEN;

/// Bytes that the board needs of the `calib` partition: the calibration, two slots.
pub const CALIBRATION_LEN: u32 = ITEM_LEN;

const SLOT_LEN: u32 = SLOT_SECTORS * SECTOR_LEN;
const ITEM_LEN: u32 = 2 * SLOT_LEN;
const HEADER_LEN: u32 = 16;
const MAGIC: u32 = u32::from_le_bytes(*b"CBr1");
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const _: () = assert!(Item::MAX_LEN as u32 + HEADER_LEN <= SLOT_LEN, "an item must fit in its slot");

/// NOR flash memory: erasing sets bits, programming clears them. Addresses count from the start of the chip.
pub trait NorFlash {
    /// Reads from an address that is a multiple of four; the length is one too.
    ///
    /// # Errors
    /// The chip did not answer.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError>;

    /// Programs at an address that is a multiple of four; the length is one too.
    ///
    /// # Errors
    /// The chip did not take it; any part may have been programmed.
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError>;

    /// Erases the sector that starts at this address.
    ///
    /// # Errors
    /// The chip did not take it; any part may have been erased.
    fn erase_sector(&mut self, address: u32) -> Result<(), FlashError>;
}

/// The flash chip did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashError;

/// Where the partitions lie, as addresses in the chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    nvs: Range<u32>,
    calibration: Range<u32>,
}

impl Layout {
    /// Takes the ranges of the partitions `nvs` and `calib`; `None` when they are too small, overlap or do not start
    /// at a sector, so that nothing else is ever erased.
    pub fn new(nvs: Range<u32>, calibration: Range<u32>) -> Option<Self> {
        let fits = |range: &Range<u32>, needed: u32| {
            range.start.is_multiple_of(SECTOR_LEN)
                && range.end.checked_sub(range.start).is_some_and(|len| len >= needed)
        };
        let apart = nvs.end <= calibration.start || calibration.end <= nvs.start;
        (fits(&nvs, NVS_LEN) && fits(&calibration, CALIBRATION_LEN) && apart).then_some(Layout { nvs, calibration })
    }

    /// Addresses of the two slots of an item.
    fn slots(&self, item: Item) -> [u32; 2] {
        let first = match item {
            Item::Calibration => self.calibration.start,
            Item::Settings => self.nvs.start,
            Item::Credentials => self.nvs.start + ITEM_LEN,
        };
        [first, first + SLOT_LEN]
    }
}

/// The board's items as records in flash memory.
pub struct Records<F> {
    flash: F,
    layout: Layout,
}

/// A whole record in one of the two slots.
struct Record {
    slot: usize,
    sequence: u32,
    payload: Vec<u8>,
}

impl<F: NorFlash> Records<F> {
    /// Records in these partitions of this chip.
    pub fn new(flash: F, layout: Layout) -> Self {
        Records { flash, layout }
    }

    /// The chip, for whoever needs another part of it.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    /// The record that counts: the one with the higher sequence number.
    fn current(&mut self, item: Item) -> Option<Record> {
        let [first, second] = self.layout.slots(item);
        let first = self.read_slot(first).map(|(sequence, payload)| Record { slot: 0, sequence, payload });
        let second = self.read_slot(second).map(|(sequence, payload)| Record { slot: 1, sequence, payload });
        match (first, second) {
            // Numbers wrap around, so the distance decides, not the size.
            (Some(first), Some(second)) if is_newer(second.sequence, first.sequence) => Some(second),
            (Some(first), _) => Some(first),
            (None, second) => second,
        }
    }

    fn read_slot(&mut self, address: u32) -> Option<(u32, Vec<u8>)> {
        let mut header = [0; HEADER_LEN as usize];
        self.flash.read(address, &mut header).ok()?;
        let (words, _) = header.as_chunks::<4>();
        let [magic, sequence, len, checksum] = *words else { return None };
        let payload_len = u32::from_le_bytes(len) as usize;
        if u32::from_le_bytes(magic) != MAGIC || payload_len > Item::MAX_LEN {
            return None;
        }
        let mut payload = vec![0; payload_len.next_multiple_of(4)];
        self.flash.read(address + HEADER_LEN, &mut payload).ok()?;
        payload.truncate(payload_len);
        let sequence = u32::from_le_bytes(sequence);
        (checksum_of(sequence, &payload) == u32::from_le_bytes(checksum)).then_some((sequence, payload))
    }

    fn write_slot(&mut self, address: u32, sequence: u32, payload: &[u8]) -> Result<(), FlashError> {
        let used = (HEADER_LEN + payload.len() as u32).next_multiple_of(SECTOR_LEN);
        // The sector with the header goes first: from then on the old record in this slot counts for nothing.
        self.erase_sectors(address, used / SECTOR_LEN)?;

        let mut padded = payload.to_vec();
        padded.resize(payload.len().next_multiple_of(4), 0xff);
        self.flash.program(address + HEADER_LEN, &padded)?;

        let header = [MAGIC, sequence, payload.len() as u32, checksum_of(sequence, payload)].map(u32::to_le_bytes);
        self.flash.program(address, header.as_flattened())
    }

    fn erase_sectors(&mut self, address: u32, sectors: u32) -> Result<(), FlashError> {
        (0..sectors).try_for_each(|sector| self.flash.erase_sector(address + sector * SECTOR_LEN))
    }
}

impl<F: NorFlash> Store for Records<F> {
    fn load(&mut self, item: Item) -> Option<Vec<u8>> {
        self.current(item).map(|record| record.payload)
    }

    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > Item::MAX_LEN {
            return Err(StoreError::Full);
        }
        let (slot, sequence) = match self.current(item) {
            Some(record) if record.payload == bytes => return Ok(()),
            Some(record) => (1 - record.slot, record.sequence.wrapping_add(1)),
            None => (0, 0),
        };
        let address = self.layout.slots(item)[slot];
        self.write_slot(address, sequence, bytes).map_err(|_| StoreError::Save)?;
        // A worn cell shows only when it is read.
        match self.read_slot(address) {
            Some((_, written)) if written == bytes => Ok(()),
            _ => {
                // The old record must stay the one that counts.
                let _ = self.flash.erase_sector(address);
                Err(StoreError::Save)
            }
        }
    }

    fn erase(&mut self, item: Item) -> Result<(), StoreError> {
        let slots = self.layout.slots(item);
        // The slot that does not count goes first: a loss of power in between must not bring an older record back.
        let current = self.current(item).map_or(1, |record| record.slot);
        let in_order = [slots[1 - current], slots[current]];
        in_order.into_iter().try_for_each(|slot| self.erase_sectors(slot, SLOT_SECTORS)).map_err(|_| StoreError::Erase)
    }
}

/// Whether `a` was given after `b`. Numbers wrap around, so the distance decides, not the size.
fn is_newer(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

fn checksum_of(sequence: u32, payload: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&sequence.to_le_bytes());
    digest.update(&(payload.len() as u32).to_le_bytes());
    digest.update(payload);
    digest.finalize()
}
