//! A NOR flash chip in memory.

use alloc::{vec, vec::Vec};

use super::FLASH_LEN;
use crate::flash::{FlashError, NorFlash, SECTOR_LEN};

/// Flash memory whose power fails after a number of steps. A step is a word programmed or a quarter of a sector
/// erased; the step at which the power fails is done by half, and
/// nothing after it.
#[derive(Clone)]
pub(super) struct ImitatedFlash {
    pub(super) bytes: Vec<u8>,
    steps_left: Option<u32>,
    /// Bits that cannot be cleared any more, at one address.
    pub(super) worn_address: Option<usize>,
    is_cut: bool,
    /// How many sectors were erased.
    pub(super) erases: u32,
}

impl ImitatedFlash {
    pub(super) fn new() -> Self {
        ImitatedFlash { bytes: vec![0xff; FLASH_LEN], steps_left: None, worn_address: None, is_cut: false, erases: 0 }
    }

    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        ImitatedFlash { bytes, ..ImitatedFlash::new() }
    }

    pub(super) fn with_power_for(&self, steps: u32) -> Self {
        ImitatedFlash { steps_left: Some(steps), is_cut: false, ..self.clone() }
    }

    pub(super) fn with_power(&self) -> Self {
        ImitatedFlash { steps_left: None, is_cut: false, ..self.clone() }
    }

    /// Whether the power failed in some step.
    pub(super) fn was_cut(&self) -> bool {
        self.is_cut
    }

    /// `true` while there is power for one more step.
    fn step(&mut self) -> bool {
        match &mut self.steps_left {
            None => true,
            Some(0) => {
                self.is_cut = true;
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl NorFlash for ImitatedFlash {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        assert!(address.is_multiple_of(4) && bytes.len().is_multiple_of(4), "reads are made by words");
        if self.is_cut {
            return Err(FlashError);
        }
        bytes.copy_from_slice(&self.bytes[address as usize..][..bytes.len()]);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        assert!(address.is_multiple_of(4) && bytes.len().is_multiple_of(4), "programming is made by words");
        if self.is_cut {
            return Err(FlashError);
        }
        for (index, word) in bytes.chunks(4).enumerate() {
            let start = address as usize + 4 * index;
            let powered = self.step();
            let len = if powered { 4 } else { 2 };
            for (offset, byte) in word.iter().enumerate().take(len) {
                if self.worn_address != Some(start + offset) {
                    self.bytes[start + offset] &= byte;
                }
            }
            if !powered {
                return Err(FlashError);
            }
        }
        Ok(())
    }

    fn erase_sector(&mut self, address: u32) -> Result<(), FlashError> {
        assert!(address.is_multiple_of(SECTOR_LEN), "sectors are erased whole");
        if self.is_cut {
            return Err(FlashError);
        }
        self.erases += 1;
        const QUARTER: usize = SECTOR_LEN as usize / 4;
        for quarter in self.bytes[address as usize..][..4 * QUARTER].chunks_mut(QUARTER) {
            match &mut self.steps_left {
                Some(0) => {
                    // Some bits are set already, others not yet.
                    quarter.iter_mut().for_each(|byte| *byte |= 0xa5);
                    self.is_cut = true;
                    return Err(FlashError);
                }
                Some(left) => *left -= 1,
                None => (),
            }
            quarter.fill(0xff);
        }
        Ok(())
    }
}
