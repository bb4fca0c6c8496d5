//! Writing an image: a ladder of speeds, slices, progress, cancel, verification by hash.

use std::time::Instant;

use espflash::{
    connection::Port,
    flasher::{Flasher, SpiAttachParams},
    image_format::Segment,
    target::{FlashTarget, ProgressCallbacks},
};
use md5::{Digest, Md5};
use serialport::{SerialPort, UsbPortInfo};

use super::{
    link::LINK_BAUD,
    loader::{Fault, Loader, Rung, Wires, enter, flash_error},
};
use crate::{
    domain::image::{Image, ImagePart},
    ports::{
        Cancel,
        board::{BoardError, ChipFacts, FlashPhase, FlashProgress, FlashReport, OpenOptions},
    },
};

/// A part is compared and written in slices that end at multiples of this: whole blocks of flash, which are erased
/// faster than sectors, and short enough to cancel between.
const SLICE_BYTES: u32 = 0x1_0000;

/// What is to be flashed, and how.
pub(super) struct Task<'a> {
    pub(super) image: &'a Image,
    pub(super) options: OpenOptions,
    /// The speed that held here last time.
    pub(super) held_baud: Option<u32>,
    pub(super) usb: &'a UsbPortInfo,
    pub(super) wires: &'a Wires,
    /// `true` when the loader answered last, so that no reset is needed.
    pub(super) in_loader: bool,
    pub(super) progress: &'a dyn Fn(FlashProgress),
    pub(super) cancel: &'a Cancel,
}

/// The ways to try, the fastest first. What did not hold last time is not tried again, unless it is ordered.
fn ladder(options: OpenOptions, held_baud: Option<u32>) -> Vec<Rung> {
    let rung = |stub, baud| Rung { stub, baud };
    match (options.no_stub, options.flash_baud) {
        (true, baud) => vec![rung(false, baud.unwrap_or(LINK_BAUD))],
        (false, Some(baud)) => vec![rung(true, baud), rung(false, baud)],
        (false, None) => {
            let held = held_baud.unwrap_or(u32::MAX).max(LINK_BAUD);
            let with_stub = [921_600, 460_800, LINK_BAUD].into_iter().filter(|baud| *baud <= held);
            with_stub.map(|baud| rung(true, baud)).chain([rung(false, LINK_BAUD)]).collect()
        }
    }
}

/// Flashes and starts what was flashed. Gives the line back in any case; after an error the loader may still run.
pub(super) fn flash(mut port: Port, task: &Task) -> (Port, Result<FlashReport, BoardError>) {
    let mut tally = Tally { started: Instant::now(), total_bytes: task.image.size(), done_bytes: 0, written_bytes: 0 };
    let mut last = BoardError::Silent;
    tally.report(task, "", FlashPhase::Connect, 0);
    let (given_back, outcome) = look(port, task);
    port = given_back;
    let mut in_loader = outcome.is_ok();
    match outcome {
        // No speed was tried, so the one that is wanted stays the one to try.
        Ok((chip, true)) => {
            return (
                port,
                Ok(tally.into_report(Rung { stub: false, ..ladder(task.options, task.held_baud)[0] }, chip)),
            );
        }
        Ok((_, false)) => {}
        Err(error @ BoardError::Flash { .. }) => tracing::debug!(%error, "the loader cannot compare without the stub"),
        Err(error) => return (port, Err(error)),
    }
    for rung in ladder(task.options, task.held_baud) {
        if task.cancel.is_cancelled() {
            return (port, Err(BoardError::Cancelled { half_written: tally.written_bytes > 0 }));
        }
        tally.report(task, "", FlashPhase::Connect, 0);
        let (given_back, outcome) = climb(port, task, rung, in_loader, &mut tally);
        port = given_back;
        match outcome {
            Ok(chip) => return (port, Ok(tally.into_report(rung, chip))),
            Err(error @ (BoardError::Flash { .. } | BoardError::Verify { .. })) => {
                tracing::info!(%error, ?rung, "flashing failed this way");
                // The loader's state is unknown: with wires it is reset.
                in_loader = false;
                last = error;
            }
            // The loader was lost on the way: what is known is why the rung before failed.
            Err(BoardError::Silent) if !matches!(last, BoardError::Silent) => break,
            Err(error) => return (port, Err(error)),
        }
    }
    (port, Err(last))
}

