//! The chip's loader: entering it, what it says of the chip, leaving it.

use std::{error::Error as _, time::Duration};

use espflash::{
    command::{Command, CommandResponseValue},
    connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation},
    flasher::{Flasher, SpiAttachParams},
    target::Chip,
};
use serialport::{SerialPort, UsbPortInfo};

use super::link::LINK_BAUD;
use crate::ports::board::{BoardError, ChipFacts};

/// `RTC_CNTL_OPTION1_REG` of the ESP32-C3: bit 0 keeps the chip in its loader over software resets. A firmware that
/// was asked for the loader has set it.
const C3_FORCE_DOWNLOAD: u32 = 0x6000_80F4;
/// A loader that is still there after a reset by watchdog answers within this.
const STILL_THERE_WAIT: Duration = Duration::from_millis(250);
/// Answers of the loader come at once or not at all.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// How the chip's reset is reached.
#[derive(Debug, Clone)]
pub(super) enum Wires {
    /// DTR and RTS of the bridge or the chip's own USB.
    Present,
    /// None: the firmware, the watchdog or the operator must do it.
    Absent,
}

/// One way to flash: through stub or ROM loader, at a speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) stub: bool,
    pub(super) baud: u32,
}

/// An operation that failed, with the line it gives back.
pub(super) struct Fault {
    /// Why.
    pub(super) error: BoardError,
    /// The line.
    pub(super) port: Port,
}

/// A loader that answers.
pub(super) struct Loader {
    /// The flasher on it.
    pub(super) flasher: Flasher,
    /// `true` when the stub runs in the chip, `false` for the ROM loader.
    pub(super) stub: bool,
    /// What it says of the chip.
    pub(super) chip: ChipFacts,
}

/// Waits for the loader's answer to a sync. With wires the chip is reset into it; `baud` is the speed at which a
/// stub was left, tried besides the speed after a start.
pub(super) fn enter(mut port: Port, usb: &UsbPortInfo, wires: &Wires, baud: u32) -> Result<Port, Fault> {
    let mut attempts = vec![(ResetBeforeOperation::NoReset, LINK_BAUD)];
    if baud != LINK_BAUD {
        attempts.insert(0, (ResetBeforeOperation::NoReset, baud));
    }
    if matches!(wires, Wires::Present) {
        // Known to work, and quicker than waiting for a loader that does not run.
        attempts = vec![(ResetBeforeOperation::DefaultReset, LINK_BAUD)];
    }
    for (before, baud) in attempts {
        if port.set_baud_rate(baud).is_err() {
            return Err(Fault { error: BoardError::Unplugged, port });
        }
        let mut connection = Connection::new(port, usb.clone(), ResetAfterOperation::NoReset, before, baud);
        let outcome = connection.begin();
        port = connection.into_serial();
        match outcome {
            Ok(()) => return Ok(port),
            Err(error) => tracing::debug!(%error, ?before, baud, "no loader answers"),
        }
    }
    let error = if port.bytes_to_read().is_err() { BoardError::Unplugged } else { BoardError::Silent };
    Err(Fault { error, port })
}

impl Loader {
    /// Connects to a loader that answered a sync and reads the chip. With a way to flash, stub and speed are set up
    /// for it; without, the loader is taken as it is. A stub that runs already is used.
    pub(super) fn connect(port: Port, usb: &UsbPortInfo, way: Option<Rung>) -> Result<Self, Fault> {
        let at = port.baud_rate().unwrap_or(LINK_BAUD);
        let connection = |port, before| Connection::new(port, usb.clone(), ResetAfterOperation::NoReset, before, at);
        let mut probe = connection(port, ResetBeforeOperation::NoReset);
        let seen = match Seen::on(&mut probe) {
            Ok(seen) => seen,
            Err(error) => return Err(Fault { error, port: probe.into_serial() }),
        };
        // A second stub would be loaded over the running one, and a look needs none.
        let as_it_is = seen.stub_runs || way.is_none();
        let (before, chip) = if as_it_is {
            (ResetBeforeOperation::NoResetNoSync, Some(seen.chip))
        } else {
            (ResetBeforeOperation::NoReset, None)
        };
        let stub = seen.stub_runs || way.is_some_and(|way| way.stub);
        let connection = connection(probe.into_serial(), before);
        let mut flasher = match Flasher::try_connect(connection, stub, false, false, chip, None) {
            Ok(flasher) => flasher,
            Err(failed) => {
                let (error, connection) = *failed;
                return Err(Fault { error: flash_error(&error), port: connection.into_serial() });
            }
        };
        match Self::prepare(&mut flasher, as_it_is.then_some(stub), way.map_or(at, |way| way.baud)) {
            Ok(chip) => Ok(Loader { flasher, stub, chip }),
            Err(error) => Err(Fault { error, port: flasher.into_connection().into_serial() }),
        }
    }

