//! The temperature probe: what its scratchpad says, and whether it is genuine.
//!
//! An all-zero scratchpad passes the CRC and would read 0.00 °C, which is also the ice point; so the configuration and
//! the reserved bytes are checked too. 85.00 °C is the value after power-on: it is always refused, because a freezer
//! never is that warm and nothing on the bus tells a real 85.00 °C from a conversion that did not take place.

use coldbench_protocol::{ProbeFault, ProbeRom};

/// Family code of the DS18B20, the first byte of its address.
pub const FAMILY_CODE: u8 = 0x28;

/// Configuration byte for 12 bits, as a probe holds it from the factory.
const CONFIG_12_BITS: u8 = 0x7F;
/// The 16-bit register counts sixteenths of a degree.
const CELSIUS_PER_STEP: f32 = 0.0625;
/// 85.00 °C in steps.
const POWER_ON_STEPS: i16 = 0x0550;
const RANGE_CELSIUS: core::ops::RangeInclusive<f32> = -55.0..=125.0;

/// Temperature in °C from a scratchpad, not calibrated; `None` is a probe that does not answer.
///
/// # Errors
/// The fault, the most telling one first: a line held low or high is named as such before the CRC is looked at.
pub fn celsius(scratchpad: Option<[u8; 9]>) -> Result<f32, ProbeFault> {
    let bytes = scratchpad.ok_or(ProbeFault::Missing)?;
    if bytes == [0x00; 9] {
        return Err(ProbeFault::Shorted);
    }
    if bytes == [0xFF; 9] {
        return Err(ProbeFault::Missing);
    }
    if crc8(&bytes[..8]) != bytes[8] {
        return Err(ProbeFault::Crc);
    }
    if bytes[4] != CONFIG_12_BITS || bytes[5] != 0xFF || bytes[7] != 0x10 {
        return Err(ProbeFault::NotADs18b20);
    }
    let steps = i16::from_le_bytes([bytes[0], bytes[1]]);
    if steps == POWER_ON_STEPS {
        return Err(ProbeFault::PowerOnValue);
    }
    let celsius = f32::from(steps) * CELSIUS_PER_STEP;
    if RANGE_CELSIUS.contains(&celsius) { Ok(celsius) } else { Err(ProbeFault::OutOfRange) }
}

/// Whether address or scratchpad are not those of a genuine probe: address `28-tt-tt-ss-ss-00-00-crc`, and byte 6
/// counting down with the low bits of the temperature. A scratchpad without a measurement tells nothing. A copy may pass;
/// a genuine one does not fail.
pub fn is_clone(rom: ProbeRom, scratchpad: Option<&[u8; 9]>) -> bool {
    let address_is_foreign = rom.0[5] != 0 || rom.0[6] != 0;
    let scratchpad_is_foreign = scratchpad.is_some_and(|bytes| {
        let measured = bytes[0..2] != POWER_ON_STEPS.to_le_bytes() && *bytes != [0; 9] && crc8(&bytes[..8]) == bytes[8];
        if !measured {
            return false;
        }
        let remainder_fits = bytes[0].wrapping_add(bytes[6]) & 0x0F == 0 && (1..=0x10).contains(&bytes[6]);
        !remainder_fits || bytes[7] != 0x10
    });
    address_is_foreign || scratchpad_is_foreign
}

/// Whether this is a whole address of a DS18B20: family code and CRC.
pub fn is_valid_rom(rom: ProbeRom) -> bool {
    rom.0[0] == FAMILY_CODE && crc8(&rom.0[..7]) == rom.0[7]
}

/// CRC-8 of the 1-Wire bus (x⁸+x⁵+x⁴+1, reflected, starts at 0).
pub fn crc8(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8C } else { crc >> 1 }))
}

/// The scratchpad that a genuine probe shows at this temperature, for imitated probes. Rounded to 1/16 °C.
pub fn scratchpad(celsius: f32) -> [u8; 9] {
    let steps = libm::roundf(celsius / CELSIUS_PER_STEP) as i16;
    let [low, high] = steps.to_le_bytes();
    let mut bytes = [low, high, 0x4B, 0x46, CONFIG_12_BITS, 0xFF, 0x10 - (low & 0x0F), 0x10, 0];
    bytes[8] = crc8(&bytes[..8]);
    bytes
}

