//! The chip's loader: entering it, what it says of the chip, leaving it.

use std::{error::Error as _, thread, time::Duration};

use espflash::{
    command::{Command, CommandResponseValue},
    connection::{Connection, Port, ResetAfterOperation, ResetBeforeOperation},
    flasher::Flasher,
    target::Chip,
};
use serialport::{SerialPort, UsbPortInfo};

use super::link::LINK_BAUD;
use crate::ports::board::{BoardError, ChipFacts};

/// `RTC_CNTL_OPTION1_REG` of the ESP32-C3: bit 0 keeps the chip in its loader over software resets. A firmware that
/// was asked for the loader has set it.
const C3_FORCE_DOWNLOAD: u32 = 0x6000_80F4;
/// How long a chip may take from a watchdog or software reset to its first sign.
const RESET_WAIT: Duration = Duration::from_millis(250);
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
    /// Connects to a loader that answered a sync, uploads the stub if asked for, changes the speed, reads the chip.
    /// A stub that runs already is used.
    pub(super) fn connect(port: Port, usb: &UsbPortInfo, stub: bool, baud: u32) -> Result<Self, Fault> {
        let at = port.baud_rate().unwrap_or(LINK_BAUD);
        let connection = |port, before| Connection::new(port, usb.clone(), ResetAfterOperation::NoReset, before, at);
        let mut probe = connection(port, ResetBeforeOperation::NoReset);
        let seen = Seen::on(&mut probe);
        if seen.secured {
            return Err(Fault { error: BoardError::Secured, port: probe.into_serial() });
        }
        // A second stub would be loaded over the running one.
        let (before, chip) = match seen.stub_runs.then(|| probe.detect_chip(true)) {
            Some(Ok(chip)) => (ResetBeforeOperation::NoResetNoSync, Some(chip)),
            _ => (ResetBeforeOperation::NoReset, None),
        };
        let connection = connection(probe.into_serial(), before);
        let stub = stub || chip.is_some();
        let mut flasher = match Flasher::try_connect(connection, stub, false, false, chip, None) {
            Ok(flasher) => flasher,
            Err(failed) => {
                let (error, connection) = *failed;
                return Err(Fault { error: flash_error(&error), port: connection.into_serial() });
            }
        };
        match Self::prepare(&mut flasher, chip.is_some(), at, baud) {
            Ok(chip) => Ok(Loader { flasher, stub, chip }),
            Err(error) => Err(Fault { error, port: flasher.into_connection().into_serial() }),
        }
    }

    fn prepare(flasher: &mut Flasher, adopted: bool, at: u32, baud: u32) -> Result<ChipFacts, BoardError> {
        if baud != at {
            flasher.change_baud(baud).map_err(|error| flash_error(&error))?;
        }
        if adopted && let Some(size) = flasher.flash_detect().map_err(|error| flash_error(&error))? {
            flasher.set_flash_size(size);
        }
        let info = flasher.device_info().map_err(|error| flash_error(&error))?;
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
    if chip.rtc_wdt_reset(connection).is_ok() {
        thread::sleep(RESET_WAIT);
    }
    let begin = Command::FlashBegin { size: 0, blocks: 0, block_size: 0x400, offset: 0, supports_encryption: false };
    connection.with_timeout(RESET_WAIT, |connection| connection.command(begin))?;
    connection.write_command(Command::FlashEnd { reboot: true })
}

/// What is seen of a loader before anything is written to it.
struct Seen {
    stub_runs: bool,
    secured: bool,
}

impl Seen {
    /// Asks for the security information. The ROM loader ends an answer with four bytes of status, the stub with two.
    /// Loaders that do not know the question belong to chips this tool refuses later.
    fn on(connection: &mut Connection) -> Self {
        let answer = (0..2).find_map(|_| {
            connection.with_timeout(ANSWER_WAIT, |connection| connection.command(Command::GetSecurityInfo)).ok()
        });
        match answer {
            Some(CommandResponseValue::Vector(bytes)) if bytes.len() >= 5 => {
                const SECURE_BOOT: u8 = 1 << 0;
                const SECURE_DOWNLOAD: u8 = 1 << 2;
                let encrypted = bytes[4].count_ones() % 2 == 1;
                Seen {
                    stub_runs: bytes.len() % 4 == 2,
                    secured: encrypted || bytes[0] & (SECURE_BOOT | SECURE_DOWNLOAD) != 0,
                }
            }
            _ => Seen { stub_runs: false, secured: false },
        }
    }
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
