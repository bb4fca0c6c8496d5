//! What runs after a reset: the checks that the ROM and the second-stage boot loader make before an app may start.
//!
//! Formats: "ESP32-C3 app image format", "Partition tables" and "OTA" of the ESP-IDF programming guide.

use std::{fmt, io};

use sha2::{Digest, Sha256};

use super::{
    chip::CHIP_ID,
    flash::{FLASH_BYTES, Flash, SECTOR_BYTES},
};

const BOOTLOADER_OFFSET: u32 = 0;
const TABLE_OFFSET: u32 = 0x8000;
const TABLE_LEN: u32 = 0xc00;

const IMAGE_MAGIC: u8 = 0xe9;
const IMAGE_HEADER_LEN: u32 = 24;
const SEGMENT_HEADER_LEN: u32 = 8;
const MAX_SEGMENTS: u8 = 16;
const CHECKSUM_SEED: u8 = 0xef;
const HASH_LEN: u32 = 32;
const DESCRIPTOR_MAGIC: u32 = 0xabcd_5432;

/// An app that may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    /// Version in the app descriptor.
    pub(super) version: String,
    /// SHA-256 over the image as it lies in flash, appended hash included: the digest of the image file.
    pub(super) image_sha256: [u8; 32],
    /// The partition it lies in.
    pub(super) label: String,
    /// The table it was found through.
    pub(super) partitions: Vec<Partition>,
}

/// One row of the partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) kind: u8,
    pub(super) subtype: u8,
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) label: String,
}

/// Why nothing starts. The text is what the chip prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BootError {
    /// No boot loader at 0x0; with the first word found there.
    Bootloader(u32),
    /// The boot loader is there, but its checksum is wrong.
    BootloaderChecksum,
    /// The partition table is missing or damaged.
    PartitionTable(&'static str),
    /// The table names no app partition.
    NoAppPartition,
    /// No app partition holds a valid image; why the chosen one does not.
    App { offset: u32, why: &'static str },
    /// The flash chip did not answer.
    Flash,
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BootError::Bootloader(word) => write!(f, "invalid header: {word:#010x}"),
            BootError::BootloaderChecksum => f.write_str("Checksum failure. Calculated checksum differs from stored"),
            BootError::PartitionTable(why) => write!(
                f,
                "E (50) flash_parts: {why}\r\nE (51) boot: Failed to verify partition table\r\n\
                 E (52) boot: load partition table error!"
            ),
            BootError::NoAppPartition => f.write_str("E (60) boot: No bootable app partitions in the partition table"),
            BootError::App { offset, why } => write!(
                f,
                "E (70) esp_image: {why}\r\nE (71) boot: Factory app partition at {offset:#x} is not bootable\r\n\
                 E (72) boot: No bootable app partitions in the partition table"
            ),
            BootError::Flash => f.write_str("E (40) boot: flash read error"),
        }
    }
}

impl From<io::Error> for BootError {
    fn from(_: io::Error) -> Self {
        BootError::Flash
    }
}

/// Finds the app that a reset starts.
pub(super) fn find_app(flash: &Flash) -> Result<App, BootError> {
    check_bootloader(flash)?;
    let partitions = read_partitions(flash)?;
    let candidates = app_order(flash, &partitions)?;
    let mut first_error = None;
    for candidate in candidates {
        match read_image(flash, candidate.offset, candidate.len) {
            Ok(image) if image.version.is_some() => {
                return Ok(App {
                    version: image.version.unwrap_or_default(),
                    image_sha256: image.sha256,
                    label: candidate.label.clone(),
                    partitions,
                });
            }
            Ok(_) => first_error
                .get_or_insert(BootError::App { offset: candidate.offset, why: "image has no app descriptor" }),
            Err(why) => first_error.get_or_insert(BootError::App { offset: candidate.offset, why }),
        };
    }
    Err(first_error.unwrap_or(BootError::NoAppPartition))
}

/// The ROM looks at the checksum of the boot loader only; a wrong hash it reports and boots anyway.
fn check_bootloader(flash: &Flash) -> Result<(), BootError> {
    let head = flash.read(BOOTLOADER_OFFSET, 4)?;
    match read_image(flash, BOOTLOADER_OFFSET, TABLE_OFFSET) {
        Ok(_) | Err(BAD_HASH) => Ok(()),
        Err(BAD_CHECKSUM) => Err(BootError::BootloaderChecksum),
        Err(_) => Err(BootError::Bootloader(word(&head, 0))),
    }
}

