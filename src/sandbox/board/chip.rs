//! The ESP32-C3 as a loader's client sees it: efuses, a few registers, the SPI controller, the RTC watchdog.
//!
//! Addresses are those of the ESP32-C3 technical reference manual.

use std::{collections::HashMap, time::Duration};

use super::{flash::JEDEC_ID, seed::Seeded};

/// Chip id in images and in the security information.
pub(super) const CHIP_ID: u16 = 5;

const CHIP_MAGIC_REG: u32 = 0x4000_1000;
const CHIP_MAGIC: u32 = 0x1b31_506f;
const UART_DATE_REG: u32 = 0x6000_007c;
const UART_DATE: u32 = 0x2008_2300;
const EFUSE_BLOCKS: std::ops::Range<u32> = 0x6000_882c..0x6000_8930;
const EFUSE_BLOCK1: u32 = 0x6000_8844;

const SPI_CMD: u32 = 0x6000_2000;
const SPI_USR2: u32 = 0x6000_2020;
const SPI_MISO_DLEN: u32 = 0x6000_2028;
const SPI_W0: u32 = 0x6000_2058;
const SPI_CMD_USR: u32 = 1 << 18;
const SPI_RDID: u32 = 0x9f;

const WDT_CONFIG0: u32 = 0x6000_8090;
const WDT_WPROTECT: u32 = 0x6000_80a8;
const WDT_KEY: u32 = 0x50d8_3aa1;
const WDT_ENABLED: u32 = 1 << 31;
/// Longer than any time-out a client sets, so that the answers to its last writes still go out.
const WDT_BITES_AFTER: Duration = Duration::from_millis(250);

/// Registers that a client may write are kept; more than this many different ones are not.
const MAX_WRITTEN: usize = 1024;

/// The chip's registers and efuses.
#[derive(Debug)]
pub(super) struct Chip {
    mac: [u8; 6],
    written: HashMap<u32, u32>,
    watchdog: Option<Duration>,
}

impl Chip {
    /// The chip of this seed: revision v0.4 with 4 MiB of flash inside and a MAC address of its own.
    pub(super) fn from_seed(seed: u64) -> Self {
        Chip { mac: mac_from_seed(seed), written: HashMap::new(), watchdog: None }
    }

    /// Base MAC address from efuse.
    pub(super) fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// What a reset does to the registers.
    pub(super) fn reset(&mut self) {
        self.written.clear();
        self.watchdog = None;
    }

    /// Reads a register; one that nobody knows or wrote reads as zero.
    pub(super) fn read(&self, address: u32) -> u32 {
        match address {
            CHIP_MAGIC_REG => CHIP_MAGIC,
            UART_DATE_REG => UART_DATE,
            address if EFUSE_BLOCKS.contains(&address) => self.efuse(address),
            address => self.written.get(&address).copied().unwrap_or(0),
        }
    }

    /// Writes the bits of a register that the mask selects.
    pub(super) fn write(&mut self, address: u32, value: u32, mask: u32) {
        let value = (self.read(address) & !mask) | (value & mask);
        if self.written.len() < MAX_WRITTEN || self.written.contains_key(&address) {
            self.written.insert(address, value);
        }
        match address {
            SPI_CMD if value & SPI_CMD_USR != 0 => self.run_spi_command(),
            WDT_CONFIG0 if self.read(WDT_WPROTECT) == WDT_KEY => {
                self.watchdog = (value & WDT_ENABLED != 0).then_some(WDT_BITES_AFTER);
            }
            _ => {}
        }
    }

    /// When the RTC watchdog was set since the last call: after which time it resets the chip.
    pub(super) fn take_watchdog(&mut self) -> Option<Duration> {
        self.watchdog.take()
    }

    /// Flash commands sent through the controller's registers. Only the identification has an answer of its own; the
    /// status registers read as ready.
    fn run_spi_command(&mut self) {
        let command = self.read(SPI_USR2) & 0xff;
        let bits = (self.read(SPI_MISO_DLEN) & 0x3ff) + 1;
        let answer = if command == SPI_RDID { JEDEC_ID } else { 0 };
        let kept = if bits >= 32 { answer } else { answer & ((1 << bits) - 1) };
        self.written.insert(SPI_W0, kept);
        self.written.insert(SPI_CMD, 0);
    }

    fn efuse(&self, address: u32) -> u32 {
        let [a, b, c, d, e, f] = self.mac;
        match address.checked_sub(EFUSE_BLOCK1).map(|offset| offset / 4) {
            Some(0) => u32::from_be_bytes([c, d, e, f]),
            Some(1) => u32::from_be_bytes([0, 0, a, b]),
            // Wafer version, minor 4, and flash capacity 1: 4 MiB.
            Some(3) => (4 << 18) | (1 << 27),
            // Flash vendor 1: XMC.
            Some(4) => 1,
            _ => 0,
        }
    }
}

/// An address with the vendor's digits, marked as locally administered so that no real board ever has it.
fn mac_from_seed(seed: u64) -> [u8; 6] {
    let mut mac = [0x62, 0x55, 0xf9, 0, 0, 0];
    Seeded::new(seed, "mac").fill(&mut mac[3..]);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flash_identifies_itself_through_the_registers() {
        let mut chip = Chip::from_seed(1);
        chip.write(SPI_USR2, (7 << 28) | SPI_RDID, u32::MAX);
        chip.write(SPI_MISO_DLEN, 23, u32::MAX);
        chip.write(SPI_CMD, SPI_CMD_USR, u32::MAX);
        assert_eq!(chip.read(SPI_CMD), 0, "the command is done");
        assert_eq!(chip.read(SPI_W0), JEDEC_ID);
    }

    #[test]
    fn efuses_hold_the_mac_and_cannot_be_written() {
        let mut chip = Chip::from_seed(1);
        chip.write(EFUSE_BLOCK1, 0, u32::MAX);
        let [.., c, d, e, f] = chip.mac();
        assert_eq!(chip.read(EFUSE_BLOCK1).to_be_bytes(), [c, d, e, f]);
        assert_ne!(chip.mac(), Chip::from_seed(2).mac());
    }

    #[test]
    fn the_watchdog_needs_its_key() {
        let mut chip = Chip::from_seed(1);
        chip.write(WDT_CONFIG0, WDT_ENABLED, u32::MAX);
        assert_eq!(chip.take_watchdog(), None);
        chip.write(WDT_WPROTECT, WDT_KEY, u32::MAX);
        chip.write(WDT_CONFIG0, WDT_ENABLED, u32::MAX);
        assert_eq!(chip.take_watchdog(), Some(WDT_BITES_AFTER));
    }
}
