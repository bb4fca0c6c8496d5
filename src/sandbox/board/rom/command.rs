//! One command packet: direction, code, length, checksum, data.

/// Header before the data.
const HEADER_LEN: usize = 8;
/// Length, sequence number and two unused words before the block in a data command.
const BLOCK_HEADER_LEN: usize = 16;
const CHECKSUM_SEED: u8 = 0xef;

/// The commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    FlashBegin,
    FlashData,
    FlashEnd,
    MemBegin,
    MemEnd,
    MemData,
    Sync,
    WriteReg,
    ReadReg,
    SpiSetParams,
    SpiAttach,
    ReadFlashSlow,
    ChangeBaud,
    DeflateBegin,
    DeflateData,
    DeflateEnd,
    FlashMd5,
    SecurityInfo,
    EraseFlash,
    EraseRegion,
    ReadFlash,
    RunUserCode,
}

impl TryFrom<u8> for Op {
    type Error = Failure;

    fn try_from(code: u8) -> Result<Self, Failure> {
        Ok(match code {
            0x02 => Op::FlashBegin,
            0x03 => Op::FlashData,
            0x04 => Op::FlashEnd,
            0x05 => Op::MemBegin,
            0x06 => Op::MemEnd,
            0x07 => Op::MemData,
            0x08 => Op::Sync,
            0x09 => Op::WriteReg,
            0x0a => Op::ReadReg,
            0x0b => Op::SpiSetParams,
            0x0d => Op::SpiAttach,
            0x0e => Op::ReadFlashSlow,
            0x0f => Op::ChangeBaud,
            0x10 => Op::DeflateBegin,
            0x11 => Op::DeflateData,
            0x12 => Op::DeflateEnd,
            0x13 => Op::FlashMd5,
            0x14 => Op::SecurityInfo,
            0xd0 => Op::EraseFlash,
            0xd1 => Op::EraseRegion,
            0xd2 => Op::ReadFlash,
            0xd3 => Op::RunUserCode,
            _ => return Err(Failure::Unknown),
        })
    }
}

/// Why a command was refused. ROM and stub have codes of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No such command.
    Unknown,
    /// The data are shorter than the command needs.
    Length,
    /// The checksum of a block is wrong.
    Checksum,
    /// The command makes no sense now.
    Act,
    /// A block arrived before the write was begun.
    NotBegun,
    /// Flash could not be written.
    Write,
    /// Flash could not be read.
    Read,
    /// The compressed data are damaged.
    Inflate,
    /// More data than announced.
    TooMuch,
    /// The write was ended before all data arrived.
    NotEnough,
}

impl Failure {
    /// Codes of the ROM.
    pub(super) fn rom_code(self) -> u8 {
        match self {
            Failure::Unknown | Failure::Length => 0x05,
            Failure::Act | Failure::NotBegun | Failure::TooMuch | Failure::NotEnough => 0x06,
            Failure::Checksum => 0x07,
            Failure::Write => 0x08,
            Failure::Read => 0x09,
            Failure::Inflate => 0x0b,
        }
    }

    /// Codes of the stub.
    pub(super) fn stub_code(self) -> u8 {
        match self {
            Failure::Length => 0xc0,
            Failure::Checksum => 0xc1,
            Failure::Act => 0xc3,
            Failure::Write | Failure::Read => 0xc4,
            Failure::NotBegun => 0xc6,
            Failure::Inflate => 0xc7,
            Failure::NotEnough => 0xc8,
            Failure::TooMuch => 0xc9,
            Failure::Unknown => 0xff,
        }
    }
}

/// A command as it arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command<'a> {
    pub(super) op: u8,
    pub(super) data: &'a [u8],
    checksum: u32,
}

impl<'a> Command<'a> {
    /// `None` when the packet is no command: noise, or an answer.
    pub(super) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (header, data) = packet.split_at_checked(HEADER_LEN)?;
        let &[direction, op, len_low, len_high, a, b, c, d] = header else { return None };
        let len = usize::from(u16::from_le_bytes([len_low, len_high]));
        (direction == 0 && data.len() == len).then_some(Command {
            op,
            data,
            checksum: u32::from_le_bytes([a, b, c, d]),
        })
    }

    /// Checks a block's checksum, which only data commands have.
    pub(super) fn verify(&self) -> Result<(), Failure> {
        match Op::try_from(self.op) {
            Ok(Op::FlashData | Op::MemData | Op::DeflateData) => {
                let sum = self.block()?.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte);
                if u32::from(sum) == self.checksum & 0xff { Ok(()) } else { Err(Failure::Checksum) }
            }
            _ => Ok(()),
        }
    }

    /// The n-th word of the data.
    pub(super) fn word(&self, index: usize) -> Result<u32, Failure> {
        match self.data.get(index * 4..index * 4 + 4) {
            Some(&[a, b, c, d]) => Ok(u32::from_le_bytes([a, b, c, d])),
            _ => Err(Failure::Length),
        }
    }

    /// The block in a data command.
    pub(super) fn block(&self) -> Result<&'a [u8], Failure> {
        let block = self.data.get(BLOCK_HEADER_LEN..).ok_or(Failure::Length)?;
        if self.word(0)? as usize == block.len() { Ok(block) } else { Err(Failure::Length) }
    }

    /// The number of the block in a data command.
    pub(super) fn sequence(&self) -> Result<u32, Failure> {
        self.word(1)
    }
}
