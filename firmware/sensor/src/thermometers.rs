//! The temperature probes over time: a round starts a conversion, waits for it without blocking, and then reads one
//! probe a poll, because one transaction takes 11 ms and the door must be looked at in between.

use alloc::{collections::VecDeque, vec::Vec};

use coldbench_protocol::{Calibration, Line, ProbeFault, ProbeRom, RawProbe};

use crate::{ds18b20, hardware::Peripherals};

/// Longest time a probe takes to convert with 12 bits, with a reserve (data sheet: 750 ms).
pub const CONVERSION_MILLIS: u64 = 800;

/// Most probes that are looked at in a round.
pub const MAX_PROBES: usize = 8;

/// The probes as the last whole round found them, and the round under way.
#[derive(Debug, Default)]
pub struct Thermometers {
    probes: Vec<RawProbe>,
    round: Option<Round>,
}

#[derive(Debug)]
struct Round {
    converted_at_millis: u64,
    waiting: VecDeque<ProbeRom>,
    read: Vec<RawProbe>,
}

impl Thermometers {
    /// Starts a round. `assigned` probes are asked even when the search does not find them, so that they are missed.
    pub fn start(
        &mut self,
        assigned: impl IntoIterator<Item = ProbeRom>,
        peripherals: &mut impl Peripherals,
        now_millis: u64,
    ) {
        let mut waiting: VecDeque<ProbeRom> = peripherals.search_probes().into();
        for probe in assigned {
            if !waiting.contains(&probe) {
                waiting.push_front(probe);
            }
        }
        waiting.truncate(MAX_PROBES);
        peripherals.start_conversion();
        self.round = Some(Round { converted_at_millis: now_millis + CONVERSION_MILLIS, waiting, read: Vec::new() });
    }

    /// Does the next piece of the round; `true` when that ended it.
    pub fn step(&mut self, peripherals: &mut impl Peripherals, now_millis: u64) -> bool {
        let Some(round) = self.round.as_mut().filter(|round| now_millis >= round.converted_at_millis) else {
            return false;
        };
        if let Some(rom) = round.waiting.pop_front() {
            let scratchpad = peripherals.scratchpad(rom);
            let clone = ds18b20::is_clone(rom, scratchpad.as_ref());
            round.read.push(RawProbe { rom, celsius: ds18b20::celsius(scratchpad), clone });
        }
        let ended = round.waiting.is_empty();
        if ended {
            self.probes = core::mem::take(&mut round.read);
            self.round = None;
        }
        ended
    }

    /// The probes of the last whole round; before the first one ended, those that it waits for.
    pub fn probes(&self) -> Vec<RawProbe> {
        match &self.round {
            Some(round) if self.probes.is_empty() => round
                .waiting
                .iter()
                .map(|rom| RawProbe { rom: *rom, celsius: Err(ProbeFault::Timeout), clone: false })
                .collect(),
            _ => self.probes.clone(),
        }
    }

    /// Freezer temperature, calibrated, °C. While no probe is assigned, the first one that is not outside is taken.
    ///
    /// # Errors
    /// The fault of the probe.
    pub fn freezer_celsius(&self, calibration: &Calibration) -> Result<f32, ProbeFault> {
        let probe = match calibration.freezer_probe {
            Some(rom) => self.find(rom),
            None => self.probes.iter().find(|probe| Some(probe.rom) != calibration.outside_probe),
        };
        corrected(probe, calibration.freezer)
    }

    /// Outside temperature, calibrated, °C; `None` where no probe is fitted.
    pub fn outside_celsius(&self, calibration: &Calibration) -> Option<Result<f32, ProbeFault>> {
        let rom = calibration.outside_probe?;
        Some(corrected(self.find(rom), calibration.outside))
    }

    fn find(&self, rom: ProbeRom) -> Option<&RawProbe> {
        self.probes.iter().find(|probe| probe.rom == rom)
    }
}

fn corrected(probe: Option<&RawProbe>, line: Line) -> Result<f32, ProbeFault> {
    let raw_celsius = probe.ok_or(ProbeFault::Missing)?.celsius?;
    Ok(line.apply(raw_celsius))
}
