//! The 4 MiB NOR flash chip as a file: writing only clears bits, erasing sets whole sectors.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use coldbench_sensor::flash::{FlashError, NorFlash};
use md5::{Digest, Md5};

/// Size of the chip, in bytes.
pub(super) const FLASH_BYTES: u32 = 4 * 1024 * 1024;
/// Smallest part that can be erased, in bytes.
pub(super) const SECTOR_BYTES: u32 = 4096;
/// What `RDID` answers, first byte lowest: manufacturer 20 (XMC), type 40, capacity 2^22 bytes.
pub(super) const JEDEC_ID: u32 = 0x0016_4020;

/// How much is handled at once.
const CHUNK: usize = 64 * 1024;

/// The chip. Every access outside it is an error of kind `InvalidInput`, never a panic.
#[derive(Debug)]
pub(super) struct Flash {
    file: File,
}

impl Flash {
    /// Opens the image, or makes an erased one.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let flash = Flash { file };
        let len = flash.file.metadata()?.len();
        if len < u64::from(FLASH_BYTES) {
            let missing = vec![0xff; FLASH_BYTES as usize - len as usize];
            flash.file.write_all_at(&missing, len)?;
        }
        Ok(flash)
    }

    /// Bytes as they lie in the chip.
    pub(super) fn read(&self, offset: u32, len: u32) -> io::Result<Vec<u8>> {
        check(offset, len)?;
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, u64::from(offset))?;
        Ok(bytes)
    }

    /// Writes as NOR does: a bit can go from one to zero only.
    pub(super) fn program(&self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        let len = u32::try_from(bytes.len()).map_err(|_| outside())?;
        let mut cells = self.read(offset, len)?;
        cells.iter_mut().zip(bytes).for_each(|(cell, byte)| *cell &= byte);
        self.file.write_all_at(&cells, u64::from(offset))
    }

    /// Sets every sector that the range touches to ones.
    pub(super) fn erase(&self, offset: u32, len: u32) -> io::Result<()> {
        check(offset, len)?;
        let first = offset / SECTOR_BYTES * SECTOR_BYTES;
        let end = (offset + len).next_multiple_of(SECTOR_BYTES).min(FLASH_BYTES);
        let ones = vec![0xff; CHUNK];
        let mut at = first;
        while at < end {
            let step = (end - at).min(CHUNK as u32);
            self.file.write_all_at(&ones[..step as usize], u64::from(at))?;
            at += step;
        }
        Ok(())
    }

    /// MD5 over a range.
    pub(super) fn md5(&self, offset: u32, len: u32) -> io::Result<[u8; 16]> {
        let mut digest = Md5::new();
        self.for_each_chunk(offset, len, |chunk| digest.update(chunk))?;
        Ok(digest.finalize().into())
    }

    /// Hands a range to `each`, in pieces, so that nobody holds a whole image in memory.
    pub(super) fn for_each_chunk(&self, offset: u32, len: u32, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        check(offset, len)?;
        let mut done = 0;
        while done < len {
            let step = (len - done).min(CHUNK as u32);
            each(&self.read(offset + done, step)?);
            done += step;
        }
        Ok(())
    }
}

/// The chip as the board's own code reaches it.
#[derive(Debug, Clone)]
pub(super) struct Chip(pub(super) Arc<Flash>);

impl NorFlash for Chip {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let len = u32::try_from(bytes.len()).map_err(|_| FlashError)?;
        bytes.copy_from_slice(&self.0.read(address, len).map_err(|_| FlashError)?);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.program(address, bytes).map_err(|_| FlashError)
    }

    fn erase_sector(&mut self, address: u32) -> Result<(), FlashError> {
        self.0.erase(address, SECTOR_BYTES).map_err(|_| FlashError)
    }
}

fn check(offset: u32, len: u32) -> io::Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= FLASH_BYTES => Ok(()),
        _ => Err(outside()),
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "outside the flash chip")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn writing_clears_bits_and_erasing_sets_whole_sectors() {
        let dir = tempfile::tempdir().unwrap();
        let flash = Flash::open(&dir.path().join("flash.bin")).unwrap();
        flash.program(4094, &[0xf0, 0x0f, 0xaa]).unwrap();
        flash.program(4094, &[0x3c]).unwrap();
        assert_eq!(flash.read(4094, 3).unwrap(), [0x30, 0x0f, 0xaa]);
        flash.erase(4000, 10).unwrap();
        assert_eq!(flash.read(4094, 3).unwrap(), [0xff, 0xff, 0xaa]);
    }

    #[test]
    fn contents_outlive_the_chip_object_and_bounds_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flash.bin");
        Flash::open(&path).unwrap().program(10, b"kept").unwrap();
        let flash = Flash::open(&path).unwrap();
        assert_eq!(flash.read(10, 4).unwrap(), *b"kept");
        assert!(flash.read(FLASH_BYTES - 1, 2).is_err());
        assert!(flash.program(u32::MAX, &[0]).is_err());
        assert_eq!(flash.md5(10, 4).unwrap(), <[u8; 16]>::from(Md5::digest(b"kept")));
    }
}
