//! The readings that wait for a connection: a ring of sectors, each a list of records.
//!
//! | sector | |
//! |---|---|
//! | `magic, sequence, owner, CRC-32` | whose readings these are, and how new the sector is; written after the erase |
//! | `count` | how many records, written when the sector is full |
//! | `drained` | anything but ones: every record was sent |
//! | records | one after the other |
//!
//! | record | |
//! |---|---|
//! | `length` (u16), `state` (u16) | all ones: it waits; anything else: it was sent |
//! | `CRC-32` | over length and payload |
//! | payload | filled up to a whole word |
//!
//! A record's payload is written before its header: a loss of power in between leaves a sector that is closed, and the
//! reading that was being written is the only one lost. Acknowledging clears the state's bits. When the ring is full
//! the oldest sector gives way, and its records are counted. A sector is erased just before it is written anew.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use crc::{CRC_32_ISO_HDLC, Crc};

use super::{FlashError, NorFlash, SECTOR_LEN, record::is_newer};
use crate::hardware::{StoreError, Waiting};

const MAGIC: u32 = u32::from_le_bytes(*b"CBb1");
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
const COUNT_AT: u32 = 16;
const DRAINED_AT: u32 = 20;
const SECTOR_HEADER_LEN: u32 = 24;
const RECORD_HEADER_LEN: u32 = 8;
const WAITS: u16 = 0xffff;
const BLANK: u32 = 0xffff_ffff;
/// Longest payload, in bytes.
const MAX_PAYLOAD_LEN: usize = 255;

/// The ring and where it stands. A few words of memory, however much waits.
pub(super) struct Ring {
    range: Range<u32>,
    owner: u32,
    /// Where the next record goes; `None` before the first sector.
    head: Option<Place>,
    /// Where the oldest waiting record may lie; `None` when nothing waits.
    tail: Option<Place>,
    waiting: u32,
    dropped: u32,
}

/// A place in a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    sector: u32,
    sequence: u32,
    /// Bytes from the sector's start.
    offset: u32,
}

/// A sector's header.
#[derive(Debug, Clone, Copy)]
struct Sector {
    sequence: u32,
    owner: u32,
    count: Option<u32>,
    drained: bool,
}

/// What lies at a place.
enum Found {
    /// Nothing: here the next record goes.
    Blank,
    /// Neither nothing nor a record; what follows cannot be told.
    Broken,
    /// A record of this length in the sector; the payload when it waits and is whole.
    Record { len: u32, payload: Option<Vec<u8>> },
}

impl Ring {
    pub(super) fn new(range: Range<u32>) -> Self {
        Ring { range, owner: 0, head: None, tail: None, waiting: 0, dropped: 0 }
    }

    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    pub(super) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Finds head and tail of this owner's readings.
    pub(super) fn claim(&mut self, flash: &mut impl NorFlash, owner: u32) {
        (self.owner, self.head, self.tail, self.waiting) = (owner, None, None, 0);
        let sectors = self.sectors();
        let newest = (0..sectors)
            .filter_map(|index| Some((index, self.header(flash, index)?.sequence)))
            .reduce(|best, other| if is_newer(other.1, best.1) { other } else { best });
        let Some((newest, newest_sequence)) = newest else { return };
        // From the oldest to the newest, as far as their numbers fit together.
        for age in (0..sectors).rev() {
            let index = (newest + sectors - age) % sectors;
            let Some(sector) = self.header(flash, index) else { continue };
            if sector.sequence != newest_sequence.wrapping_sub(age) {
                continue;
            }
            let start = Place { sector: index, sequence: sector.sequence, offset: SECTOR_HEADER_LEN };
            if age == 0 {
                let offset = if sector.owner == owner { self.end_of(flash, start) } else { SECTOR_LEN };
                self.head = Some(Place { offset, ..start });
            }
            if sector.owner != owner || sector.drained {
                continue;
            }
            // Records were sent in order, so only the first sector may hold some that were.
            let count = match (self.tail, sector.count) {
                (Some(_), Some(count)) => count,
                _ => self.waiting_in(flash, start),
            };
            if count > 0 {
                self.tail.get_or_insert(start);
                self.waiting = self.waiting.saturating_add(count);
            }
        }
    }

    /// Appends a record. When the ring is full the oldest sector gives way.
    pub(super) fn push(&mut self, flash: &mut impl NorFlash, payload: &[u8]) -> Result<(), StoreError> {
        let pushed = self.append(flash, payload);
        if pushed.is_err() {
            self.dropped = self.dropped.saturating_add(1);
        }
        pushed
    }

    /// The oldest record that waits.
    pub(super) fn oldest(&mut self, flash: &mut impl NorFlash) -> Option<Waiting> {
        loop {
            let place = self.tail?;
            match self.record(flash, place) {
                Found::Record { payload: Some(record), .. } => return Some(Waiting { ticket: place.ticket(), record }),
                Found::Record { len, payload: None } => self.tail = Some(place.after(len)),
                Found::Blank | Found::Broken => self.leave_sector(flash, place),
            }
        }
    }

