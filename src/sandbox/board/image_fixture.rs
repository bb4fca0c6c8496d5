//! Flash contents for tests: the smallest images that pass every check.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use md5::Md5;
use sha2::{Digest, Sha256};

use super::flash::Flash;

pub(crate) const TABLE_OFFSET: u32 = 0x8000;
pub(crate) const APP_OFFSET: u32 = 0x2_0000;
/// Label, type, subtype, offset, length.
pub(crate) type Row<'a> = (&'a str, u8, u8, u32, u32);

pub(crate) const ROWS: [Row<'static>; 4] = [
    ("nvs", 1, 2, 0x9000, 0xc000),
    ("calib", 1, 0x40, 0x1_8000, 0x6000),
    ("factory", 0, 0, APP_OFFSET, 0x20_0000),
    ("backlog", 1, 0x40, 0x30_0000, 0x10_0000),
];

/// Boot loader image: a header and one segment.
pub(crate) fn bootloader_image() -> Vec<u8> {
    image(&[0x5a; 512])
}

/// App image of this version, 40 kB so that a transfer has several blocks.
pub(crate) fn app_image(version: &str) -> Vec<u8> {
    let mut segment = vec![0; 256];
    segment[..4].copy_from_slice(&0xabcd_5432_u32.to_le_bytes());
    segment[16..16 + version.len()].copy_from_slice(version.as_bytes());
    segment[48..59].copy_from_slice(b"truck-board");
    let mut state = 1_u32;
    segment.extend((0..40_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 & 0x3f
    }));
    image(&segment)
}

pub(crate) fn partition_table(rows: &[Row<'_>]) -> Vec<u8> {
    let mut table = Vec::new();
    for (label, kind, subtype, offset, len) in rows {
        let mut row = [0; 32];
        row[..4].copy_from_slice(&[0xaa, 0x50, *kind, *subtype]);
        row[4..8].copy_from_slice(&offset.to_le_bytes());
        row[8..12].copy_from_slice(&len.to_le_bytes());
        row[12..12 + label.len()].copy_from_slice(label.as_bytes());
        table.extend(row);
    }
    let digest: [u8; 16] = Md5::digest(&table).into();
    table.extend([0xeb, 0xeb].into_iter().chain([0xff; 14]).chain(digest));
    table.resize(0xc00, 0xff);
    table
}

pub(super) fn blank_flash() -> (tempfile::TempDir, Flash) {
    let dir = tempfile::tempdir().unwrap();
    let flash = Flash::open(&dir.path().join("flash.bin")).unwrap();
    (dir, flash)
}

pub(super) fn flash_with_app(version: &str) -> (tempfile::TempDir, Flash) {
    let (dir, flash) = blank_flash();
    flash.program(0, &bootloader_image()).unwrap();
    flash.program(TABLE_OFFSET, &partition_table(&ROWS)).unwrap();
    flash.program(APP_OFFSET, &app_image(version)).unwrap();
    (dir, flash)
}

/// Header, one segment, checksum, hash.
fn image(segment: &[u8]) -> Vec<u8> {
    let mut image = vec![0xe9, 1, 2, 0x20];
    image.extend(0x4038_0000_u32.to_le_bytes());
    image.extend([0xee, 0, 0, 0, 5, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 1]);
    image.extend(0x3c00_0020_u32.to_le_bytes());
    image.extend((segment.len() as u32).to_le_bytes());
    image.extend(segment);
    let end = (image.len() + 1).next_multiple_of(16);
    image.resize(end - 1, 0);
    image.push(segment.iter().fold(0xef, |sum, byte| sum ^ byte));
    let digest: [u8; 32] = Sha256::digest(&image).into();
    image.extend(digest);
    image
}
