//! Long transfers: writing to flash block by block, and reading from it.

use flate2::{Decompress, FlushDecompress, Status};
use md5::{Digest, Md5};

use super::{
    super::flash::{FLASH_BYTES, Flash, SECTOR_BYTES},
    command::{Command, Failure},
};

/// Most bytes that one block of a flash read may have.
const MAX_READ_BLOCK: u32 = 0x1000;
const INFLATED_CHUNK: usize = 32 * 1024;

/// A write under way.
#[derive(Debug)]
pub(super) struct Writing {
    offset: u32,
    len: u32,
    block_len: u32,
    written: u32,
    /// Flash is known to be erased up to here.
    erased_to: u32,
    inflate: Option<Decompress>,
    error: Option<Failure>,
}

impl Writing {
    /// From a begin command: length, number of blocks, length of a block, offset.
    pub(super) fn new(command: &Command<'_>, deflated: bool) -> Result<Self, Failure> {
        let (len, block_len, offset) = (command.word(0)?, command.word(2)?, command.word(3)?);
        if offset.checked_add(len).is_none_or(|end| end > FLASH_BYTES) {
            return Err(Failure::Act);
        }
        Ok(Writing {
            offset,
            len,
            block_len,
            written: 0,
            erased_to: offset / SECTOR_BYTES * SECTOR_BYTES,
            inflate: deflated.then(|| Decompress::new(true)),
            error: None,
        })
    }

    /// Erases the whole range.
    pub(super) fn erase_all(&mut self, flash: &Flash) -> Result<(), Failure> {
        if self.len > 0 {
            flash.erase(self.offset, self.len).map_err(|_| Failure::Write)?;
            self.erased_to = (self.offset + self.len).next_multiple_of(SECTOR_BYTES);
        }
        Ok(())
    }

    /// Writes one block. A plain block that was sent twice lands in the same place.
    pub(super) fn write(&mut self, block: &[u8], sequence: u32, flash: &Flash) -> Result<(), Failure> {
        match self.inflate.take() {
            Some(mut inflate) => {
                let result = self.write_deflated(block, &mut inflate, flash);
                self.inflate = Some(inflate);
                result
            }
            None => {
                self.written = sequence.saturating_mul(self.block_len).min(self.len);
                // The last block is filled up to its full length; what exceeds the range is filling.
                let room = (self.len - self.written) as usize;
                self.append(&block[..block.len().min(room)], flash)
            }
        }
    }

    /// What went wrong in an earlier block, once.
    pub(super) fn take_error(&mut self) -> Result<(), Failure> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Keeps a failure for the next answer.
    pub(super) fn keep_error(&mut self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.error.get_or_insert(failure);
        }
    }

    /// All announced bytes are written.
    pub(super) fn is_whole(&self) -> bool {
        self.written >= self.len
    }

    fn write_deflated(&mut self, mut block: &[u8], inflate: &mut Decompress, flash: &Flash) -> Result<(), Failure> {
        let mut inflated = vec![0; INFLATED_CHUNK];
        loop {
            let (taken_before, made_before) = (inflate.total_in(), inflate.total_out());
            let status =
                inflate.decompress(block, &mut inflated, FlushDecompress::None).map_err(|_| Failure::Inflate)?;
            let taken = (inflate.total_in() - taken_before) as usize;
            let made = (inflate.total_out() - made_before) as usize;
            block = &block[taken..];
            if made as u32 > self.len - self.written {
                return Err(Failure::TooMuch);
            }
            self.append(&inflated[..made], flash)?;
            let stuck = taken == 0 && made == 0;
            if status == Status::StreamEnd || stuck || (block.is_empty() && made < inflated.len()) {
                return Ok(());
            }
        }
    }

    fn append(&mut self, bytes: &[u8], flash: &Flash) -> Result<(), Failure> {
        let at = self.offset + self.written;
        let end = at + bytes.len() as u32;
        while self.erased_to < end {
            flash.erase(self.erased_to, 1).map_err(|_| Failure::Write)?;
            self.erased_to += SECTOR_BYTES;
        }
        flash.program(at, bytes).map_err(|_| Failure::Write)?;
        self.written += bytes.len() as u32;
        Ok(())
    }
}

/// A read under way: blocks out, number of received bytes back, MD5 last.
#[derive(Debug)]
pub(super) struct Reading {
    next: u32,
    end: u32,
    start: u32,
    block_len: u32,
    digest: Md5,
}

impl Reading {
    /// From the command: offset, length, length of a block, window.
    pub(super) fn new(command: &Command<'_>) -> Result<Self, Failure> {
        let (start, len, block_len) = (command.word(0)?, command.word(1)?, command.word(2)?);
        let end = start.checked_add(len).filter(|end| *end <= FLASH_BYTES).ok_or(Failure::Read)?;
        if block_len == 0 || block_len > MAX_READ_BLOCK {
            return Err(Failure::Length);
        }
        Ok(Reading { next: start, end, start, block_len, digest: Md5::new() })
    }

    /// Sends the next block, or the digest when nothing is left.
    pub(super) fn send_block(&mut self, flash: &Flash, send: &mut dyn FnMut(&[u8])) {
        let len = (self.end - self.next).min(self.block_len);
        if len == 0 {
            return send(&self.digest.finalize_reset());
        }
        // The range was checked; an empty block ends the client's read with an error.
        let block = flash.read(self.next, len).unwrap_or_default();
        self.digest.update(&block);
        self.next += len;
        send(&block);
    }

    /// Takes an acknowledgement: the number of bytes received so far.
    pub(super) fn acknowledge(&mut self, packet: &[u8], flash: &Flash, send: &mut dyn FnMut(&[u8])) -> Progress {
        let Ok(received) = <[u8; 4]>::try_from(packet).map(u32::from_le_bytes) else { return Progress::Abandoned };
        if received != self.next - self.start {
            return Progress::More;
        }
        let was_last = self.next == self.end;
        self.send_block(flash, send);
        if was_last { Progress::Over } else { Progress::More }
    }
}

/// How a read stands after a packet from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on.
    More,
    /// The digest was sent.
    Over,
    /// The packet is no acknowledgement: the client gave up and says something else.
    Abandoned,
}
