//! Makes the parts that are flashed, and their manifest, from the linked firmware.
//!
//! Called by `firmware/build`. The boot loader is ESP-IDF's, as espflash carries it; flash settings are put into its
//! header the same way as `espflash flash` does it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use espflash::{
    flasher::{FlashData, FlashFrequency, FlashMode, FlashSettings, FlashSize},
    image_format::{Segment, idf::IdfBootloaderFormat},
    target::{Chip, XtalFrequency},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Largest app image: an app slot has little more, and a truck's yard has slow cables.
const MAX_APP_LEN: usize = 1_500_000;
const CHIP: Chip = Chip::Esp32c3;
const FLASH_SIZE: FlashSize = FlashSize::_4Mb;
const PARTITION_TABLE_ADDRESS: u32 = 0x8000;
/// Names of the parts, in the order of their addresses.
const PART_FILES: [&str; 3] = ["bootloader.bin", "partitions.bin", "truck-board.bin"];

/// `manifest.toml`: what the tool checks before it flashes.
#[derive(Serialize)]
struct Manifest {
    /// Version of the firmware.
    version: String,
    /// Chip name as espflash writes it.
    chip: String,
    /// Flash memory the layout is made for, in bytes.
    flash_size: u32,
    /// SHA-256 of the app image: what the board says in its hello.
    image_sha256: String,
    /// Compiler that made it. Another compiler makes other bytes.
    tool_chain: String,
    /// Digest over the firmware's sources, see `firmware/build --sources`.
    sources_sha256: String,
    /// What is written where.
    parts: Vec<Part>,
    /// The partition table in words.
    partitions: Vec<PartitionSummary>,
}

#[derive(Serialize)]
struct Part {
    file: String,
    address: u32,
    size: usize,
    sha256: String,
}

#[derive(Serialize)]
struct PartitionSummary {
    name: String,
    kind: String,
    address: u32,
    size: u32,
}

struct Arguments {
    elf: PathBuf,
    partitions_csv: PathBuf,
    out_dir: PathBuf,
    version: String,
    tool_chain: String,
    sources_sha256: String,
}

fn main() -> Result<()> {
    let arguments = parse_arguments()?;
    let elf = fs::read(&arguments.elf).with_context(|| format!("reading {}", arguments.elf.display()))?;

    let settings =
        FlashSettings::new(Some(FlashMode::Dio), Some(FLASH_SIZE), Some(FlashFrequency::_80Mhz));
    let flash_data = FlashData::new(settings, 0, None, CHIP, XtalFrequency::_40Mhz);
    let image = IdfBootloaderFormat::new(
        &elf,
        &flash_data,
        Some(&arguments.partitions_csv),
        None,
        Some(PARTITION_TABLE_ADDRESS),
        Some("ota_0"),
    )
    .context("making the image")?;

    let table = image.partition_table();
    table.validate().context("checking the partition table")?;
    let partitions = table
        .partitions()
        .iter()
        .map(|partition| PartitionSummary {
            name: partition.name(),
            kind: format!("{} {}", partition.ty(), partition.subtype()),
            address: partition.offset(),
            size: partition.size(),
        })
        .collect();

    let segments: Vec<Segment<'_>> = image.flash_segments().collect();
    let [bootloader, partition_table, app] = segments.as_slice() else {
        bail!("expected boot loader, partition table and app, found {} segments", segments.len());
    };
    ensure!(app.data().len() <= MAX_APP_LEN, "the app has {} bytes, at most {MAX_APP_LEN} are allowed", app.data().len());
    let manifest = Manifest {
        version: arguments.version,
        chip: CHIP.to_string(),
        flash_size: FLASH_SIZE.size(),
        image_sha256: sha256_hex(app.data()),
        tool_chain: arguments.tool_chain,
        sources_sha256: arguments.sources_sha256,
        parts: [bootloader, partition_table, app].iter().zip(PART_FILES).map(|(segment, file)| part(segment, file)).collect(),
        partitions,
    };

    fs::create_dir_all(&arguments.out_dir)?;
    for (segment, file) in segments.iter().zip(PART_FILES) {
        fs::write(arguments.out_dir.join(file), segment.data())?;
    }
    fs::write(arguments.out_dir.join("manifest.toml"), manifest_text(&manifest)?)?;
    println!("{} bytes of app, SHA-256 {}", app.data().len(), manifest.image_sha256);
    Ok(())
}

fn part(segment: &Segment<'_>, file: &str) -> Part {
    Part {
        file: file.to_owned(),
        address: segment.addr,
        size: segment.data().len(),
        sha256: sha256_hex(segment.data()),
    }
}

fn manifest_text(manifest: &Manifest) -> Result<String> {
    Ok(format!("# Made by firmware/build; do not edit.\n{}", toml::to_string(manifest)?))
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse_arguments() -> Result<Arguments> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [elf, partitions_csv, out_dir, version, tool_chain, sources_sha256] = arguments.as_slice() else {
        bail!("usage: image-writer ELF PARTITIONS_CSV OUT_DIR VERSION TOOL_CHAIN SOURCES_SHA256");
    };
    Ok(Arguments {
        elf: elf.into(),
        partitions_csv: partitions_csv.into(),
        out_dir: out_dir.into(),
        version: version.clone(),
        tool_chain: tool_chain.clone(),
        sources_sha256: sources_sha256.clone(),
    })
}
