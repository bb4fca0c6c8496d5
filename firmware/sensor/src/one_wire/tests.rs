#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// A bus with probes, bit by bit as the data sheet has it.
#[derive(Default)]
struct ImitatedBus {
    probes: Vec<ImitatedProbe>,
    shorted: bool,
    conversions: usize,
    /// Bits on the bus since the start, to flip one of them.
    bits: usize,
    flipped_bit: Option<usize>,
}

struct ImitatedProbe {
    rom: ProbeRom,
    scratchpad: [u8; 9],
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Waits for a reset pulse.
    Idle,
    /// Takes in a ROM or function command.
    Command { bits: u32, byte: u8, selected: bool },
    /// Compares its address with what comes.
    Match { bits: u32 },
    /// Says bit, complement, and listens for the choice.
    Search { bits: u32, turn: u8 },
    /// Sends its scratchpad.
    Send { bits: u32 },
}

impl ImitatedProbe {
    fn new(rom: ProbeRom) -> Self {
        ImitatedProbe { rom, scratchpad: ds18b20::scratchpad(-19.5), state: State::Idle }
    }

    fn rom_bit(&self, bit: u32) -> bool {
        u64::from_le_bytes(self.rom.0) >> bit & 1 == 1
    }

    fn takes(&mut self, bit: bool) -> bool {
        let mut converts = false;
        self.state = match self.state {
            State::Command { bits, byte, selected } => {
                let byte = byte | u8::from(bit) << bits;
                match (bits, selected, byte) {
                    (0..7, ..) => State::Command { bits: bits + 1, byte, selected },
                    (_, false, SEARCH_ROM) => State::Search { bits: 0, turn: 0 },
                    (_, false, MATCH_ROM) => State::Match { bits: 0 },
                    (_, false, SKIP_ROM) => State::Command { bits: 0, byte: 0, selected: true },
                    (_, true, READ_SCRATCHPAD) => State::Send { bits: 0 },
                    (_, true, CONVERT_T) => {
                        converts = true;
                        State::Idle
                    }
                    _ => State::Idle,
                }
            }
            State::Match { bits } if self.rom_bit(bits) != bit => State::Idle,
            State::Match { bits: 63 } => State::Command { bits: 0, byte: 0, selected: true },
            State::Match { bits } => State::Match { bits: bits + 1 },
            State::Search { bits, turn: 2 } if self.rom_bit(bits) == bit && bits < 63 => {
                State::Search { bits: bits + 1, turn: 0 }
            }
            _ => State::Idle,
        };
        converts
    }

    fn gives(&mut self) -> bool {
        match self.state {
            State::Search { bits, turn } => {
                self.state = State::Search { bits, turn: turn + 1 };
                self.rom_bit(bits) != (turn == 1)
            }
            State::Send { bits } => {
                self.state = State::Send { bits: bits + 1 };
                self.scratchpad.get(bits as usize / 8).is_none_or(|byte| byte >> (bits % 8) & 1 == 1)
            }
            _ => true,
        }
    }
}

impl ImitatedBus {
    fn with(roms: &[ProbeRom]) -> Self {
        ImitatedBus { probes: roms.iter().map(|rom| ImitatedProbe::new(*rom)).collect(), ..Self::default() }
    }
}

impl Line for ImitatedBus {
    fn reset(&mut self) -> Presence {
        if self.shorted {
            return Presence::Shorted;
        }
        for probe in &mut self.probes {
            probe.state = State::Command { bits: 0, byte: 0, selected: false };
        }
        if self.probes.is_empty() { Presence::Nobody } else { Presence::Probes }
    }

    fn write_bit(&mut self, bit: bool) {
        for probe in &mut self.probes {
            self.conversions += usize::from(probe.takes(bit));
        }
    }

    fn read_bit(&mut self) -> bool {
        self.bits += 1;
        // Every probe pulls down on its own: all of them must be asked.
        let level = self.probes.iter_mut().fold(true, |level, probe| level & probe.gives());
        level != (self.flipped_bit == Some(self.bits))
    }
}

#[test]
fn an_empty_bus_has_no_probes() {
    let mut bus = ImitatedBus::default();
    assert_eq!(search(&mut bus), []);
    assert_eq!(scratchpad(&mut bus, ds18b20::rom(1)), None);
    start_conversion(&mut bus);
    assert_eq!(bus.conversions, 0);
}

#[test]
fn a_shorted_line_reads_zero() {
    let mut bus = ImitatedBus { shorted: true, ..ImitatedBus::with(&[ds18b20::rom(1)]) };
    assert_eq!(search(&mut bus), []);
    assert_eq!(scratchpad(&mut bus, ds18b20::rom(1)), Some([0; 9]));
}

#[test]
fn each_probe_answers_at_its_own_address() {
    let roms = [ds18b20::rom(0x00ab_cdef), ds18b20::rom(0x0012_3456)];
    let mut bus = ImitatedBus::with(&roms);
    bus.probes[0].scratchpad = ds18b20::scratchpad(-20.25);
    bus.probes[1].scratchpad = ds18b20::scratchpad(31.5);
    start_conversion(&mut bus);
    assert_eq!(bus.conversions, 2);
    for (rom, celsius) in [(roms[0], -20.25), (roms[1], 31.5)] {
        assert_eq!(scratchpad(&mut bus, rom), Some(ds18b20::scratchpad(celsius)));
    }
    assert_eq!(scratchpad(&mut bus, ds18b20::rom(7)), Some([0xff; 9]), "nobody at this address: the line stays high");
}

#[test]
fn one_disturbed_bit_never_invents_a_probe() {
    let roms = [ds18b20::rom(2), ds18b20::rom(3)];
    let whole = search(&mut ImitatedBus::with(&roms));
    assert_eq!(whole.len(), 2);
    for bit in 1..=2 * 64 {
        let found = search(&mut ImitatedBus { flipped_bit: Some(bit), ..ImitatedBus::with(&roms) });
        assert!(found.len() <= MAX_PROBES);
        assert!(found.iter().all(|rom| roms.contains(rom)), "bit {bit}: an address that is not there");
    }
}

#[test]
fn the_search_is_bounded() {
    let roms: Vec<ProbeRom> = (0..20).map(ds18b20::rom).collect();
    assert_eq!(search(&mut ImitatedBus::with(&roms)).len(), MAX_PROBES);
}

proptest! {
    #[test]
    fn every_probe_is_found_once(serials in proptest::collection::btree_set(any::<u32>(), 0..=MAX_PROBES)) {
        let roms: Vec<ProbeRom> = serials.into_iter().map(ds18b20::rom).collect();
        let mut found = search(&mut ImitatedBus::with(&roms));
        found.sort();
        let mut expected = roms;
        expected.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn noise_on_the_line_is_survived(noise in proptest::collection::vec(any::<bool>(), 1..600)) {
        struct Noise(Vec<bool>, usize);
        impl Line for Noise {
            fn reset(&mut self) -> Presence {
                Presence::Probes
            }
            fn write_bit(&mut self, _: bool) {}
            fn read_bit(&mut self) -> bool {
                self.1 += 1;
                self.0[self.1 % self.0.len()]
            }
        }
        let mut line = Noise(noise, 0);
        prop_assert!(search(&mut line).len() <= MAX_PROBES);
        prop_assert!(scratchpad(&mut line, ds18b20::rom(1)).is_some());
    }
}
