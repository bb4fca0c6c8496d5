//! The flash memory: where the partitions lie, what is kept in them, and the app image that runs.

use core::ops::Range;

use coldbench_sensor::flash::{BoardFlash, FlashError, Layout, NorFlash, SECTOR_LEN, app_image};
use esp_bootloader_esp_idf::partitions::{self, PARTITION_TABLE_MAX_LEN, PartitionEntry, PartitionTable};
use esp_hal::{
    peripherals::FLASH,
    sha::{Sha, Sha256},
};
use esp_storage::FlashStorage;

/// What the board keeps, on its own chip.
pub type BoardStore = BoardFlash<Chip>;

/// What the board found in its flash memory.
pub struct Storage {
    /// What survives a loss of power.
    pub store: BoardStore,
    /// Digest of the app image that runs; `None` when flash memory and partition table do not show one.
    pub image_sha256: Option<[u8; 32]>,
}

impl Storage {
    /// Reads the partition table and the app image. The chip's own unit computes the digest, because in software that
    /// would be the longest wait before the hello.
    pub fn open(flash: FLASH<'static>, mut sha: Sha<'static>) -> Self {
        let mut chip = Chip(FlashStorage::new(flash));
        let mut buffer = [0; PARTITION_TABLE_MAX_LEN];
        let Ok(table) = partitions::read_partition_table(&mut chip.0, &mut buffer) else {
            return Storage { store: BoardFlash::new(chip, None), image_sha256: None };
        };
        let running = table.booted_partition().ok().flatten().map(range);
        let image_sha256 = running.and_then(|partition| {
            app_image::digest(|at, bytes| chip.read_mapped(at, bytes), partition, sha.start::<Sha256>())
        });
        let layout = layout(&table);
        Storage { store: BoardFlash::new(chip, layout), image_sha256 }
    }
}

fn layout(table: &PartitionTable<'_>) -> Option<Layout> {
    let named = |name: &str| table.iter().find(|entry| entry.label_as_str() == name).map(range);
    Layout::new(named("nvs")?, named("calib")?, named("backlog"))
}

fn range(partition: PartitionEntry) -> Range<u32> {
    partition.offset()..partition.offset().saturating_add(partition.len())
}

/// The chip's flash memory. While it erases or programs, interrupts wait: up to 0.3 s for a sector.
pub struct Chip(FlashStorage<'static>);

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
