//! A serial port of this computer as the board's end of the line.
//!
//! For systems without pseudo-terminals, and for a board that is imitated on another computer: the port is crossed with
//! the one that the tool opens, by a null-modem cable or a pair of virtual ports. Such a line does not tell whether
//! anybody listens at its other end, and its reset wires are not looked at.

use std::{
    io::{self, Read as _, Write as _},
    thread,
    time::Duration,
};

use serialport::SerialPort;

use super::{
    line::{Heard, PIECE},
    rom::RESET_BAUD,
};

/// The port; closed while the board is unplugged.
#[derive(Debug)]
pub(super) struct Com {
    name: String,
    port: Option<Box<dyn SerialPort>>,
}

impl Com {
    /// Opens the port.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let mut com = Com { name: name.to_owned(), port: None };
        com.plug()?;
        Ok(com)
    }

    /// Opens the port again.
    pub(super) fn plug(&mut self) -> io::Result<()> {
        if self.port.is_none() {
            self.port = Some(serialport::new(&self.name, RESET_BAUD).open()?);
        }
        Ok(())
    }

    /// Closes the port.
    pub(super) fn unplug(&mut self) {
        self.port = None;
    }

    /// A line that refuses a rate is one that has none, such as a pair of virtual ports.
    pub(super) fn set_baud(&mut self, baud: u32) {
        if let Some(port) = &mut self.port
            && let Err(error) = port.set_baud_rate(baud)
        {
            tracing::debug!(%error, baud, "the imitated board's line keeps its rate");
        }
    }

    /// Waits for bytes, at most this long.
    pub(super) fn hear(&mut self, timeout: Duration) -> io::Result<Heard> {
        let Some(port) = &mut self.port else {
            thread::sleep(timeout);
            return Ok(Heard::NoClient);
        };
        port.set_timeout(timeout)?;
        let mut bytes = vec![0; PIECE];
        match port.read(&mut bytes) {
            Ok(0) => Ok(Heard::Silence),
            Ok(len) => {
                bytes.truncate(len);
                Ok(Heard::Bytes(bytes))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
                Ok(Heard::Silence)
            }
            Err(error) => Err(error),
        }
    }

    /// `false` when the line did not take it.
    pub(super) fn write(&mut self, bytes: &[u8], patience: Duration) -> bool {
        let Some(port) = &mut self.port else { return false };
        port.set_timeout(patience).is_ok() && port.write_all(bytes).is_ok()
    }
}
