//! The ROM's serial loader, and the flasher stub that a client uploads and starts through it.
//!
//! Source: "Serial Protocol" in the esptool documentation for the ESP32-C3. The stub's machine code is accepted, checked
//! and not run; its commands are served in its stead. What differs from the chip:
//! - a reset through the loader samples the boot strap anew, so it starts the app, as a reset by the RTC watchdog does;
//! - the stub sends one block of a flash read and waits for its acknowledgement, whatever window the client allows.

mod command;
mod slip;
mod transfer;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use slip::{Decoder, encode};

use self::{
    command::{Command, Failure, Op},
    transfer::{Progress, Reading, Writing},
};
use super::{chip::Chip, flash::Flash};

/// Rate after a reset, in baud.
pub(super) const RESET_BAUD: u32 = 115_200;

/// What a synchronisation packet carries; seen while an app runs it stands for BOOT and RESET pressed by the operator.
pub(super) const SYNC_PATTERN: [u8; 36] = {
    let mut pattern = [0x55; 36];
    (pattern[0], pattern[1], pattern[2], pattern[3]) = (0x07, 0x07, 0x12, 0x20);
    pattern
};

/// The greeting of a started stub.
const STUB_GREETING: &[u8] = b"OHAI";
/// Identity of the loader in the answer to a synchronisation; the stub answers zero.
const ROM_SYNC_VALUE: u32 = 0x2012_0707;
/// The answer to one synchronisation is sent this often.
const SYNC_ANSWERS: usize = 8;
/// Version of the loader's interface in the security information.
const API_VERSION: u32 = 3;
/// Most bytes that one upload to memory may announce: the chip's SRAM.
const MAX_MEMORY: u32 = 400 * 1024;
/// The ROM reads at most this much of the flash at once.
const SLOW_READ_LEN: usize = 64;

/// Who serves the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rom,
    Stub,
}

/// What a client asked for that is not the loader's to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Wait for the next packet.
    Stay,
    /// Speak at this rate from now on.
    Baud(u32),
    /// Leave the loader and start what lies in flash.
    Restart,
}

/// A loader in conversation with a client.
#[derive(Debug)]
pub(super) struct Loader {
    kind: Kind,
    flash: Arc<Flash>,
    chip: Chip,
    uploaded: Vec<std::ops::Range<u32>>,
    upload: Option<Upload>,
    writing: Option<Writing>,
    reading: Option<Reading>,
    watchdog: Option<Instant>,
    fail_next_write: bool,
    silence: Silence,
}

/// Whether the loader stops answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    Never,
    /// With the next erase or write that a client begins.
    AtErase,
    /// Nothing is answered until the next reset.
    Now,
}

/// An upload to memory under way.
#[derive(Debug)]
struct Upload {
    range: std::ops::Range<u32>,
    received: u32,
}

impl Loader {
    /// The ROM loader after a reset.
    pub(super) fn new(flash: Arc<Flash>, mut chip: Chip) -> Self {
        chip.reset();
        Loader {
            kind: Kind::Rom,
            flash,
            chip,
            uploaded: Vec::new(),
            upload: None,
            writing: None,
            reading: None,
            watchdog: None,
            fail_next_write: false,
            silence: Silence::Never,
        }
    }

    /// Makes the next write to flash fail once, as worn cells do.
    pub(super) fn fail_next_write(&mut self) {
        self.fail_next_write = true;
    }

    /// Answers nothing more from the next erase on, as a loader that hangs does.
    pub(super) fn fall_silent_at_erase(&mut self) {
        self.silence = Silence::AtErase;
    }

    /// When the watchdog that the client set resets the chip.
    pub(super) fn watchdog(&self) -> Option<Instant> {
        self.watchdog
    }