    /// Marks a record as sent. One that gave way meanwhile is passed over. A failed mark means that it is sent again
    /// after the next start.
    pub(super) fn acknowledge(&mut self, flash: &mut impl NorFlash, ticket: u64) -> Result<(), StoreError> {
        let Some(place) = self.tail.filter(|place| place.ticket() == ticket) else { return Ok(()) };
        let Found::Record { len, payload: Some(payload) } = self.record(flash, place) else { return Ok(()) };
        self.waiting = self.waiting.saturating_sub(1);
        self.tail = Some(place.after(len));
        let sent = [(payload.len() as u16).to_le_bytes(), [0; 2]];
        flash.program(self.address(place), sent.as_flattened()).map_err(|_| StoreError::Save)
    }

    fn append(&mut self, flash: &mut impl NorFlash, payload: &[u8]) -> Result<(), StoreError> {
        if payload.len() > MAX_PAYLOAD_LEN {
            return Err(StoreError::Full);
        }
        let len = RECORD_HEADER_LEN + (payload.len() as u32).next_multiple_of(4);
        let place = match self.head {
            Some(head) if head.offset + len <= SECTOR_LEN => head,
            _ => self.next_sector(flash).map_err(|_| StoreError::Save)?,
        };
        // Whatever comes of it, these cells are used.
        self.head = Some(place.after(len));
        self.write(flash, place, payload).map_err(|_| StoreError::Save)?;
        match self.record(flash, place) {
            Found::Record { payload: Some(written), .. } if written == payload => {
                self.tail.get_or_insert(place);
                self.waiting = self.waiting.saturating_add(1);
                Ok(())
            }
            // A worn cell. The reader passes over it.
            _ => Err(StoreError::Save),
        }
    }

    fn write(&self, flash: &mut impl NorFlash, place: Place, payload: &[u8]) -> Result<(), FlashError> {
        let mut padded = payload.to_vec();
        padded.resize(payload.len().next_multiple_of(4), 0xff);
        flash.program(self.address(place) + RECORD_HEADER_LEN, &padded)?;
        let len = payload.len() as u16;
        let [first, second] = [len.to_le_bytes(), WAITS.to_le_bytes()];
        let head = [[first[0], first[1], second[0], second[1]], checksum_of(payload).to_le_bytes()];
        flash.program(self.address(place), head.as_flattened())
    }

    /// Closes the sector that is full and makes the next one ready. What still waits there is given up.
    fn next_sector(&mut self, flash: &mut impl NorFlash) -> Result<Place, FlashError> {
        let (index, sequence) = match self.head {
            Some(head) => {
                self.close(flash, head)?;
                ((head.sector + 1) % self.sectors(), head.sequence.wrapping_add(1))
            }
            None => (0, 0),
        };
        self.give_up(flash, index);
        let address = self.sector_address(index);
        flash.erase_sector(address)?;
        let header = [MAGIC, sequence, self.owner, header_checksum(sequence, self.owner)].map(u32::to_le_bytes);
        flash.program(address, header.as_flattened())?;
        Ok(Place { sector: index, sequence, offset: SECTOR_HEADER_LEN })
    }

    /// Notes how many records the sector has, and whether all of them were sent: a start then need not look at them.
    fn close(&self, flash: &mut impl NorFlash, head: Place) -> Result<(), FlashError> {
        let start = Place { offset: SECTOR_HEADER_LEN, ..head };
        let address = self.sector_address(head.sector);
        let records = self.walk(flash, start).count() as u32;
        flash.program(address + COUNT_AT, &records.to_le_bytes())?;
        if self.waiting_in(flash, start) == 0 {
            flash.program(address + DRAINED_AT, &[0; 4])?;
        }
        Ok(())
    }

    /// Counts what waits in a sector that is about to be erased, and moves the tail on.
    fn give_up(&mut self, flash: &mut impl NorFlash, index: u32) {
        let Some(sector) = self.header(flash, index).filter(|sector| !sector.drained) else { return };
        let start = Place { sector: index, sequence: sector.sequence, offset: SECTOR_HEADER_LEN };
        let lost = self.waiting_in(flash, start);
        self.dropped = self.dropped.saturating_add(lost);
        if sector.owner == self.owner {
            self.waiting = self.waiting.saturating_sub(lost);
        }
        if let Some(tail) = self.tail.filter(|tail| tail.sector == index) {
            self.leave_sector(flash, tail);
        }
    }

