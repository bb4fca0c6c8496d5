//! The flash memory: where the partitions lie, what is kept in them, and the app image that runs.

use alloc::vec::Vec;
use core::ops::Range;

use coldbench_sensor::{
    flash::{FlashError, Layout, NorFlash, Records, SECTOR_LEN, app_image},
    hardware::{Item, Store, StoreError},
};
use esp_bootloader_esp_idf::partitions::{self, PARTITION_TABLE_MAX_LEN, PartitionEntry, PartitionTable};
use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;

/// What the board found in its flash memory.
pub struct Storage {
    /// Items that survive a loss of power.
    pub store: BoardStore,
    /// Digest of the app image that runs; `None` when flash memory and partition table do not show one.
    pub image_sha256: Option<[u8; 32]>,
}

impl Storage {
    /// Reads the partition table and the app image. Takes a few tenths of a second.
    pub fn open(flash: FLASH<'static>) -> Self {
        let mut chip = Chip(FlashStorage::new(flash));
        let mut buffer = [0; PARTITION_TABLE_MAX_LEN];
        let Ok(table) = partitions::read_partition_table(&mut chip.0, &mut buffer) else {
            return Storage { store: BoardStore(None), image_sha256: None };
        };
        let running = table.booted_partition().ok().flatten().map(range);
        let image_sha256 =
            running.and_then(|partition| app_image::digest(|at, bytes| chip.read_mapped(at, bytes), partition));
        let records = layout(&table).map(|layout| Records::new(chip, layout));
        Storage { store: BoardStore(records), image_sha256 }
    }
}

fn layout(table: &PartitionTable<'_>) -> Option<Layout> {
    let named = |name: &str| table.iter().find(|entry| entry.label_as_str() == name).map(range);
    Layout::new(named("nvs")?, named("calib")?)
}

fn range(partition: PartitionEntry) -> Range<u32> {
    partition.offset()..partition.offset().saturating_add(partition.len())
}

/// The chip's flash memory. While it erases or programs, interrupts wait: up to 0.3 s for a sector.
struct Chip(FlashStorage<'static>);

impl Chip {
    /// Reads the app image through the cache, in clear text. The ROM's own read fetches 16 bytes at a time, which for
    /// the whole image would be the longest wait before the hello.
    fn read_mapped(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.0.read_encrypted(address, bytes).map_err(|_| FlashError)
    }
}

impl NorFlash for Chip {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.0.read_nor(address, bytes).map_err(|_| FlashError)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.write_nor(address, bytes).map_err(|_| FlashError)
    }

    fn erase_sector(&mut self, address: u32) -> Result<(), FlashError> {
        self.0.erase(address, address.saturating_add(SECTOR_LEN)).map_err(|_| FlashError)
    }
}

/// The records; `None` when the partition table has no place for them. Then nothing is kept, and the tool is told so.
pub struct BoardStore(Option<Records<Chip>>);

impl BoardStore {
    /// Whether there is a place for records.
    pub fn is_usable(&self) -> bool {
        self.0.is_some()
    }
}

impl Store for BoardStore {
    fn load(&mut self, item: Item) -> Option<Vec<u8>> {
        self.0.as_mut()?.load(item)
    }

    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.as_mut().ok_or(StoreError::Save)?.save(item, bytes)
    }

    fn erase(&mut self, item: Item) -> Result<(), StoreError> {
        self.0.as_mut().ok_or(StoreError::Erase)?.erase(item)
    }
}
