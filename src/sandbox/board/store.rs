//! What the board keeps over a loss of power, in the partitions of its flash chip.
//!
//! Calibration lies in the partition `calib`, settings and credentials in `nvs`. Each partition is split in two banks. A
//! change is written as a whole to the older bank, its header last, so a loss of power leaves the old state or the new one.

use std::sync::Arc;

use coldbench_sensor::hardware::{Item, Store, StoreError};
use flate2::Crc;

use super::{
    boot::Partition,
    flash::{Flash, SECTOR_BYTES},
};

const MAGIC: u32 = u32::from_le_bytes(*b"CBK1");
/// Magic, sequence number, length and CRC-32 of the body.
const HEADER_LEN: usize = 16;

/// The store of a board whose app was found through this partition table.
#[derive(Debug)]
pub(super) struct FlashStore {
    flash: Arc<Flash>,
    partitions: Vec<Partition>,
}

/// One half of a partition.
#[derive(Debug, Clone, Copy)]
struct Bank {
    offset: u32,
    len: u32,
}

/// What a bank holds.
#[derive(Debug, Default)]
struct Contents {
    sequence: u32,
    records: Vec<(u8, Vec<u8>)>,
}

impl FlashStore {
    pub(super) fn new(flash: Arc<Flash>, partitions: Vec<Partition>) -> Self {
        FlashStore { flash, partitions }
    }

    /// The two banks of the partition that keeps this item; `None` when the table has none that is large enough.
    fn banks(&self, item: Item) -> Option<[Bank; 2]> {
        let label = match item {
            Item::Calibration => "calib",
            Item::Settings | Item::Credentials => "nvs",
        };
        let partition = self.partitions.iter().find(|partition| partition.label == label)?;
        let len = partition.len / 2 / SECTOR_BYTES * SECTOR_BYTES;
        let bank = |index| Bank { offset: partition.offset + index * len, len };
        (len > 0).then(|| [bank(0), bank(1)])
    }

    /// The valid contents with the higher sequence number, and the bank that the next change goes to.
    fn current(&self, banks: [Bank; 2]) -> (Contents, Bank) {
        match banks.map(|bank| self.read(bank)) {
            [Some(first), Some(second)] if first.sequence > second.sequence => (first, banks[1]),
            [_, Some(second)] => (second, banks[0]),
            [Some(first), None] => (first, banks[1]),
            [None, None] => (Contents::default(), banks[0]),
        }
    }

    fn read(&self, bank: Bank) -> Option<Contents> {
        let header = self.flash.read(bank.offset, HEADER_LEN as u32).ok()?;
        let word = |at: usize| header.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (sequence, len) = (word(4)?, word(8)?);
        if word(0)? != MAGIC || len > bank.len - HEADER_LEN as u32 {
            return None;
        }
        let body = self.flash.read(bank.offset + HEADER_LEN as u32, len).ok()?;
        if checksum(&body) != word(12)? {
            return None;
        }
        Some(Contents { sequence, records: parse(&body)? })
    }

    fn write(&self, bank: Bank, contents: &Contents) -> Result<(), StoreError> {
        let body: Vec<u8> = contents
            .records
            .iter()
            .flat_map(|(tag, bytes)| {
                let len = bytes.len() as u32;
                [*tag].into_iter().chain(len.to_le_bytes()).chain(bytes.iter().copied())
            })
            .collect();
        if body.len() > bank.len as usize - HEADER_LEN {
            return Err(StoreError::Full);
        }
        let words = [MAGIC, contents.sequence, body.len() as u32, checksum(&body)];
        let header: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        self.flash
            .erase(bank.offset, bank.len)
            .and_then(|()| self.flash.program(bank.offset + HEADER_LEN as u32, &body))
            .and_then(|()| self.flash.program(bank.offset, &header))
            .map_err(|_| StoreError::Save)
    }
}

