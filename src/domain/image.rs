//! Firmware images and their manifest.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Problem;

/// What `manifest.toml` says about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the firmware.
    pub version: String,
    /// Chip it is made for, as espflash names it: `esp32c3`.
    pub chip: String,
    /// SHA-256 of the app image, 64 hex digits. A board whose hello names it needs no flashing.
    pub image_sha256: String,
    /// What made it.
    pub tool_chain: String,
    /// SHA-256 over the sources it was made of.
    pub sources_sha256: String,
    /// What is written where.
    pub parts: Vec<ManifestPart>,
    /// Ranges of flash that belong to the board and are never written: credentials, calibration, backlog.
    pub kept: Vec<KeptRange>,
}

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestPart {
    /// Name of the file beside the manifest.
    pub file: String,
    /// Where it is written in flash, bytes.
    pub address: u32,
    /// Its size, bytes.
    pub size: u32,
    /// Its SHA-256, 64 hex digits.
    pub sha256: String,
}

/// A range of flash that is never written by the tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRange {
    /// Name of the partition.
    pub name: String,
    /// First byte.
    pub address: u32,
    /// Length, bytes.
    pub size: u32,
}

/// A checked image, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it is.
    pub manifest: Manifest,
    /// What is written, in the order of writing.
    pub parts: Vec<ImagePart>,
}

/// One checked part of an image.
#[derive(Clone, PartialEq, Eq)]
pub struct ImagePart {
    /// Name for progress: the file's name.
    pub name: String,
    /// Where it is written in flash, bytes.
    pub address: u32,
    /// What is written.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for ImagePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:#x}, {} bytes", self.name, self.address, self.bytes.len())
    }
}

impl Image {
    /// Checks files against their manifest.
    ///
    /// # Errors
    /// `image.part-missing`, `image.truncated`, `image.corrupt`, `image.overlap` (a part would write what belongs to
    /// the board, or another part), each naming the file.
    pub fn checked(manifest: Manifest, mut bytes_of: impl FnMut(&str) -> Option<Vec<u8>>) -> Result<Self, Problem> {
        const ADVICE: &str = "Fetch the firmware again, or build it with firmware/build";
        let mut parts = Vec::with_capacity(manifest.parts.len());
        for part in &manifest.parts {
            let bytes = bytes_of(&part.file).ok_or_else(|| {
                Problem::new("image.part-missing", format!("The image's file {} is missing", part.file), ADVICE)
            })?;
            if bytes.len() as u64 != u64::from(part.size) {
                let sentence =
                    format!("The image's file {} has {} bytes instead of {}", part.file, bytes.len(), part.size);
                return Err(Problem::new("image.truncated", sentence, ADVICE));
            }
            if !hex::encode(Sha256::digest(&bytes)).eq_ignore_ascii_case(&part.sha256) {
                let sentence = format!("The image's file {} is not the one its manifest describes", part.file);
                return Err(Problem::new("image.corrupt", sentence, ADVICE));
            }
            parts.push(ImagePart { name: part.file.clone(), address: part.address, bytes });
        }
        let image = Image { manifest, parts };
        image.check_ranges()?;
        Ok(image)
    }

    /// Bytes to write in all.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes.len() as u64).sum()
    }

    /// Proves that no part touches a kept range or another part. Flash is erased by sectors of 4096 bytes, so ranges
    /// are taken to whole sectors.
    fn check_ranges(&self) -> Result<(), Problem> {
        let sectors = |address: u32, size: u64| {
            let start = u64::from(address) / 4096 * 4096;
            (start, (u64::from(address) + size).next_multiple_of(4096))
        };
        let kept = self.manifest.kept.iter().map(|k| (k.name.as_str(), sectors(k.address, k.size.into())));
        let mut taken: Vec<(&str, (u64, u64))> = kept.collect();
        for part in &self.parts {
            let range = sectors(part.address, part.bytes.len() as u64);
            if let Some((other, _)) = taken.iter().find(|(_, (start, end))| range.0 < *end && *start < range.1) {
                let sentence = format!("The image's file {} would overwrite {other}", part.name);
                return Err(Problem::new("image.overlap", sentence, "Use an image made for this board's layout"));
            }
            taken.push((&part.name, range));
        }
        Ok(())
    }
}