/// Compares the flash with the image through the loader as it is, which costs a fraction of setting up stub and speed.
/// Where all is right already the firmware is started. Gives the chip and whether that was so.
fn look(port: Port, task: &Task) -> (Port, Result<(ChipFacts, bool), BoardError>) {
    let loader = reach(port, task, task.in_loader).and_then(|port| Loader::connect(port, task.usb, None));
    let mut loader = match loader {
        Ok(loader) => loader,
        Err(Fault { error, port }) => return (port, Err(error)),
    };
    let chip = loader.chip.clone();
    let same = fits(&chip, task.image).and_then(|()| {
        // The program, which is last, is what differs most often.
        for part in task.image.parts.iter().rev() {
            if !holds(&mut loader.flasher, part.address, &part.bytes)? {
                return Ok(false);
            }
        }
        Ok(true)
    });
    match same {
        Ok(true) => (loader.leave(task.wires), Ok((chip, true))),
        Ok(false) => (loader.park(), Ok((chip, false))),
        Err(error) => (loader.park(), Err(error)),
    }
}

/// Gets the loader's answer; a loader that answered before is not reset.
fn reach(port: Port, task: &Task, in_loader: bool) -> Result<Port, Fault> {
    let baud = port.baud_rate().unwrap_or(LINK_BAUD);
    if in_loader {
        return enter(port, task.usb, &Wires::Absent, baud).or_else(|Fault { error, port }| match task.wires {
            Wires::Present => enter(port, task.usb, task.wires, baud),
            Wires::Absent => Err(Fault { error, port }),
        });
    }
    enter(port, task.usb, task.wires, baud)
}

fn climb(
    port: Port,
    task: &Task,
    rung: Rung,
    in_loader: bool,
    tally: &mut Tally,
) -> (Port, Result<ChipFacts, BoardError>) {
    let entered = reach(port, task, in_loader);
    let loader = entered.and_then(|port| Loader::connect(port, task.usb, Some(rung)));
    let (port, outcome) = match loader {
        Ok(mut loader) => match write(&mut loader, task, tally) {
            Ok(()) => {
                let chip = loader.chip.clone();
                return (loader.leave(task.wires), Ok(chip));
            }
            Err(error) => (loader.park(), error),
        },
        Err(Fault { error, port }) => (port, error),
    };
    let gone = port.baud_rate().is_err();
    (port, Err(if gone { BoardError::Unplugged } else { outcome }))
}

fn write(loader: &mut Loader, task: &Task, tally: &mut Tally) -> Result<(), BoardError> {
    fits(&loader.chip, task.image)?;
    let mut target = loader.flasher.chip().flash_target(SpiAttachParams::default(), loader.stub, false, false);
    target.begin(loader.flasher.connection()).map_err(|error| flash_error(&error))?;
    // Each rung compares everything again.
    tally.done_bytes = 0;
    let mut changed = Vec::new();
    for part in &task.image.parts {
        tally.report(task, &part.name, FlashPhase::Compare, 0);
        if holds(&mut loader.flasher, part.address, &part.bytes)? {
            tally.done_bytes += part.bytes.len() as u64;
        } else {
            write_part(&mut loader.flasher, target.as_mut(), part, task, tally)?;
            changed.push(part);
        }
    }
    for part in changed {
        tally.report(task, &part.name, FlashPhase::Verify, 0);
        if !holds(&mut loader.flasher, part.address, &part.bytes)? {
            return Err(BoardError::Verify { address: part.address });
        }
    }
    // The ROM loader would start the program here; it is left by a reset.
    if loader.stub {
        target.finish(loader.flasher.connection(), false).map_err(|error| flash_error(&error))?;
    }
    Ok(())
}

/// Whether the image is for this chip and has room on it.
fn fits(chip: &ChipFacts, image: &Image) -> Result<(), BoardError> {
    let wanted = &image.manifest.chip;
    if chip.chip != *wanted {
        return Err(BoardError::WrongChip { found: chip.chip.clone(), wanted: wanted.clone() });
    }
    let end = image.parts.iter().map(|part| u64::from(part.address) + part.bytes.len() as u64).max().unwrap_or(0);
    if end > u64::from(chip.flash_bytes) {
        let found = format!("{} with {} bytes of flash", chip.chip, chip.flash_bytes);
        return Err(BoardError::WrongChip { found, wanted: format!("{wanted} with {end} bytes of flash") });
    }
    Ok(())
}

