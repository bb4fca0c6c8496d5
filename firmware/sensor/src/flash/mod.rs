//! What the board keeps in flash memory, safe against a loss of power at any moment.
//!
//! - [`nvs`]: identity and settings, in the format of ESP-IDF's NVS library, so that other tools can read them.
//! - [`record`]: the calibration, in two slots of a partition of its own, which reflashing never touches.
//! - [`ring`]: the readings that wait for a connection.
//! - [`app_image`]: the image that runs.
//!
//! [`BoardFlash`] is all of it on one chip: the board's [`Store`] and its [`Backlog`].

pub mod app_image;
mod nvs;
mod record;
mod ring;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::ops::Range;

use zeroize::Zeroizing;

use crate::{
    hardware::{Backlog, Item, Store, StoreError, Waiting},
    identity::Connection,
};
use nvs::Nvs;
use ring::Ring;

/// Bytes that are erased together.
pub const SECTOR_LEN: u32 = 4096;

/// Least size of the `nvs` partition: two identities of the largest size while one takes the other's place, settings
/// and a spare page, in bytes.
pub const MIN_NVS_LEN: u32 = 12 * SECTOR_LEN;

/// Bytes that the board needs of the `calib` partition.
pub const CALIBRATION_LEN: u32 = record::LEN;

/// Least size of the `backlog` partition: one sector to write and one to give way, in bytes.
pub const MIN_BACKLOG_LEN: u32 = 2 * SECTOR_LEN;

/// NOR flash memory: erasing sets bits, programming clears them. Addresses count from the start of the chip.
pub trait NorFlash {
    /// Reads from an address that is a multiple of four; the length is one too.
    ///
    /// # Errors
    /// The chip did not answer.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError>;

    /// Programs at an address that is a multiple of four; the length is one too. A word may be programmed again to
    /// clear more of its bits.
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
    backlog: Option<Range<u32>>,
}

impl Layout {
    /// Takes the ranges of the partitions `nvs`, `calib` and `backlog`, which a board may lack. `None` when they are
    /// too small, overlap or do not start and end at a sector, so that nothing else is ever erased.
    pub fn new(nvs: Range<u32>, calibration: Range<u32>, backlog: Option<Range<u32>>) -> Option<Self> {
        let fits = |range: &Range<u32>, needed: u32| {
            range.start.is_multiple_of(SECTOR_LEN)
                && range.end.is_multiple_of(SECTOR_LEN)
                && range.end.checked_sub(range.start).is_some_and(|len| len >= needed)
        };
        let all_fit = fits(&nvs, MIN_NVS_LEN)
            && fits(&calibration, CALIBRATION_LEN)
            && backlog.as_ref().is_none_or(|range| fits(range, MIN_BACKLOG_LEN));
        let apart = |a: &Range<u32>, b: &Range<u32>| a.end <= b.start || b.end <= a.start;
        let all_apart = apart(&nvs, &calibration)
            && backlog.as_ref().is_none_or(|range| apart(range, &nvs) && apart(range, &calibration));
        (all_fit && all_apart).then_some(Layout { nvs, calibration, backlog })
    }
}

/// Everything the board keeps, on one chip.
pub struct BoardFlash<F> {
    flash: F,
    /// `None` when the partition table has no place for it: then nothing is kept, and whoever asks is told so.
    layout: Option<Layout>,
    /// `None` without a partition for it.
    ring: Option<Ring>,
    /// Readings that found no place because there is no ring.
    homeless: u32,
}

impl<F: NorFlash> BoardFlash<F> {
    /// What lies in these partitions of this chip; without them nothing is kept.
    pub fn new(flash: F, layout: Option<Layout>) -> Self {
        let ring = layout.as_ref().and_then(|layout| layout.backlog.clone()).map(Ring::new);
        BoardFlash { flash, layout, ring, homeless: 0 }
    }

    /// Whether there is a place for what is kept.
    pub fn is_usable(&self) -> bool {
        self.layout.is_some()
    }

    /// The chip, for whoever needs another part of it.
    pub fn flash(&mut self) -> &mut F {
        &mut self.flash
    }

    fn nvs(&mut self) -> Result<Nvs<'_, F>, StoreError> {
        let layout = self.layout.as_ref().ok_or(StoreError::Save)?;
        Nvs::open(&mut self.flash, layout.nvs.clone())
    }

    fn scrub(&mut self) -> Result<(), StoreError> {
        let layout = self.layout.as_ref().ok_or(StoreError::Save)?;
        nvs::scrub(&mut self.flash, layout.nvs.clone())
    }

    fn calibration_start(&self) -> Option<u32> {
        Some(self.layout.as_ref()?.calibration.start)
    }
}

impl<F: NorFlash> Store for BoardFlash<F> {
    fn load(&mut self, item: Item) -> Option<Vec<u8>> {
        match item {
            Item::Calibration => {
                let start = self.calibration_start()?;
                record::load(&mut self.flash, start)
            }
            Item::Settings => self.nvs().ok()?.settings(),
        }
    }

    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > Item::MAX_LEN {
            return Err(StoreError::Full);
        }
        match item {
            Item::Calibration => {
                let start = self.calibration_start().ok_or(StoreError::Save)?;
                record::save(&mut self.flash, start, bytes)
            }
            Item::Settings => self.nvs()?.set_settings(bytes),
        }
    }

    fn load_identity(&mut self) -> Option<Connection> {
        // Whatever a loss of power left half done is finished first.
        let identity = self.nvs().ok().and_then(|mut nvs| {
            let _ = nvs.tidy();
            nvs.identity()
        });
        let _ = self.scrub();
        identity
    }

    fn save_identity(&mut self, identity: &Connection) -> Result<(), StoreError> {
        let saved = self.nvs()?.set_identity(identity);
        let scrubbed = self.scrub();
        // From the switch on the new identity counts; what is left of the old one goes with the next start.
        saved.map(|()| drop(scrubbed))
    }

    fn load_pending_key(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.nvs().ok()?.pending_key()
    }

    fn save_pending_key(&mut self, key_pkcs8_der: &[u8]) -> Result<(), StoreError> {
        self.nvs()?.set_pending_key(key_pkcs8_der)?;
        self.scrub()
    }

    fn erase_credentials(&mut self) -> Result<(), StoreError> {
        self.nvs().and_then(|mut nvs| nvs.erase_credentials()).map_err(|_| StoreError::Erase)?;
        self.scrub().map_err(|_| StoreError::Erase)
    }
}

impl<F: NorFlash> Backlog for BoardFlash<F> {
    fn claim(&mut self, owner: u32) {
        if let Some(ring) = &mut self.ring {
            ring.claim(&mut self.flash, owner);
        }
    }

    fn push(&mut self, record: &[u8]) -> Result<(), StoreError> {
        let Some(ring) = &mut self.ring else {
            self.homeless = self.homeless.saturating_add(1);
            return Err(StoreError::Full);
        };
        ring.push(&mut self.flash, record)
    }

    fn oldest(&mut self) -> Option<Waiting> {
        self.ring.as_mut()?.oldest(&mut self.flash)
    }

    fn acknowledge(&mut self, ticket: u64) -> Result<(), StoreError> {
        match &mut self.ring {
            Some(ring) => ring.acknowledge(&mut self.flash, ticket),
            None => Ok(()),
        }
    }

    fn waiting(&self) -> u32 {
        self.ring.as_ref().map_or(0, Ring::waiting)
    }

    fn dropped(&self) -> u32 {
        self.ring.as_ref().map_or(self.homeless, Ring::dropped)
    }
}
