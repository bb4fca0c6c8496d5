//! Firmware images from files: a manifest with its parts, or one plain binary.

use std::{
    fs,
    path::{Path, PathBuf},
};

use espflash::target::Chip;
use sha2::{Digest, Sha256};

use super::image_signature::{ImageKey, verified};
use crate::domain::{
    Problem,
    image::{Image, ImagePart, Manifest},
};

const MANIFEST: &str = "manifest.toml";
const FETCH_AGAIN: &str = "Fetch the firmware again, or build it with firmware/build";
/// The chip of the fleet's boards, taken where a binary does not say what it is for.
const DEFAULT_CHIP: &str = "esp32c3";

/// The image that comes with the program, as `firmware/build` made it.
///
/// # Errors
/// None but a program built from damaged assets.
pub fn shipped() -> Result<Image, Problem> {
    const FILES: &[(&str, &[u8])] = &[
        ("bootloader.bin", include_bytes!("../../assets/firmware/bootloader.bin")),
        ("partitions.bin", include_bytes!("../../assets/firmware/partitions.bin")),
        ("otadata.bin", include_bytes!("../../assets/firmware/otadata.bin")),
        ("truck-board.bin", include_bytes!("../../assets/firmware/truck-board.bin")),
    ];
    let manifest = verified(include_str!("../../assets/firmware/manifest.toml"), &[ImageKey::shipped()?])?;
    from_parts(&manifest, |file| FILES.iter().find(|(name, _)| *name == file).map(|(_, bytes)| bytes.to_vec()))
}

/// Loads an image from its folder or its `manifest.toml`, and checks its signature and every part. Besides the key that
/// the program was built with, the site may have its own, in a file.
///
/// # Errors
/// `image.missing`, `image.manifest`, `image.key`, those of [`verified`], of [`Image::checked`] and of [`raw`].
pub fn load(path: &Path, site_key: Option<&Path>) -> Result<Image, Problem> {
    let mut keys = vec![ImageKey::shipped()?];
    if let Some(file) = site_key {
        keys.push(ImageKey::read(file)?);
    }
    load_signed(path, &keys)
}

fn load_signed(path: &Path, keys: &[ImageKey]) -> Result<Image, Problem> {
    let manifest: PathBuf = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
    if manifest.extension().is_none_or(|extension| extension != "toml") {
        let advice = "Name the image's folder or its manifest.toml; for a plain binary give its --address";
        return Err(Problem::new("image.manifest", format!("{} is no manifest", path.display()), advice));
    }
    let folder = manifest.parent().unwrap_or(Path::new("")).to_owned();
    let text = String::from_utf8(read(&manifest)?).map_err(|_| bad_manifest("it is no text"))?;
    from_parts(&verified(&text, keys)?, |file| {
        // A manifest names files beside it and nothing else.
        let plain = Path::new(file).file_name().is_some_and(|name| name == file);
        plain.then(|| fs::read(folder.join(file)).ok()).flatten()
    })
}

/// Checks an image whose parts and manifest, its signature taken off, are at hand.
///
/// # Errors
/// As [`load`], those of the signature aside.
pub fn from_parts(manifest: &str, bytes_of: impl FnMut(&str) -> Option<Vec<u8>>) -> Result<Image, Problem> {
    let manifest: Manifest = toml::from_str(manifest).map_err(|error| bad_manifest(error.message()))?;
    let image = Image::checked(manifest, bytes_of)?;
    for part in &image.parts {
        if !part.address.is_multiple_of(SECTOR_BYTES) {
            return Err(bad_address(part.address));
        }
        let is_app = hex::encode(Sha256::digest(&part.bytes)).eq_ignore_ascii_case(&image.manifest.image_sha256);
        // The boot loader of this family of chips lies at 0.
        if is_app || part.address == 0 {
            let chip = check_program(&part.name, &part.bytes)?;
            if chip != image.manifest.chip {
                let sentence = format!("The image's file {} is for {chip}, not for {}", part.name, image.manifest.chip);
                return Err(Problem::new("image.wrong-chip", sentence, "Use an image made for this chip"));
            }
        }
    }
    Ok(image)
}

