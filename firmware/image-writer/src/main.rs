//! Makes the parts that are flashed, and their manifest, from the linked firmware.
//!
//! Called by `firmware/build`. The boot loader is ESP-IDF's, as espflash carries it; flash settings are put into its
//! header the same way as `espflash flash` does it.

use std::{fmt, fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use esp_idf_part::PartitionTable;
use espflash::{
    flasher::{FlashData, FlashFrequency, FlashMode, FlashSettings, FlashSize},
    image_format::{Segment, idf::IdfBootloaderFormat},
    target::{Chip, XtalFrequency},
};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Largest app image: an app slot has little more, and a truck's yard has slow cables.
const MAX_APP_LEN: usize = 1_500_000;
const CHIP: Chip = Chip::Esp32c3;
const FLASH_SIZE: FlashSize = FlashSize::_4Mb;
const PARTITION_TABLE_ADDRESS: u32 = 0x8000;
/// Partitions that belong to the board: no part may touch them.
const KEPT: [&str; 3] = ["nvs", "calib", "backlog"];
/// Blank, so that the app just flashed starts, and not one that an update over the air left in the other slot.
const SLOT_CHOICE: &str = "otadata";

/// `manifest.toml`: what the tool checks before it flashes.
#[derive(Serialize)]
struct Manifest {
    /// Version of the firmware.
    version: String,
    /// Chip name as espflash writes it.
    chip: String,
    /// SHA-256 of the app image: what the board says in its hello.
    image_sha256: String,
    /// Compiler that made it. Another compiler makes other bytes.
    tool_chain: String,
    /// Digest over the firmware's sources, see `firmware/build --sources`.
    sources_sha256: String,
    /// What is written where.
    parts: Vec<Part>,
    /// What is never written.
    kept: Vec<KeptRange>,
}

#[derive(Serialize)]
struct Part {
    file: String,
    address: u32,
    size: usize,
    sha256: String,
}

#[derive(Serialize)]
struct KeptRange {
    name: String,
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

    let settings = FlashSettings::new(Some(FlashMode::Dio), Some(FLASH_SIZE), Some(FlashFrequency::_80Mhz));
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
    let named = |name: &str| table.find(name).with_context(|| format!("there is no partition {name}"));
    let kept = KEPT
        .iter()
        .map(|name| named(name).map(|kept| KeptRange { name: kept.name(), address: kept.offset(), size: kept.size() }))
        .collect::<Result<_>>()?;
    let slot_choice = named(SLOT_CHOICE)?;

    let segments: Vec<Segment<'_>> = image.flash_segments().collect();
    let [bootloader, partition_table, app] = segments.as_slice() else {
        bail!("expected boot loader, partition table and app, found {} segments", segments.len());
    };
    let app_len = app.data().len();
    ensure!(app_len <= MAX_APP_LEN, "the app has {app_len} bytes, at most {MAX_APP_LEN} are allowed");
    let blank = vec![0xff; slot_choice.size() as usize];
    let parts = [
        ("bootloader.bin", bootloader.addr, bootloader.data()),
        ("partitions.bin", partition_table.addr, partition_table.data()),
        ("otadata.bin", slot_choice.offset(), blank.as_slice()),
        ("truck-board.bin", app.addr, app.data()),
    ];
    let manifest = Manifest {
        version: arguments.version,
        chip: CHIP.to_string(),
        image_sha256: sha256_hex(app.data()),
        tool_chain: arguments.tool_chain,
        sources_sha256: arguments.sources_sha256,
        parts: parts.iter().map(|(file, address, bytes)| part(file, *address, bytes)).collect(),
        kept,
    };

    fs::create_dir_all(&arguments.out_dir)?;
    for (file, _, bytes) in parts {
        fs::write(arguments.out_dir.join(file), bytes)?;
    }
    fs::write(arguments.out_dir.join("manifest.toml"), manifest_text(&manifest, &table)?)?;
    println!("{app_len} bytes of app, SHA-256 {}", manifest.image_sha256);
    println!("{}", Memory::of(&elf)?);
    Ok(())
}

/// How the chip's memory is shared out, in bytes.
struct Memory {
    /// Code that runs from memory, because flash memory may be busy.
    code: u64,
    /// Variables, without the heap.
    statics: u64,
    heap: u64,
    /// What is left to the main thread's stack.
    stack: u64,
}

impl Memory {
    fn of(elf: &[u8]) -> Result<Self> {
        let elf = object::File::parse(elf).context("reading the linked firmware")?;
        let sections = |prefixes: &[&str]| -> u64 {
            let named = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
            elf.sections().filter(|section| section.name().is_ok_and(named)).map(|section| section.size()).sum()
        };
        let heap = elf.symbols().filter(|symbol| symbol.name().is_ok_and(is_heap)).map(|symbol| symbol.size()).sum();
        let statics = sections(&[".data", ".bss", ".noinit", ".dram2"]);
        Ok(Memory {
            code: sections(&[".trap", ".rwtext"]),
            statics: statics.saturating_sub(heap),
            heap,
            stack: sections(&[".stack"]),
        })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { code, statics, heap, stack } = self;
        write!(f, "memory: {code} bytes of code, {statics} of variables, {heap} of heap, {stack} of main stack")
    }
}

/// The name that the heap's macro gives to its bytes, as the compiler writes it.
fn is_heap(symbol: &str) -> bool {
    symbol.contains("truck_board") && symbol.ends_with("4HEAP")
}

fn part(file: &str, address: u32, bytes: &[u8]) -> Part {
    Part { file: file.to_owned(), address, size: bytes.len(), sha256: sha256_hex(bytes) }
}

/// The manifest with the partition table in words, as a comment.
fn manifest_text(manifest: &Manifest, table: &PartitionTable) -> Result<String> {
    let mut text =
        format!("# Made by firmware/build; do not edit.\n#\n# Partitions, for {FLASH_SIZE} of flash memory:\n");
    for partition in table.partitions() {
        let (address, size) = (partition.offset(), partition.size());
        text +=
            &format!("# {:<9} {address:#8x} {size:#8x} {} {}\n", partition.name(), partition.ty(), partition.subtype());
    }
    Ok(format!("{text}\n{}", toml::to_string(manifest)?))
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
