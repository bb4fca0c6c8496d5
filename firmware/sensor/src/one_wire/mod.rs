//! The 1-Wire bus of the temperature probes: search for addresses, conversion, scratchpad.
//!
//! Here is what is said on the bus; when the line goes low and for how long is the driver's part ([`Line`]). Commands
//! are those of the DS18B20's data sheet; the search is that of Maxim's application note 187.

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use coldbench_protocol::ProbeRom;

use crate::ds18b20;

/// Most probes that are looked for. A truck has two; the bound keeps a disturbed line from being searched for ever.
pub const MAX_PROBES: usize = 8;

const SEARCH_ROM: u8 = 0xf0;
const MATCH_ROM: u8 = 0x55;
const SKIP_ROM: u8 = 0xcc;
const CONVERT_T: u8 = 0x44;
const READ_SCRATCHPAD: u8 = 0xbe;

/// The data line, one time slot a call.
pub trait Line {
    /// Sends a reset pulse and looks for an answer.
    fn reset(&mut self) -> Presence;

    /// Writes one bit.
    fn write_bit(&mut self, bit: bool);

    /// Reads one bit; `true` when nobody pulls the line down.
    fn read_bit(&mut self) -> bool;
}

/// What answers a reset pulse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Nobody,
    /// At least one probe.
    Probes,
    /// The line stays low: it is shorted, or its pull-up is missing.
    Shorted,
}

/// Addresses of all probes, in the order of the search. What fails its checksum twice ends the search.
pub fn search(line: &mut impl Line) -> Vec<ProbeRom> {
    let mut found = Vec::new();
    let mut path = Path::default();
    while found.len() < MAX_PROBES {
        let Some((rom, next)) = next_rom(line, path).or_else(|| next_rom(line, path)) else { break };
        found.push(rom);
        match next.branch {
            Some(_) => path = next,
            None => break,
        }
    }
    found
}

/// Starts a conversion on all probes at once. Answers nothing: the result is read when it must be ready.
pub fn start_conversion(line: &mut impl Line) {
    if line.reset() == Presence::Probes {
        write_byte(line, SKIP_ROM);
        write_byte(line, CONVERT_T);
    }
}

/// The nine bytes of a probe's scratchpad as they come; `None` when nobody answers the reset pulse. A shorted line
/// reads all zero.
pub fn scratchpad(line: &mut impl Line, probe: ProbeRom) -> Option<[u8; 9]> {
    match line.reset() {
        Presence::Nobody => None,
        Presence::Shorted => Some([0; 9]),
        Presence::Probes => {
            write_byte(line, MATCH_ROM);
            probe.0.iter().for_each(|byte| write_byte(line, *byte));
            write_byte(line, READ_SCRATCHPAD);
            Some([(); 9].map(|()| read_byte(line)))
        }
    }
}

/// Where the last search went: its address, and the last bit at which it took the zero although there were probes on
/// both sides.
#[derive(Debug, Clone, Copy, Default)]
struct Path {
    rom: u64,
    branch: Option<u32>,
}

/// Follows the last path up to its last branch, takes the one there and zeros from then on.
fn next_rom(line: &mut impl Line, last: Path) -> Option<(ProbeRom, Path)> {
    if line.reset() != Presence::Probes {
        return None;
    }
    write_byte(line, SEARCH_ROM);
    let mut path = Path::default();
    for bit in 0..u64::BITS {
        let one = match (line.read_bit(), line.read_bit()) {
            // Nobody takes part any more: the probe was lost on the way.
            (true, true) => return None,
            (true, false) => true,
            (false, true) => false,
            (false, false) => {
                let one = match last.branch {
                    Some(branch) if bit < branch => last.rom >> bit & 1 == 1,
                    Some(branch) => bit == branch,
                    None => false,
                };
                if !one {
                    path.branch = Some(bit);
                }
                one
            }
        };
        path.rom |= u64::from(one) << bit;
        line.write_bit(one);
    }
    let rom = ProbeRom(path.rom.to_le_bytes());
    ds18b20::is_valid_rom(rom).then_some((rom, path))
}

/// Least significant bit first.
fn write_byte(line: &mut impl Line, byte: u8) {
    (0..u8::BITS).for_each(|bit| line.write_bit(byte >> bit & 1 == 1));
}

fn read_byte(line: &mut impl Line) -> u8 {
    (0..u8::BITS).fold(0, |byte, bit| byte | u8::from(line.read_bit()) << bit)
}