/// Takes one plain binary that is to lie at an address of flash. Nothing is known of what the board keeps beside it.
///
/// # Errors
/// `image.missing`, `image.empty`, `image.elf`, `image.address`, `image.truncated`, `image.corrupt`,
/// `image.wrong-chip`.
pub fn raw(path: &Path, address: u32) -> Result<Image, Problem> {
    let bytes = read(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if bytes.is_empty() {
        return Err(Problem::new("image.empty", format!("The file {name} is empty"), FETCH_AGAIN));
    }
    if bytes.starts_with(b"\x7fELF") {
        let advice = "Turn it into a binary with `esptool elf2image`, then flash that";
        return Err(Problem::new("image.elf", format!("{name} is an ELF file, not a binary for flash"), advice));
    }
    if !address.is_multiple_of(SECTOR_BYTES) {
        return Err(bad_address(address));
    }
    let chip = if bytes[0] == PROGRAM_MAGIC { check_program(&name, &bytes)? } else { DEFAULT_CHIP.to_owned() };
    Ok(Image {
        manifest: Manifest {
            version: name.clone(),
            chip,
            image_sha256: hex::encode(Sha256::digest(&bytes)),
            tool_chain: String::new(),
            sources_sha256: String::new(),
            parts: Vec::new(),
            kept: Vec::new(),
        },
        parts: vec![ImagePart { name, address, bytes }],
    })
}

const SECTOR_BYTES: u32 = 4096;
const PROGRAM_MAGIC: u8 = 0xE9;
const HEADER_LEN: usize = 24;
const SEGMENT_HEADER_LEN: usize = 8;
const CHECKSUM_SEED: u8 = 0xEF;

/// Checks a program for the chip's loader: header, segments, checksum, appended hash (Espressif's "firmware image
/// format"). Gives the name of the chip it is for.
fn check_program(name: &str, bytes: &[u8]) -> Result<String, Problem> {
    let truncated = || Problem::new("image.truncated", format!("The image's file {name} ends too early"), FETCH_AGAIN);
    let corrupt =
        |what: &str| Problem::new("image.corrupt", format!("The image's file {name} is damaged: {what}"), FETCH_AGAIN);
    if bytes.first() != Some(&PROGRAM_MAGIC) {
        return Err(corrupt("it is no program for this family of chips"));
    }
    let header = bytes.get(..HEADER_LEN).ok_or_else(truncated)?;
    let chip_id = u16::from_le_bytes([header[12], header[13]]);
    let chip = Chip::try_from(chip_id).map_err(|_| {
        let sentence = format!("The image's file {name} is for an unknown chip (id {chip_id})");
        Problem::new("image.wrong-chip", sentence, "Use an image made for this chip")
    })?;
    let mut checksum = CHECKSUM_SEED;
    let mut end = HEADER_LEN;
    for _ in 0..header[1] {
        let segment = bytes.get(end..end + SEGMENT_HEADER_LEN).ok_or_else(truncated)?;
        let len = u32::from_le_bytes([segment[4], segment[5], segment[6], segment[7]]) as usize;
        let start = end + SEGMENT_HEADER_LEN;
        let data = start.checked_add(len).and_then(|end| bytes.get(start..end)).ok_or_else(truncated)?;
        checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
        end = start + len;
    }
    // The checksum is the last byte of a line of 16.
    end = (end + 1).next_multiple_of(16);
    if *bytes.get(end - 1).ok_or_else(truncated)? != checksum {
        return Err(corrupt("its checksum is wrong"));
    }
    let hash_appended = header[23] == 1;
    if hash_appended {
        let hash = bytes.get(end..end + 32).ok_or_else(truncated)?;
        if Sha256::digest(&bytes[..end])[..] != *hash {
            return Err(corrupt("its hash is wrong"));
        }
    }
    Ok(chip.to_string())
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| {
        let sentence = format!("The file {} cannot be read: {error}", path.display());
        Problem::new("image.missing", sentence, "Check the path and the rights of the file")
    })
}

