//! One item in two slots of [`SLOT_SECTORS`] sectors.
//!
//! Saving erases the slot that does not hold the current record, writes the payload behind the header's place and the
//! header last: before the last word is written the slot counts for nothing and the other one stands; after it the new
//! record has the higher sequence number and counts.
//!
//! A record is `magic, sequence, length, CRC-32` (little-endian words), then the payload, filled up to a whole word.
//! The CRC is over sequence, length and payload, so neither a half-erased nor a half-written slot passes.

use alloc::{vec, vec::Vec};

use crc::{CRC_32_ISO_HDLC, Crc};

use super::{FlashError, NorFlash, SECTOR_LEN};
use crate::hardware::{Item, StoreError};

/// Bytes of the two slots.
pub(super) const LEN: u32 = 2 * SLOT_LEN;

/// Sectors of one slot: room for [`Item::MAX_LEN`] and the header.
const SLOT_SECTORS: u32 = 3;
pub(super) const SLOT_LEN: u32 = SLOT_SECTORS * SECTOR_LEN;
pub(super) const HEADER_LEN: u32 = 16;
pub(super) const MAGIC: u32 = u32::from_le_bytes(*b"CBr1");
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const _: () = assert!(Item::MAX_LEN as u32 + HEADER_LEN <= SLOT_LEN, "an item must fit in its slot");

/// A whole record in one of the two slots.
struct Record {
    address: u32,
    sequence: u32,
    payload: Vec<u8>,
}

/// What was saved last in the two slots that start at this address.
pub(super) fn load(flash: &mut impl NorFlash, start: u32) -> Option<Vec<u8>> {
    current(flash, start).map(|record| record.payload)
}

/// Replaces what was saved last.
pub(super) fn save(flash: &mut impl NorFlash, start: u32, bytes: &[u8]) -> Result<(), StoreError> {
    let (address, sequence) = match current(flash, start) {
        Some(record) if record.payload == bytes => return Ok(()),
        Some(record) if record.address == start => (start + SLOT_LEN, record.sequence.wrapping_add(1)),
        Some(record) => (start, record.sequence.wrapping_add(1)),
        None => (start, 0),
    };
    write(flash, address, sequence, bytes).map_err(|_| StoreError::Save)?;
    // A worn cell shows only when it is read.
    match read(flash, address) {
        Some(written) if written.payload == bytes => Ok(()),
        _ => {
            // The old record must stay the one that counts.
            let _ = flash.erase_sector(address);
            Err(StoreError::Save)
        }
    }
}

/// The record that counts: the one with the higher sequence number.
fn current(flash: &mut impl NorFlash, start: u32) -> Option<Record> {
    match (read(flash, start), read(flash, start + SLOT_LEN)) {
        (Some(first), Some(second)) if is_newer(second.sequence, first.sequence) => Some(second),
        (Some(first), _) => Some(first),
        (None, second) => second,
    }
}

fn read(flash: &mut impl NorFlash, address: u32) -> Option<Record> {
    let mut header = [0; HEADER_LEN as usize];
    flash.read(address, &mut header).ok()?;
    let (words, _) = header.as_chunks::<4>();
    let [magic, sequence, len, checksum] = *words else { return None };
    let payload_len = u32::from_le_bytes(len) as usize;
    if u32::from_le_bytes(magic) != MAGIC || payload_len > Item::MAX_LEN {
        return None;
    }
    let mut payload = vec![0; payload_len.next_multiple_of(4)];
    flash.read(address + HEADER_LEN, &mut payload).ok()?;
    payload.truncate(payload_len);
    let sequence = u32::from_le_bytes(sequence);
    let is_whole = checksum_of(sequence, &payload) == u32::from_le_bytes(checksum);
    is_whole.then_some(Record { address, sequence, payload })
}

fn write(flash: &mut impl NorFlash, address: u32, sequence: u32, payload: &[u8]) -> Result<(), FlashError> {
    let used = (HEADER_LEN + payload.len() as u32).next_multiple_of(SECTOR_LEN);
    // The sector with the header goes first: from then on the old record in this slot counts for nothing.
    (0..used / SECTOR_LEN).try_for_each(|sector| flash.erase_sector(address + sector * SECTOR_LEN))?;

    let mut padded = payload.to_vec();
    padded.resize(payload.len().next_multiple_of(4), 0xff);
    flash.program(address + HEADER_LEN, &padded)?;

    let header = [MAGIC, sequence, payload.len() as u32, checksum_of(sequence, payload)].map(u32::to_le_bytes);
    flash.program(address, header.as_flattened())
}

/// Whether `a` was given after `b`. Numbers wrap around, so the distance decides, not the size.
pub(super) fn is_newer(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

fn checksum_of(sequence: u32, payload: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&sequence.to_le_bytes());
    digest.update(&(payload.len() as u32).to_le_bytes());
    digest.update(payload);
    digest.finalize()
}