/// The address of a genuine probe with this serial number, for imitated probes.
pub fn rom(serial: u32) -> ProbeRom {
    let [a, b, c, d] = serial.to_le_bytes();
    let mut bytes = [FAMILY_CODE, a, b, c, d, 0, 0, 0];
    bytes[7] = crc8(&bytes[..7]);
    ProbeRom(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scratchpads as the data sheet and drivers' documentation show them.
    const TWENTY_TWO: [u8; 9] = [0x67, 0x01, 0x4B, 0x46, 0x7F, 0xFF, 0x09, 0x10, 0x3B];
    const POWER_ON: [u8; 9] = [0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10, 0x1C];

    fn with_crc(mut bytes: [u8; 9]) -> [u8; 9] {
        bytes[8] = crc8(&bytes[..8]);
        bytes
    }

    #[test]
    fn crc_of_the_application_note() {
        // Maxim application note 27: address 02 1C B8 01 00 00 00 has the CRC A2.
        assert_eq!(crc8(&[0x02, 0x1C, 0xB8, 0x01, 0x00, 0x00, 0x00]), 0xA2);
        assert_eq!(crc8(&[0; 8]), 0, "this is why an all-zero answer passes");
    }

    #[test]
    fn temperatures_of_the_data_sheet() {
        for (register, expected) in [
            (0x07D0_u16, 125.0),
            (0x0191, 25.0625),
            (0x00A2, 10.125),
            (0x0008, 0.5),
            (0x0000, 0.0),
            (0xFFF8, -0.5),
            (0xFF5E, -10.125),
            (0xFE6F, -25.0625),
            (0xFC90, -55.0),
        ] {
            let [low, high] = register.to_le_bytes();
            let bytes = with_crc([low, high, 0x4B, 0x46, 0x7F, 0xFF, 0x10 - (low & 0x0F), 0x10, 0]);
            assert_eq!(celsius(Some(bytes)), Ok(expected), "{register:#06x}");
        }
    }

    #[test]
    fn recorded_scratchpads() {
        assert_eq!(celsius(Some(with_crc(TWENTY_TWO))), Ok(22.4375));
        assert_eq!(crc8(&POWER_ON[..8]), POWER_ON[8], "the power-on scratchpad as recorded");
        assert_eq!(celsius(Some(POWER_ON)), Err(ProbeFault::PowerOnValue));
    }

    #[test]
    fn faults_are_told_apart() {
        let good = scratchpad(-19.3);
        let mut flipped = good;
        flipped[0] ^= 1;
        let mut config = good;
        config[4] = 0x1F;
        let mut reserved = good;
        reserved[5] = 0;
        let underpowered = with_crc([0xFF, 0x07, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10, 0]);
        assert_eq!(celsius(None), Err(ProbeFault::Missing));
        assert_eq!(celsius(Some([0xFF; 9])), Err(ProbeFault::Missing));
        assert_eq!(celsius(Some([0; 9])), Err(ProbeFault::Shorted));
        assert_eq!(celsius(Some(flipped)), Err(ProbeFault::Crc));
        assert_eq!(celsius(Some(with_crc(config))), Err(ProbeFault::NotADs18b20));
        assert_eq!(celsius(Some(with_crc(reserved))), Err(ProbeFault::NotADs18b20));
        assert_eq!(celsius(Some(underpowered)), Err(ProbeFault::OutOfRange));
        assert_eq!(celsius(Some(good)), Ok(-19.3125));
    }

    #[test]
    fn clones_are_named() {
        let genuine = rom(0x0000_1234);
        assert!(is_valid_rom(genuine));
        assert!(!is_clone(genuine, Some(&scratchpad(-20.0))));
        assert!(!is_clone(genuine, None));
        assert!(is_clone(ProbeRom([0x28, 0xFF, 0x64, 0x02, 0x19, 0xC4, 0x21, 0x3F]), None));
        assert!(!is_clone(genuine, Some(&POWER_ON)), "a genuine probe shows 0C after power-on");
        let mut stuck = scratchpad(-19.9375);
        stuck[6] = 0x0C;
        let stuck = with_crc(stuck);
        assert!(is_clone(genuine, Some(&stuck)));
        let mut family_d = scratchpad(-20.0);
        family_d[7] = 0x66;
        let family_d = with_crc(family_d);
        assert!(is_clone(genuine, Some(&family_d)));
    }

    proptest! {
        #[test]
        fn every_step_reads_back(steps in -880_i16..=2000) {
            prop_assume!(steps != POWER_ON_STEPS);
            let celsius_then = f32::from(steps) * CELSIUS_PER_STEP;
            let bytes = scratchpad(celsius_then);
            prop_assert_eq!(celsius(Some(bytes)), Ok(celsius_then));
            prop_assert!(!is_clone(rom(steps.unsigned_abs().into()), Some(&bytes)));
        }

        #[test]
        fn any_bytes_give_a_fault_or_a_temperature_in_range(bytes in any::<[u8; 9]>()) {
            if let Ok(celsius) = celsius(Some(bytes)) {
                prop_assert!(RANGE_CELSIUS.contains(&celsius));
            }
        }

        #[test]
        fn one_changed_bit_is_never_a_temperature(steps in -880_i16..=2000, byte in 0_usize..9, bit in 0_u8..8) {
            let mut bytes = scratchpad(f32::from(steps) * CELSIUS_PER_STEP);
            bytes[byte] ^= 1 << bit;
            prop_assert!(celsius(Some(bytes)).is_err());
        }
    }
}
