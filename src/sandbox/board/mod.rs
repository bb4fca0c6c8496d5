//! An imitated truck board behind a pseudo-terminal.
//!
//! It stands on the other side of a serial line: the product opens [`ImitatedBoard::port`] with the adapters that open a
//! real board's port. A bare board waits in the ROM loader ([`rom`]); what is flashed through it boots only if it would
//! on the chip ([`boot`]); the app that runs is the board's own code (`firmware/sensor`) on imitated peripherals
//! ([`app`]), in a truck with a believable freezer ([`physics`]). Once an identity is installed, the board publishes on
//! its own ([`network`]).
//!
//! # What differs from a board on the bench
//! - A pseudo-terminal has no DTR and RTS. A synchronisation packet that arrives while the app runs stands for the
//!   operator pressing BOOT and RESET, so a flasher without reset wires reaches the loader at any time.
//! - A chip with nothing valid in flash prints why and waits in the loader, where a real one prints it again and again.
//! - The rate of a pseudo-terminal is not looked at: a client at the wrong rate is understood. Pacing follows the rate
//!   that client and loader agreed on.
//!
//! # Invariants
//! - Everything but keys follows from the seed.
//! - Two named threads a board, neither of which spins; both end with the [`ImitatedBoard`].

mod app;
mod boot;
mod chip;
mod control;
mod faults;
mod flash;
#[cfg(test)]
pub(crate) mod image_fixture;
mod line;
mod machine;
mod network;
mod peripherals;
mod physics;
mod rom;
mod scene;
mod seed;
mod store;
mod uplink;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use self::{control::Shared, flash::Flash, line::Line, machine::Machine, rom::RESET_BAUD};
pub use self::{
    control::{Activity, BoardControl, NetworkState},
    faults::{BoardFault, BoardFaultKind, FaultParseError},
    physics::Probe,
    scene::{DoorSwitch, ProbePlace, ProbeWire, TrueValues},
    uplink::{TlsError, TlsLine},
};

/// How the board reaches the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImitatedNetwork {
    /// Where a network was installed, it is there, whatever its name: `localhost` is this machine. Where none was, the
    /// board goes through the computer it is plugged into.
    #[default]
    Reachable,
    /// The installed network is not there: a yard without coverage. The computer is the only way.
    None,
}

/// What board to imitate.
#[derive(Debug, Clone)]
pub struct BoardOptions {
    /// Short name, as in the link `tty<name>` and in the names of threads: `Board1`.
    pub name: String,
    /// Folder of this board's files: `<name>.flash.bin` and the link to its device. Made when it is missing.
    pub dir: PathBuf,
    /// MAC, probes, tolerances and weather follow from it.
    pub seed: u64,
    /// Rate that the line is held to, in baud; `None` for as fast as the machine can. The rate that client and board
    /// agreed on holds too, when it is lower.
    pub pace_baud: Option<u32>,
    /// What goes wrong, once each.
    pub faults: Vec<BoardFault>,
    /// Whether the board has a network of its own.
    pub network: ImitatedNetwork,
}

impl BoardOptions {
    /// A board without faults at full speed, with network.
    pub fn new(name: impl Into<String>, dir: impl Into<PathBuf>, seed: u64) -> Self {
        BoardOptions {
            name: name.into(),
            dir: dir.into(),
            seed,
            pace_baud: None,
            faults: Vec::new(),
            network: ImitatedNetwork::default(),
        }
    }
}

/// Why a board could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// Making the folder.
    #[error("the folder {path} of the imitated board could not be made")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Opening the file that stands for the flash chip.
    #[error("the flash file {path} of the imitated board could not be opened")]
    Flash {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Making the pseudo-terminal or the link to it.
    #[error("the serial device {path} of the imitated board could not be made")]
    Line {
        /// The link.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Starting a thread.
    #[error("the imitated board could not start its thread")]
    Thread(#[source] io::Error),
}

/// A running board. It stops when it is dropped; its flash chip stays.
#[derive(Debug)]
pub struct ImitatedBoard {
    port: PathBuf,
    mac: [u8; 6],
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl ImitatedBoard {
    /// Powers a board up.
    ///
    /// # Errors
    /// Its folder, flash file, serial device or thread could not be made.
    pub fn start(options: BoardOptions) -> Result<Self, BoardError> {
        let path = options.dir.clone();
        fs::create_dir_all(&path).map_err(|source| BoardError::Folder { path, source })?;
        let path = options.dir.join(format!("{}.flash.bin", options.name));
        let flash = Flash::open(&path).map_err(|source| BoardError::Flash { path, source })?;
        let port = options.dir.join(format!("tty{}", options.name));
        let line = Line::open(&port, options.pace_baud, RESET_BAUD)
            .map_err(|source| BoardError::Line { path: port.clone(), source })?;
        let mac = chip::Chip::from_seed(options.seed).mac();
        let shared = Arc::new(Shared::new(options.seed));
        let machine = Machine::new(&options, Arc::new(flash), line, shared.clone()).map_err(BoardError::Thread)?;
        let thread = thread::Builder::new()
            .name(format!("board-{}", options.name))
            .spawn(move || machine.run())
            .map_err(BoardError::Thread)?;
        Ok(ImitatedBoard { port, mac, shared, thread: Some(thread) })
    }

    /// The serial device: a link that stays the same when the board is unplugged and plugged in again.
    pub fn port(&self) -> &Path {
        &self.port
    }

    /// Base MAC address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// A hand on the board.
    pub fn control(&self) -> BoardControl {
        BoardControl::new(self.shared.clone())
    }

    /// Powers the board down and waits until its threads have ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(port = %self.port.display(), "the imitated board's thread panicked");
        }
    }
}

impl Drop for ImitatedBoard {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