    fn prepare(flasher: &mut Flasher, stub_as_it_is: Option<bool>, baud: u32) -> Result<ChipFacts, BoardError> {
        let failed = |error| flash_error(&error);
        if flasher.connection().baud().map_err(failed)? != baud {
            flasher.change_baud(baud).map_err(failed)?;
        }
        if let Some(stub) = stub_as_it_is {
            // What the flasher leaves out then: attaching the flash and asking its size.
            let mut target = flasher.chip().flash_target(SpiAttachParams::default(), stub, false, false);
            target.begin(flasher.connection()).map_err(failed)?;
            if let Some(size) = flasher.flash_detect().map_err(failed)? {
                flasher.set_flash_size(size);
            }
        }
        let info = flasher.device_info().map_err(failed)?;
        let mac = info.mac_address.as_deref().and_then(|mac| mac.parse().ok());
        Ok(ChipFacts {
            chip: info.chip.to_string(),
            revision: info.revision.map(|(major, minor)| format!("v{major}.{minor}")).unwrap_or_default(),
            mac: mac.ok_or_else(|| BoardError::Flash { why: "the chip names no MAC address".into() })?,
            flash_bytes: info.flash_size.size(),
            secured: false,
        })
    }

    /// Gives the line back and leaves the loader running at the speed after a start, where it can.
    pub(super) fn park(mut self) -> Port {
        if self.flasher.connection().baud().is_ok_and(|baud| baud != LINK_BAUD)
            && let Err(error) = self.flasher.change_baud(LINK_BAUD)
        {
            tracing::debug!(%error, "the loader stays at its speed");
        }
        self.flasher.into_connection().into_serial()
    }

    /// Starts what is in flash and gives the line back at the firmware's speed.
    pub(super) fn leave(mut self, wires: &Wires) -> Port {
        let chip = self.flasher.chip();
        let connection = self.flasher.connection();
        if let Err(error) = restart(connection, chip, wires) {
            // The hello that then does not come is reported.
            tracing::debug!(%error, "the chip may not have been reset");
        }
        let mut port = self.flasher.into_connection().into_serial();
        if let Err(error) = port.set_baud_rate(LINK_BAUD) {
            tracing::debug!(%error, "the speed cannot be set");
        }
        port
    }
}

fn restart(connection: &mut Connection, chip: Chip, wires: &Wires) -> Result<(), espflash::Error> {
    if chip == Chip::Esp32c3 {
        connection.write_reg(C3_FORCE_DOWNLOAD, 0, None)?;
    }
    if matches!(wires, Wires::Present) {
        return connection.reset();
    }
    // Only the watchdog's reset reads the boot pins again, which a software reset does not: a chip that was started
    // with the button held would stay in its loader. Where there is no such watchdog the software reset is left.
    if let Err(error) = chip.rtc_wdt_reset(connection) {
        tracing::debug!(%error, "no reset by watchdog");
    }
    let begin = Command::FlashBegin { size: 0, blocks: 0, block_size: 0x400, offset: 0, supports_encryption: false };
    connection.with_timeout(STILL_THERE_WAIT, |connection| connection.command(begin))?;
    connection.write_command(Command::FlashEnd { reboot: true })
}

/// What is seen of a loader before anything is set up.
struct Seen {
    stub_runs: bool,
    chip: Chip,
}

impl Seen {
    /// Asks for a sync, for security and for the chip. The ROM loader answers a sync with a value, the stub with zero.
    fn on(connection: &mut Connection) -> Result<Self, BoardError> {
        let mut ask = |command: Command| {
            (0..2).find_map(|_| connection.with_timeout(ANSWER_WAIT, |connection| connection.command(command)).ok())
        };
        let stub_runs = matches!(ask(Command::Sync), Some(CommandResponseValue::ValueU32(0)));
        // Loaders that do not know security belong to chips this tool refuses later.
        if let Some(CommandResponseValue::Vector(bytes)) = ask(Command::GetSecurityInfo)
            && is_secured(&bytes)
        {
            return Err(BoardError::Secured);
        }
        // As of the stub: then an answer with two and one with four bytes of status are read.
        let chip = connection.detect_chip(true).map_err(|error| flash_error(&error))?;
        Ok(Seen { stub_runs, chip })
    }
}

/// Reads flags and count of flash encryption from the security information (an odd count means encrypted).
fn is_secured(information: &[u8]) -> bool {
    const SECURE_BOOT: u8 = 1 << 0;
    const SECURE_DOWNLOAD: u8 = 1 << 2;
    let flags = information.first().is_some_and(|flags| flags & (SECURE_BOOT | SECURE_DOWNLOAD) != 0);
    flags || information.get(4).is_some_and(|count| count.count_ones() % 2 == 1)
}

/// The flasher's error with its causes, in one sentence.
pub(super) fn flash_error(error: &espflash::Error) -> BoardError {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        cause = inner.source();
    }
    BoardError::Flash { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secure_boot_secure_download_and_encryption_are_seen() {
        let information = |flags: u8, count: u8| [flags, 0, 0, 0, count, 0, 0, 0, 0, 0, 0, 0];
        assert!(!is_secured(&information(0, 0)));
        assert!(!is_secured(&information(0x20, 3)));
        assert!(is_secured(&information(0x01, 0)));
        assert!(is_secured(&information(0x04, 0)));
        assert!(is_secured(&information(0, 1)));
        assert!(is_secured(&information(0, 7)));
        assert!(!is_secured(&[]));
    }
}