impl Store for FlashStore {
    fn load(&mut self, item: Item) -> Option<Vec<u8>> {
        let (contents, _) = self.current(self.banks(item)?);
        contents.records.into_iter().find(|(tag, _)| *tag == tag_of(item)).map(|(_, bytes)| bytes)
    }

    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > Item::MAX_LEN {
            return Err(StoreError::Full);
        }
        let (mut contents, bank) = self.current(self.banks(item).ok_or(StoreError::Save)?);
        contents.sequence += 1;
        contents.records.retain(|(tag, _)| *tag != tag_of(item));
        contents.records.push((tag_of(item), bytes.to_vec()));
        self.write(bank, &contents)
    }

    /// The other bank is erased too, so that no copy stays behind.
    fn erase(&mut self, item: Item) -> Result<(), StoreError> {
        let banks = self.banks(item).ok_or(StoreError::Erase)?;
        let (mut contents, bank) = self.current(banks);
        contents.sequence += 1;
        contents.records.retain(|(tag, _)| *tag != tag_of(item));
        self.write(bank, &contents).map_err(|_| StoreError::Erase)?;
        let other = if bank.offset == banks[0].offset { banks[1] } else { banks[0] };
        self.flash.erase(other.offset, other.len).map_err(|_| StoreError::Erase)
    }
}

fn tag_of(item: Item) -> u8 {
    match item {
        Item::Calibration => 1,
        Item::Settings => 2,
        Item::Credentials => 3,
    }
}

fn checksum(body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(body);
    crc.sum()
}

fn parse(mut body: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut records = Vec::new();
    while let [tag, a, b, c, d, rest @ ..] = body {
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)?;
        records.push((*tag, bytes.to_vec()));
        body = rest;
    }
    body.is_empty().then_some(records)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::{boot::find_app, image_fixture::flash_with_app};
    use super::*;

    fn store() -> (tempfile::TempDir, FlashStore) {
        let (dir, flash) = flash_with_app("1.0.0");
        let partitions = find_app(&flash).unwrap().partitions;
        (dir, FlashStore::new(Arc::new(flash), partitions))
    }

    #[test]
    fn items_are_kept_apart_and_replaced() {
        let (_dir, mut store) = store();
        assert_eq!(store.load(Item::Settings), None);
        store.save(Item::Credentials, &[7; 6000]).unwrap();
        for round in 0..5 {
            store.save(Item::Settings, &[round; 40]).unwrap();
            store.save(Item::Calibration, &[round; 200]).unwrap();
        }
        assert_eq!(store.load(Item::Settings), Some(vec![4; 40]));
        assert_eq!(store.load(Item::Calibration), Some(vec![4; 200]));
        assert_eq!(store.load(Item::Credentials), Some(vec![7; 6000]));
    }

    #[test]
    fn an_erased_secret_is_nowhere_in_the_chip() {
        let (_dir, mut store) = store();
        let secret = b"-----BEGIN SECRET-----";
        store.save(Item::Credentials, secret).unwrap();
        store.save(Item::Settings, b"settings").unwrap();
        store.erase(Item::Credentials).unwrap();
        assert_eq!(store.load(Item::Credentials), None);
        assert_eq!(store.load(Item::Settings), Some(b"settings".to_vec()));
        let chip = store.flash.read(0, super::super::flash::FLASH_BYTES).unwrap();
        assert!(!chip.windows(secret.len()).any(|window| window == secret));
    }

    #[test]
    fn a_change_cut_short_leaves_the_old_state() {
        let (_dir, mut store) = store();
        store.save(Item::Calibration, b"old").unwrap();
        let (_, next) = store.current(store.banks(Item::Calibration).unwrap());
        // Power is lost after the body and before the header.
        store.flash.erase(next.offset, next.len).unwrap();
        store.flash.program(next.offset + HEADER_LEN as u32, b"half a body").unwrap();
        assert_eq!(store.load(Item::Calibration), Some(b"old".to_vec()));
        store.save(Item::Calibration, b"new").unwrap();
        assert_eq!(store.load(Item::Calibration), Some(b"new".to_vec()));
    }

    #[test]
    fn too_much_is_refused_and_the_old_item_stays() {
        let (_dir, mut store) = store();
        store.save(Item::Calibration, b"old").unwrap();
        assert_eq!(store.save(Item::Calibration, &[0; 8000]), Err(StoreError::Full));
        assert_eq!(store.load(Item::Calibration), Some(b"old".to_vec()));
    }
}