    /// Serves one packet. Every answer goes out through `send` in the moment it is ready.
    pub(super) fn handle(&mut self, packet: &[u8], send: &mut dyn FnMut(&[u8])) -> Outcome {
        match self.reading.as_mut().map(|reading| reading.acknowledge(packet, &self.flash, send)) {
            Some(Progress::More) => return Outcome::Stay,
            Some(Progress::Over) => {
                self.reading = None;
                return Outcome::Stay;
            }
            Some(Progress::Abandoned) => self.reading = None,
            None => {}
        }
        let Some(command) = Command::parse(packet) else { return Outcome::Stay };
        let begins = matches!(Op::try_from(command.op), Ok(Op::FlashBegin | Op::DeflateBegin | Op::EraseRegion));
        if self.silence == Silence::AtErase && begins {
            self.silence = Silence::Now;
        }
        if self.silence == Silence::Now {
            return Outcome::Stay;
        }
        if let Err(failure) = command.verify() {
            self.refuse(&command, failure, send);
            return Outcome::Stay;
        }
        match self.serve(&command, send) {
            Ok(outcome) => outcome,
            Err(failure) => {
                self.refuse(&command, failure, send);
                Outcome::Stay
            }
        }
    }

    fn serve(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<Outcome, Failure> {
        let stub = self.kind == Kind::Stub;
        match Op::try_from(command.op)? {
            Op::Sync => self.sync(command, send),
            Op::ReadReg => {
                let value = self.chip.read(command.word(0)?);
                self.answer(command, value, &[], send);
            }
            Op::WriteReg => self.write_registers(command, send)?,
            Op::SpiSetParams | Op::SpiAttach => self.done(command, send),
            Op::ChangeBaud => {
                let baud = command.word(0)?;
                self.done(command, send);
                return Ok(Outcome::Baud(baud));
            }
            Op::MemBegin => self.mem_begin(command, send)?,
            Op::MemData => self.mem_data(command, send)?,
            Op::MemEnd => self.mem_end(command, send)?,
            Op::FlashBegin => self.flash_begin(command, false, send)?,
            Op::DeflateBegin => self.flash_begin(command, true, send)?,
            Op::FlashData | Op::DeflateData => self.flash_data(command, send)?,
            Op::FlashEnd | Op::DeflateEnd => return self.flash_end(command, send),
            Op::FlashMd5 => {
                let digest = self.flash.md5(command.word(0)?, command.word(1)?).map_err(|_| Failure::Read)?;
                match self.kind {
                    Kind::Rom => self.answer(command, 0, hex::encode(digest).as_bytes(), send),
                    Kind::Stub => self.answer(command, 0, &digest, send),
                }
            }
            Op::SecurityInfo => {
                let mut info = [0; 20];
                info[12..16].copy_from_slice(&u32::from(super::chip::CHIP_ID).to_le_bytes());
                info[16..].copy_from_slice(&API_VERSION.to_le_bytes());
                self.answer(command, 0, &info, send);
            }
            Op::ReadFlashSlow if !stub => self.read_slow(command, send)?,
            Op::EraseFlash if stub => {
                self.flash.erase(0, super::flash::FLASH_BYTES).map_err(|_| Failure::Write)?;
                self.done(command, send);
            }
            Op::EraseRegion if stub => {
                self.flash.erase(command.word(0)?, command.word(1)?).map_err(|_| Failure::Write)?;
                self.done(command, send);
            }
            Op::ReadFlash if stub => {
                let mut reading = Reading::new(command)?;
                self.done(command, send);
                reading.send_block(&self.flash, send);
                self.reading = Some(reading);
            }
            // The stub returns to the boot code without an answer.
            Op::RunUserCode if stub => return Ok(Outcome::Restart),
            _ => return Err(Failure::Unknown),
        }
        Ok(Outcome::Stay)
    }

    fn sync(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) {
        let value = if self.kind == Kind::Rom { ROM_SYNC_VALUE } else { 0 };
        for _ in 0..SYNC_ANSWERS {
            self.answer(command, value, &[], send);
        }
    }

    fn write_registers(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        for at in (0..command.data.len() / 4).step_by(4) {
            self.chip.write(command.word(at)?, command.word(at + 1)?, command.word(at + 2)?);
        }
        if let Some(after) = self.chip.take_watchdog() {
            self.watchdog = Some(Instant::now() + after.max(Duration::from_millis(1)));
        }
        self.done(command, send);
        Ok(())
    }

    fn mem_begin(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let (len, start) = (command.word(0)?, command.word(3)?);
        let end = start.checked_add(len).filter(|_| len <= MAX_MEMORY).ok_or(Failure::Act)?;
        self.upload = Some(Upload { range: start..end, received: 0 });
        self.done(command, send);
        Ok(())
    }

    fn mem_data(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let upload = self.upload.as_mut().ok_or(Failure::Act)?;
        upload.received = upload.received.saturating_add(command.block()?.len() as u32);
        if upload.received >= upload.range.end - upload.range.start {
            self.uploaded.push(upload.range.clone());
            self.upload = None;
        }
        self.done(command, send);
        Ok(())
    }

    /// Starts what was uploaded, if the entry lies in it.
    fn mem_end(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let (stay, entry) = (command.word(0)? != 0, command.word(1)?);
        if stay || entry == 0 {
            self.done(command, send);
            return Ok(());
        }
        if !self.uploaded.iter().any(|range| range.contains(&entry)) {
            return Err(Failure::Act);
        }
        self.done(command, send);
        self.uploaded.clear();
        self.kind = Kind::Stub;
        send(STUB_GREETING);
        Ok(())
    }

    fn flash_begin(
        &mut self,
        command: &Command<'_>,
        deflated: bool,
        send: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let mut writing = Writing::new(command, deflated)?;
        if self.kind == Kind::Rom {
            // The ROM erases at once; the stub erases sector by sector just before it writes.
            writing.erase_all(&self.flash)?;
        }
        self.writing = Some(writing);
        self.done(command, send);
        Ok(())
    }

    /// The stub answers before it writes, so that the next block travels meanwhile; what went wrong it says in the
    /// next answer.
    fn flash_data(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let fails = std::mem::take(&mut self.fail_next_write);
        let block = command.block()?;
        let writing = self.writing.as_mut().ok_or(Failure::NotBegun)?;
        writing.take_error()?;
        match self.kind {
            Kind::Rom => {
                if fails {
                    return Err(Failure::Write);
                }
                writing.write(block, command.sequence()?, &self.flash)?;
                self.done(command, send);
            }
            Kind::Stub => {
                let sequence = command.sequence()?;
                self.done(command, send);
                if let Some(writing) = &mut self.writing {
                    let result = if fails { Err(Failure::Write) } else { writing.write(block, sequence, &self.flash) };
                    writing.keep_error(result);
                }
            }
        }
        Ok(())
    }

    /// Ends a write. Word 0: zero restarts; one means "run user code" to the ROM and "stay" to the stub.
    fn flash_end(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<Outcome, Failure> {
        let restart = command.word(0)? & 1 == 0 || self.kind == Kind::Rom;
        if let Some(mut writing) = self.writing.take() {
            writing.take_error()?;
            if self.kind == Kind::Stub && !writing.is_whole() {
                return Err(Failure::NotEnough);
            }
        }
        self.done(command, send);
        Ok(if restart { Outcome::Restart } else { Outcome::Stay })
    }

    fn read_slow(&mut self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let (offset, len) = (command.word(0)?, command.word(1)?);
        if len as usize > SLOW_READ_LEN {
            return Err(Failure::Length);
        }
        let mut bytes = self.flash.read(offset, len).map_err(|_| Failure::Read)?;
        bytes.resize(SLOW_READ_LEN, 0);
        self.answer(command, 0, &bytes, send);
        Ok(())
    }

    fn done(&self, command: &Command<'_>, send: &mut dyn FnMut(&[u8])) {
        self.answer(command, 0, &[], send);
    }

    fn answer(&self, command: &Command<'_>, value: u32, data: &[u8], send: &mut dyn FnMut(&[u8])) {
        self.respond(command, value, data, [0, 0], send);
    }

    fn refuse(&self, command: &Command<'_>, failure: Failure, send: &mut dyn FnMut(&[u8])) {
        let code = match self.kind {
            Kind::Rom => failure.rom_code(),
            Kind::Stub => failure.stub_code(),
        };
        self.respond(command, 0, &[], [1, code], send);
    }

    /// Direction, command, length, value, data, status. The ROM's status has two more bytes, always zero.
    fn respond(&self, command: &Command<'_>, value: u32, data: &[u8], status: [u8; 2], send: &mut dyn FnMut(&[u8])) {
        let padding: &[u8] = if self.kind == Kind::Rom { &[0, 0] } else { &[] };
        let len = (data.len() + status.len() + padding.len()) as u16;
        let mut packet = vec![1, command.op];
        packet.extend(len.to_le_bytes());
        packet.extend(value.to_le_bytes());
        packet.extend(data);
        packet.extend(status);
        packet.extend(padding);
        send(&packet);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