fn bad_manifest(why: &str) -> Problem {
    Problem::new("image.manifest", format!("The image's manifest cannot be read: {why}"), FETCH_AGAIN)
}

fn bad_address(address: u32) -> Problem {
    let sentence = format!("{address:#x} is not the start of a sector of flash");
    Problem::new("image.address", sentence, "Give an address that is a multiple of 0x1000")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    use p256::pkcs8::EncodePublicKey as _;

    use super::super::image_signature::tests::{key_pair, signed};

    /// A program of one segment with checksum and hash, for the chip with this id.
    pub(in crate::adapters) fn program(chip_id: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[0] = PROGRAM_MAGIC;
        bytes[1] = 1;
        bytes[12..14].copy_from_slice(&chip_id.to_le_bytes());
        bytes[23] = 1;
        bytes.extend_from_slice(&0x3C00_0020_u32.to_le_bytes());
        bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
        bytes.extend_from_slice(data);
        let end = (bytes.len() + 1).next_multiple_of(16);
        bytes.resize(end - 1, 0);
        bytes.push(data.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte));
        let hash = Sha256::digest(&bytes);
        bytes.extend_from_slice(&hash);
        bytes
    }

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        (folder, path)
    }

    fn raw_code(bytes: &[u8], address: u32) -> String {
        let (_folder, path) = file("app.bin", bytes);
        raw(&path, address).unwrap_err().code.into_owned()
    }

    #[test]
    fn the_shipped_image_is_whole_and_keeps_what_belongs_to_the_board() {
        let image = shipped().unwrap();
        assert_eq!(image.manifest.chip, "esp32c3");
        let kept: Vec<&str> = image.manifest.kept.iter().map(|range| range.name.as_str()).collect();
        assert!(["nvs", "calib"].iter().all(|name| kept.contains(name)), "{kept:?}");
    }

    #[test]
    fn a_plain_program_names_its_chip() {
        let (_folder, path) = file("app.bin", &program(5, &[7; 1000]));
        let image = raw(&path, 0x1_0000).unwrap();
        assert_eq!(image.manifest.chip, "esp32c3");
        assert_eq!(image.parts[0].address, 0x1_0000);
        let (_folder, path) = file("app.bin", &program(9, &[7; 1000]));
        assert_eq!(raw(&path, 0).unwrap().manifest.chip, "esp32s3");
    }

    #[test]
    fn damaged_programs_are_refused_each_with_its_code() {
        let good = program(5, &[7; 1000]);
        assert_eq!(raw_code(&good[..good.len() - 1], 0), "image.truncated");
        assert_eq!(raw_code(&good[..500], 0), "image.truncated");
        assert_eq!(raw_code(&good[..10], 0), "image.truncated");
        let mut bad = good.clone();
        bad[300] ^= 1;
        assert_eq!(raw_code(&bad, 0), "image.corrupt");
        let mut bad = good.clone();
        bad[13] = 0x77;
        assert_eq!(raw_code(&bad, 0), "image.wrong-chip");
        assert_eq!(raw_code(b"\x7fELF\x01", 0), "image.elf");
        assert_eq!(raw_code(&good, 0x123), "image.address");
        assert_eq!(raw_code(&[], 0), "image.empty");
    }

    #[test]
    fn segment_lengths_that_overflow_are_truncation() {
        let mut bad = program(5, &[7; 100]);
        bad[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(raw_code(&bad, 0), "image.truncated");
    }

    #[test]
    fn a_folder_loads_and_a_program_for_another_chip_does_not() {
        for (chip_id, expected) in [(5, None), (9, Some("image.wrong-chip"))] {
            let app = program(chip_id, &[1; 5000]);
            let (folder, path) = file("app.bin", &app);
            fs::write(folder.path().join(MANIFEST), signed(&manifest_of(&app), 1)).unwrap();
            let loaded = load_signed(folder.path(), &[key_pair(1).1]);
            match expected {
                None => assert_eq!(loaded.unwrap().size(), app.len() as u64),
                Some(code) => assert_eq!(loaded.unwrap_err().code, code),
            }
            assert_eq!(load(&path, None).unwrap_err().code, "image.manifest");
        }
    }

    /// The manifest of an app alone.
    fn manifest_of(app: &[u8]) -> String {
        let digest = hex::encode(Sha256::digest(app));
        format!(
            "version = \"1\"\nchip = \"esp32c3\"\nimage_sha256 = \"{digest}\"\ntool_chain = \"\"\n\
             sources_sha256 = \"\"\nkept = []\n\n[[parts]]\nfile = \"app.bin\"\naddress = 65536\nsize = {}\n\
             sha256 = \"{digest}\"\n",
            app.len(),
        )
    }

    #[test]
    fn what_was_tampered_with_is_refused_each_with_its_code_and_advice() {
        let app = program(5, &[1; 5000]);
        let (folder, path) = file("app.bin", &app);
        let write = |manifest: &str| fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let problem = || load_signed(folder.path(), &[key_pair(1).1]).unwrap_err();
        let good = signed(&manifest_of(&app), 1);

        // Another app, the manifest as it was.
        write(&good);
        let mut other = app.clone();
        other[3000] ^= 1;
        fs::write(&path, &other).unwrap();
        assert_eq!(problem().code, "image.corrupt");
        // The manifest made to fit, the signature as it was.
        write(&good.replace(&hex::encode(Sha256::digest(&app)), &hex::encode(Sha256::digest(&other))));
        assert_eq!(problem().code, "image.signature");
        // Signed by somebody else, or by nobody.
        fs::write(&path, &app).unwrap();
        write(&signed(&manifest_of(&app), 2));
        assert_eq!(problem().code, "image.unknown-key");
        assert!(problem().advice.contains("firmware_key"), "{:?}", problem());
        write(&manifest_of(&app));
        assert_eq!(problem().code, "image.unsigned");
        // The manifest says the chip of the fleet, the app is for another.
        let foreign = program(9, &[1; 5000]);
        fs::write(&path, &foreign).unwrap();
        write(&signed(&manifest_of(&foreign), 1));
        assert_eq!(problem().code, "image.wrong-chip");
    }

    #[test]
    fn a_sites_own_key_is_taken_besides_the_shipped_one() {
        let app = program(5, &[1; 5000]);
        let (folder, _path) = file("app.bin", &app);
        fs::write(folder.path().join(MANIFEST), signed(&manifest_of(&app), 3)).unwrap();
        let key = folder.path().join("signing-key.pub");
        fs::write(&key, key_pair(3).0.verifying_key().to_public_key_pem(Default::default()).unwrap()).unwrap();
        assert_eq!(load(folder.path(), None).unwrap_err().code, "image.unknown-key");
        assert_eq!(load(folder.path(), Some(&key)).unwrap().size(), app.len() as u64);
        assert_eq!(load(folder.path(), Some(&folder.path().join("none"))).unwrap_err().code, "image.key");
        // The shipped image still loads beside it.
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/firmware");
        assert_eq!(load(&shipped, Some(&key)).unwrap().size(), super::shipped().unwrap().size());
    }

    #[test]
    fn a_manifest_cannot_reach_outside_its_folder() {
        let manifest = "version = \"1\"\nchip = \"esp32c3\"\nimage_sha256 = \"\"\ntool_chain = \"\"\n\
             sources_sha256 = \"\"\nkept = []\n\n[[parts]]\nfile = \"../app.bin\"\naddress = 0\nsize = 3\nsha256 = \"\"\n";
        let (_folder, path) = file(MANIFEST, signed(manifest, 1).as_bytes());
        assert_eq!(load_signed(&path, &[key_pair(1).1]).unwrap_err().code, "image.part-missing");
    }
}
