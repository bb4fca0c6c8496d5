//! The app image in flash memory: its length and its digest.

use core::ops::Range;

use sha2::digest::{FixedOutput, consts::U32};

use super::{FlashError, SECTOR_LEN};

const HEADER_LEN: u32 = 24;
const SEGMENT_HEADER_LEN: u32 = 8;
const MAGIC: u8 = 0xe9;
const MAX_SEGMENTS: u8 = 16;
const DIGEST_LEN: u32 = 32;

/// The digest of the whole app image that starts at the partition's first byte, its appended digest included: the
/// digest of the file that was flashed, when `sha256` computes SHA-256. `None` when there is no image.
///
/// A damaged image has another digest than its file. That the image fits its own appended digest is what the boot loader
/// checks before it starts it.
///
/// `read` fills the bytes from an address that is a multiple of four; most of the image is asked for by whole sectors.
///
/// The layout is that of ESP-IDF's guide, "App image format": header, segments, checksum at the end of a block of 16
/// bytes, SHA-256 over all before.
pub fn digest(
    mut read: impl FnMut(u32, &mut [u8]) -> Result<(), FlashError>,
    partition: Range<u32>,
    mut sha256: impl FixedOutput<OutputSize = U32>,
) -> Option<[u8; 32]> {
    let mut left = image_len(&mut read, &partition)?;
    let mut at = partition.start;
    let mut chunk = Chunk([0; SECTOR_LEN as usize]);
    while left > 0 {
        let len = left.min(SECTOR_LEN);
        let bytes = chunk.0.get_mut(..len as usize)?;
        read(at, bytes).ok()?;
        sha256.update(bytes);
        left -= len;
        at = at.checked_add(len)?;
    }
    Some(sha256.finalize_fixed().into())
}

/// Aligned to words, because flash chips are read so.
#[repr(align(4))]
struct Chunk([u8; SECTOR_LEN as usize]);

/// With the appended digest.
fn image_len(read: &mut impl FnMut(u32, &mut [u8]) -> Result<(), FlashError>, partition: &Range<u32>) -> Option<u32> {
    let partition_len = partition.end.checked_sub(partition.start)?;
    if partition_len < HEADER_LEN {
        return None;
    }
    let mut header = [0; HEADER_LEN as usize];
    read(partition.start, &mut header).ok()?;
    let has_digest = header[23] == 1;
    if header[0] != MAGIC || header[1] > MAX_SEGMENTS || !has_digest {
        return None;
    }
    let mut len = HEADER_LEN;
    for _ in 0..header[1] {
        let mut segment = [[0; 4]; 2];
        if len.checked_add(SEGMENT_HEADER_LEN)? > partition_len {
            return None;
        }
        read(partition.start + len, segment.as_flattened_mut()).ok()?;
        let data_len = u32::from_le_bytes(segment[1]);
        if !data_len.is_multiple_of(4) {
            return None;
        }
        len = len.checked_add(SEGMENT_HEADER_LEN)?.checked_add(data_len)?;
    }
    let len = len.checked_add(1)?.checked_next_multiple_of(16)?.checked_add(DIGEST_LEN)?;
    (len <= partition_len).then_some(len)
}