fn read_partitions(flash: &Flash) -> Result<Vec<Partition>, BootError> {
    let table = flash.read(TABLE_OFFSET, TABLE_LEN)?;
    let mut partitions = Vec::new();
    for (index, row) in table.chunks_exact(32).enumerate() {
        match row[..2] {
            [0xaa, 0x50] => partitions.push(Partition {
                kind: row[2],
                subtype: row[3],
                offset: word(row, 4),
                len: word(row, 8),
                label: text(&row[12..28]),
            }),
            [0xeb, 0xeb] => {
                let digest: [u8; 16] = md5::Md5::digest(&table[..index * 32]).into();
                if row[16..] != digest {
                    return Err(BootError::PartitionTable("partition table MD5 mismatch"));
                }
            }
            [0xff, 0xff] => break,
            _ => return Err(BootError::PartitionTable("partition table has invalid magic number")),
        }
    }
    if partitions.is_empty() {
        return Err(BootError::PartitionTable("partition table is empty"));
    }
    let fits = |part: &Partition| part.offset.checked_add(part.len).is_some_and(|end| end <= FLASH_BYTES);
    if !partitions.iter().all(fits) {
        return Err(BootError::PartitionTable("partition exceeds flash chip size 0x400000"));
    }
    Ok(partitions)
}

/// App partitions in the order the boot loader tries them: the one that `otadata` chose, factory, then the others.
fn app_order<'a>(flash: &Flash, partitions: &'a [Partition]) -> Result<Vec<&'a Partition>, BootError> {
    let factory = partitions.iter().filter(|part| part.kind == 0 && part.subtype == 0);
    let mut slots: Vec<&Partition> =
        partitions.iter().filter(|part| part.kind == 0 && (0x10..0x20).contains(&part.subtype)).collect();
    slots.sort_by_key(|part| part.subtype);
    let chosen = match partitions.iter().find(|part| part.kind == 1 && part.subtype == 0) {
        Some(data) if !slots.is_empty() => {
            ota_sequence(flash, data)?.map(|sequence| slots[(sequence - 1) as usize % slots.len()])
        }
        _ => None,
    };
    let mut order: Vec<&Partition> = chosen.into_iter().collect();
    order.extend(factory);
    order.extend(slots.iter().filter(|slot| chosen.is_none_or(|chosen| chosen.offset != slot.offset)));
    Ok(order)
}

/// The higher valid sequence number of the two sectors of `otadata`; `None` when it is blank.
fn ota_sequence(flash: &Flash, data: &Partition) -> Result<Option<u32>, BootError> {
    let mut best = None;
    for sector in 0..2 {
        let entry = flash.read(data.offset + sector * SECTOR_BYTES, 32)?;
        let sequence = word(&entry, 0);
        let valid = sequence != 0 && sequence != u32::MAX && word(&entry, 28) == ota_crc(sequence);
        best = best.max(valid.then_some(sequence));
    }
    Ok(best)
}

/// CRC-32 as the ROM's `esp_rom_crc32_le(UINT32_MAX, …)` computes it over the sequence number: start value 0.
fn ota_crc(sequence: u32) -> u32 {
    let mut crc = 0_u32;
    for byte in sequence.to_le_bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (0_u32.wrapping_sub(crc & 1)));
        }
    }
    !crc
}

const BAD_CHECKSUM: &str = "Checksum failed. Calculated checksum differs from read";
const BAD_HASH: &str = "Image hash failed - image is corrupt";

struct Image {
    sha256: [u8; 32],
    version: Option<String>,
}

/// Reads and checks an image that may fill `room` bytes.
fn read_image(flash: &Flash, offset: u32, room: u32) -> Result<Image, &'static str> {
    let unreadable = "flash read failed";
    let read = |at: u32, len: u32| {
        if at.saturating_add(len) > room {
            return Err("image length exceeds its partition");
        }
        flash.read(offset + at, len).map_err(|_| unreadable)
    };
    let header = read(0, IMAGE_HEADER_LEN)?;
    if header[0] != IMAGE_MAGIC {
        return Err("image has invalid magic byte (nothing flashed here?)");
    }
    if u16::from_le_bytes([header[12], header[13]]) != CHIP_ID {
        return Err("mismatch chip ID, expected 5");
    }
    let (segments, hash_appended) = (header[1], header[23] == 1);
    if segments == 0 || segments > MAX_SEGMENTS {
        return Err("image has an invalid segment count");
    }
    let mut at = IMAGE_HEADER_LEN;
    let mut checksum = CHECKSUM_SEED;
    for _ in 0..segments {
        let len = word(&read(at, SEGMENT_HEADER_LEN)?, 4);
        at += SEGMENT_HEADER_LEN;
        if !len.is_multiple_of(4) || len > room || at + len > room {
            return Err("invalid segment length");
        }
        flash
            .for_each_chunk(offset + at, len, |chunk| checksum = chunk.iter().fold(checksum, |sum, byte| sum ^ byte))
            .map_err(|_| unreadable)?;
        at += len;
    }
    // The checksum is the last byte of a 16-byte line.
    let end = (at + 1).next_multiple_of(16);
    if read(end - 1, 1)?[0] != checksum {
        return Err(BAD_CHECKSUM);
    }
    let whole = if hash_appended { end + HASH_LEN } else { end };
    if hash_appended {
        let stored = read(end, HASH_LEN)?;
        if sha256(flash, offset, end).map_err(|_| unreadable)?[..] != stored {
            return Err(BAD_HASH);
        }
    }
    let descriptor = read(IMAGE_HEADER_LEN + SEGMENT_HEADER_LEN, 48).unwrap_or_default();
    let version =
        (descriptor.len() == 48 && word(&descriptor, 0) == DESCRIPTOR_MAGIC).then(|| text(&descriptor[16..48]));
    Ok(Image { sha256: sha256(flash, offset, whole).map_err(|_| unreadable)?, version })
}