    /// Moves the tail from a sector to the next one of this owner, and notes that this one is drained.
    fn leave_sector(&mut self, flash: &mut impl NorFlash, tail: Place) {
        let head = self.head.filter(|head| head.sector != tail.sector);
        self.tail = head.and_then(|head| {
            // A failed mark costs a look at the sector at the next start.
            let _ = flash.program(self.sector_address(tail.sector) + DRAINED_AT, &[0; 4]);
            let distance = (head.sector + self.sectors() - tail.sector) % self.sectors();
            (1..=distance).find_map(|step| {
                let index = (tail.sector + step) % self.sectors();
                let sector = self.header(flash, index)?;
                let is_next = sector.sequence == tail.sequence.wrapping_add(step) && sector.owner == self.owner;
                let start = Place { sector: index, sequence: sector.sequence, offset: SECTOR_HEADER_LEN };
                (is_next && !sector.drained).then_some(start)
            })
        });
        if self.tail.is_none() {
            self.waiting = 0;
        }
    }

    /// Where the next record goes in a sector: behind its last one, or at its end when something else lies there.
    fn end_of(&self, flash: &mut impl NorFlash, mut place: Place) -> u32 {
        loop {
            match self.record(flash, place) {
                Found::Record { len, .. } => place = place.after(len),
                Found::Blank if self.is_blank_from(flash, place) => return place.offset,
                Found::Blank | Found::Broken => return SECTOR_LEN,
            }
        }
    }

    fn is_blank_from(&self, flash: &mut impl NorFlash, place: Place) -> bool {
        let mut rest = vec![0; SECTOR_LEN.saturating_sub(place.offset) as usize];
        flash.read(self.address(place), &mut rest).is_ok() && rest.iter().all(|byte| *byte == 0xff)
    }

    /// How many records of a sector wait.
    fn waiting_in(&self, flash: &mut impl NorFlash, start: Place) -> u32 {
        self.walk(flash, start).filter(|waits| *waits).count() as u32
    }

    /// For each record of a sector, whether it waits.
    fn walk<F: NorFlash>(&self, flash: &mut F, mut place: Place) -> impl Iterator<Item = bool> {
        core::iter::from_fn(move || match self.record(flash, place) {
            Found::Record { len, payload } => {
                place = place.after(len);
                Some(payload.is_some())
            }
            Found::Blank | Found::Broken => None,
        })
    }

    fn record(&self, flash: &mut impl NorFlash, place: Place) -> Found {
        if place.offset + RECORD_HEADER_LEN > SECTOR_LEN {
            return Found::Broken;
        }
        let mut header = [[0; 4]; 2];
        if flash.read(self.address(place), header.as_flattened_mut()).is_err() {
            return Found::Broken;
        }
        let [first, checksum] = header;
        if header.as_flattened().iter().all(|byte| *byte == 0xff) {
            return Found::Blank;
        }
        let payload_len = u16::from_le_bytes([first[0], first[1]]) as usize;
        let state = u16::from_le_bytes([first[2], first[3]]);
        let len = RECORD_HEADER_LEN + (payload_len as u32).next_multiple_of(4);
        if payload_len > MAX_PAYLOAD_LEN || place.offset + len > SECTOR_LEN {
            return Found::Broken;
        }
        if state != WAITS {
            return Found::Record { len, payload: None };
        }
        let mut payload = vec![0; payload_len.next_multiple_of(4)];
        let was_read = flash.read(self.address(place) + RECORD_HEADER_LEN, &mut payload).is_ok();
        payload.truncate(payload_len);
        let is_whole = was_read && checksum_of(&payload) == u32::from_le_bytes(checksum);
        Found::Record { len, payload: is_whole.then_some(payload) }
    }

    fn header(&self, flash: &mut impl NorFlash, index: u32) -> Option<Sector> {
        let mut header = [[0; 4]; SECTOR_HEADER_LEN as usize / 4];
        flash.read(self.sector_address(index), header.as_flattened_mut()).ok()?;
        let [magic, sequence, owner, checksum, count, drained] = header.map(u32::from_le_bytes);
        let is_whole = magic == MAGIC && checksum == header_checksum(sequence, owner);
        let count = Some(count).filter(|count| *count <= SECTOR_LEN / RECORD_HEADER_LEN);
        is_whole.then_some(Sector { sequence, owner, count, drained: drained != BLANK })
    }

    fn sectors(&self) -> u32 {
        (self.range.end - self.range.start) / SECTOR_LEN
    }

    fn sector_address(&self, index: u32) -> u32 {
        self.range.start + index * SECTOR_LEN
    }

    fn address(&self, place: Place) -> u32 {
        self.sector_address(place.sector) + place.offset
    }
}

impl Place {
    fn after(self, len: u32) -> Self {
        Place { offset: self.offset + len, ..self }
    }

    /// Never used twice before sequence numbers wrap around, which takes thousands of years.
    fn ticket(self) -> u64 {
        u64::from(self.sequence) << 32 | u64::from(self.offset)
    }
}

fn checksum_of(payload: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&(payload.len() as u16).to_le_bytes());
    digest.update(payload);
    digest.finalize()
}

fn header_checksum(sequence: u32, owner: u32) -> u32 {
    CRC.checksum([sequence.to_le_bytes(), owner.to_le_bytes()].as_flattened())
}