fn write_part(
    flasher: &mut Flasher,
    target: &mut dyn FlashTarget,
    part: &ImagePart,
    task: &Task,
    tally: &mut Tally,
) -> Result<(), BoardError> {
    let mut address = part.address;
    let mut rest = part.bytes.as_slice();
    while !rest.is_empty() {
        if task.cancel.is_cancelled() {
            return Err(BoardError::Cancelled { half_written: tally.written_bytes > 0 });
        }
        let to_boundary = SLICE_BYTES - address % SLICE_BYTES;
        let (slice, more) = rest.split_at(rest.len().min(to_boundary as usize));
        if holds(flasher, address, slice)? {
            tally.done_bytes += slice.len() as u64;
        } else {
            let mut padded = slice.to_vec();
            // The loader writes words; the rest of an erased word is all ones.
            padded.resize(slice.len().next_multiple_of(4), 0xFF);
            let mut blocks = Blocks { tally, task, part: &part.name, slice_bytes: slice.len(), blocks: 0 };
            let written = target.write_segment(flasher.connection(), Segment::new(address, &padded), &mut blocks);
            // Also a slice that failed may have been erased.
            tally.written_bytes += slice.len() as u64;
            written.map_err(|error| flash_error(&error))?;
            tally.done_bytes += slice.len() as u64;
        }
        tally.report(task, &part.name, FlashPhase::Write, 0);
        address += slice.len() as u32;
        rest = more;
    }
    Ok(())
}

/// Whether the flash holds these bytes, by MD5.
fn holds(flasher: &mut Flasher, address: u32, bytes: &[u8]) -> Result<bool, BoardError> {
    let found = flasher.checksum_md5(address, bytes.len() as u32).map_err(|error| flash_error(&error))?;
    Ok(Md5::digest(bytes)[..] == found.to_be_bytes())
}

/// What was done so far.
struct Tally {
    started: Instant,
    total_bytes: u64,
    /// Bytes of the image that are right in flash, on this rung.
    done_bytes: u64,
    /// Bytes written, over all rungs.
    written_bytes: u64,
}

impl Tally {
    fn report(&self, task: &Task, part: &str, phase: FlashPhase, more_bytes: u64) {
        let done_bytes = self.done_bytes + more_bytes;
        (task.progress)(FlashProgress { part: part.to_owned(), phase, done_bytes, total_bytes: self.total_bytes });
    }

    fn into_report(self, rung: Rung, chip: ChipFacts) -> FlashReport {
        FlashReport {
            written_bytes: self.written_bytes,
            skipped_bytes: self.total_bytes.saturating_sub(self.written_bytes),
            baud: rung.baud,
            stub: rung.stub,
            seconds: self.started.elapsed().as_secs_f64(),
            chip,
        }
    }
}

/// Turns the blocks of a compressed transfer into bytes of the image.
struct Blocks<'a> {
    tally: &'a Tally,
    task: &'a Task<'a>,
    part: &'a str,
    slice_bytes: usize,
    blocks: usize,
}

impl ProgressCallbacks for Blocks<'_> {
    fn init(&mut self, _address: u32, blocks: usize) {
        self.blocks = blocks;
    }

    fn update(&mut self, current: usize) {
        let bytes = self.slice_bytes * current / self.blocks.max(1);
        self.tally.report(self.task, self.part, FlashPhase::Write, bytes as u64);
    }

    fn verifying(&mut self) {}

    fn finish(&mut self, _skipped: bool) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_goes_down_to_the_rom_loader_unless_told_otherwise() {
        let held =
            |baud| ladder(OpenOptions::default(), Some(baud)).into_iter().map(|rung| rung.baud).collect::<Vec<_>>();
        assert_eq!(held(460_800), [460_800, 115_200, 115_200]);
        assert_eq!(held(9600), [115_200, 115_200]);
        let rungs = |flash_baud, no_stub| {
            let options = OpenOptions { flash_baud, no_stub, ..OpenOptions::default() };
            ladder(options, None).into_iter().map(|rung| (rung.stub, rung.baud)).collect::<Vec<_>>()
        };
        assert_eq!(rungs(None, false), [(true, 921_600), (true, 460_800), (true, 115_200), (false, 115_200)]);
        assert_eq!(rungs(Some(230_400), false), [(true, 230_400), (false, 230_400)]);
        assert_eq!(rungs(None, true), [(false, 115_200)]);
        assert_eq!(rungs(Some(460_800), true), [(false, 460_800)]);
    }
}