fn sha256(flash: &Flash, offset: u32, len: u32) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    flash.for_each_chunk(offset, len, |chunk| digest.update(chunk))?;
    Ok(digest.finalize().into())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

fn text(bytes: &[u8]) -> String {
    let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::image_fixture::{APP_OFFSET, app_image, blank_flash, flash_with_app, partition_table};
    use super::*;

    #[test]
    fn a_whole_image_boots_and_its_digest_is_that_of_the_file() {
        let (_dir, flash) = flash_with_app("1.4.2");
        let app = find_app(&flash).unwrap();
        assert_eq!(app.version, "1.4.2");
        assert_eq!(app.image_sha256, <[u8; 32]>::from(Sha256::digest(app_image("1.4.2"))));
        assert!(app.partitions.iter().any(|part| part.label == "calib"));
    }

    #[test]
    fn a_blank_chip_says_so() {
        let (_dir, flash) = blank_flash();
        assert_eq!(find_app(&flash), Err(BootError::Bootloader(0xffff_ffff)));
        assert_eq!(BootError::Bootloader(0xffff_ffff).to_string(), "invalid header: 0xffffffff");
    }

    #[test]
    fn every_damaged_part_stops_the_start() {
        type Damage = (u32, fn(&BootError) -> bool);
        let damages: [Damage; 5] = [
            (40, |error| *error == BootError::BootloaderChecksum),
            (TABLE_OFFSET + 5, |error| matches!(error, BootError::PartitionTable(_))),
            (APP_OFFSET, |error| matches!(error, BootError::App { .. })),
            (APP_OFFSET + 12, |error| matches!(error, BootError::App { why: "mismatch chip ID, expected 5", .. })),
            (APP_OFFSET + 33, |error| matches!(error, BootError::App { why: BAD_CHECKSUM, .. })),
        ];
        for (at, expected) in damages {
            let (_dir, flash) = flash_with_app("1.0.0");
            let byte = flash.read(at, 1).unwrap()[0];
            flash.program(at, &[byte & byte.wrapping_sub(1)]).unwrap();
            let error = find_app(&flash).unwrap_err();
            assert!(expected(&error), "{at:#x}: {error:?}");
        }
    }

    #[test]
    fn a_cut_image_and_a_wrong_hash_stop_the_start() {
        let image = app_image("1.0.0");
        for spoilt in [&image[..image.len() - 32], &image[..100]] {
            let (_dir, flash) = flash_with_app("1.0.0");
            flash.erase(APP_OFFSET, 0x1_0000).unwrap();
            flash.program(APP_OFFSET, spoilt).unwrap();
            assert!(matches!(find_app(&flash), Err(BootError::App { .. })));
        }
    }

    #[test]
    fn otadata_chooses_the_slot() {
        let (_dir, flash) = flash_with_app("1.0.0");
        flash.erase(TABLE_OFFSET, TABLE_LEN).unwrap();
        let table = partition_table(&[
            ("otadata", 1, 0, 0xd000, 0x2000),
            ("ota_0", 0, 0x10, APP_OFFSET, 0x10_0000),
            ("ota_1", 0, 0x11, 0x20_0000, 0x10_0000),
        ]);
        flash.program(TABLE_OFFSET, &table).unwrap();
        flash.program(0x20_0000, &app_image("2.0.0")).unwrap();
        assert_eq!(find_app(&flash).unwrap().version, "1.0.0", "blank otadata: the first slot");
        let mut entry = [0xff; 32];
        entry[..4].copy_from_slice(&2_u32.to_le_bytes());
        entry[28..].copy_from_slice(&ota_crc(2).to_le_bytes());
        flash.program(0xd000, &entry).unwrap();
        assert_eq!(find_app(&flash).unwrap().version, "2.0.0");
    }
}
