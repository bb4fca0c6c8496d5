//! One board on one serial line.

use async_trait::async_trait;
use coldbench_protocol::{Refusal, Request, Response};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::broadcast;

use super::Cancel;
use crate::domain::{Hello, Mac, Problem, image::Image};

/// One open board. Its line belongs to a thread of its own; the methods are requests to it.
///
/// Dropping it closes the line.
#[async_trait]
pub trait Board: Send + Sync {
    /// Name of the port, as the operator knows it.
    fn port(&self) -> &str;

    /// What is on the line: a running firmware, or the chip's ROM loader. Changes nothing on a board that answers;
    /// without an answer the loader is tried.
    async fn identify(&self) -> Result<Found, BoardError>;

    /// Writes an image and verifies it by hash. Unchanged regions are skipped. Cancel is heard between slices; then
    /// half an image may be left, which [`BoardError::Cancelled`] says. `held_baud` is the speed that held here last
    /// time: where no speed is ordered, nothing faster is tried.
    async fn flash(
        &self,
        image: &Image,
        held_baud: Option<u32>,
        progress: &(dyn Fn(FlashProgress) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<FlashReport, BoardError>;

    /// Starts the firmware and waits for its hello.
    async fn boot(&self, within: Duration) -> Result<Hello, BoardError>;

    /// Asks the running firmware.
    async fn call(&self, request: Request) -> Result<Response, BoardError>;

    /// Offers the board a way to its broker through this computer, or (`None`) takes the offer back, which ends a
    /// connection there is. The board uses it while no network of its own is up. What passes is TLS between board and
    /// broker: this computer forwards bytes to that host and port and to no other. An offer ends with the line, and
    /// when the board is flashed.
    async fn offer_relay(&self, target: Option<RelayTarget>) -> Result<(), BoardError>;

    /// What went through this computer since the line was opened.
    fn relay_traffic(&self) -> RelayTraffic;

    /// The readings that arrive over USB from now on. A slow receiver loses the oldest and is told how many.
    fn readings(&self) -> broadcast::Receiver<Stamped>;

    /// The lines that the firmware writes into its log from now on; the same holds for a slow receiver.
    fn log(&self) -> broadcast::Receiver<String>;
}

/// Opens boards by the name of their port.
#[async_trait]
pub trait Boards: Send + Sync {
    /// Every serial port of the computer, also those that cannot be opened.
    async fn ports(&self) -> Vec<PortInfo>;

    /// Opens a port.
    async fn open(&self, port: &str, options: OpenOptions) -> Result<Box<dyn Board>, BoardError>;
}

/// How a line is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// How the chip is brought into its loader.
    pub reset: Reset,
    /// Speed for flashing; `None` tries a ladder from 921600 down and remembers what held.
    pub flash_baud: Option<u32>,
    /// Flash through the ROM loader, without uploading the faster stub.
    pub no_stub: bool,
}

/// How the chip is brought into its loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// By DTR and RTS, as the usual bridges wire them; a running firmware is asked first.
    #[default]
    Auto,
    /// No reset wires: a running firmware is asked, else the operator presses the button.
    None,
}

/// Where a board may connect to through this computer: its broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayTarget {
    /// Host name, as installed on the board.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for RelayTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What went from board to broker and back through this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayTraffic {
    /// Connections opened.
    pub connections: u32,
    /// Bytes of the board that the broker was given.
    pub to_broker_bytes: u64,
    /// Bytes of the broker that the board was sent.
    pub from_broker_bytes: u64,
    /// Messages of the tunnel that were dropped: they belonged to no connection, or the board did not listen.
    pub dropped: u32,
}

/// What is on the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "found")]
pub enum Found {
    /// A firmware of ours answered.
    Running {
        /// What it says of itself.
        hello: HelloFacts,
    },
    /// The ROM loader answered: a blank board, or one with another firmware.
    Loader {
        /// What the loader says of the chip.
        chip: ChipFacts,
    },
}

impl Found {
    /// The chip's MAC address.
    pub fn mac(&self) -> Mac {
        match self {
            Found::Running { hello } => hello.mac,
            Found::Loader { chip } => chip.mac,
        }
    }

    /// The chip's name.
    pub fn chip(&self) -> &str {
        match self {
            Found::Running { hello } => &hello.chip,
            Found::Loader { chip } => &chip.chip,
        }
    }
}

/// A hello in domain types, fit for record and screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloFacts {
    /// Version of the protocol.
    pub protocol: u8,
    /// Version of the firmware.
    pub firmware: String,
    /// SHA-256 of the app image, hex.
    pub image_sha256: String,
    /// MAC address.
    pub mac: Mac,
    /// Chip.
    pub chip: String,
    /// The thing it holds a certificate for.
    pub thing_name: Option<String>,
    /// Why it started last.
    pub reset_reason: String,
}

impl From<Hello> for HelloFacts {
    fn from(hello: Hello) -> Self {
        HelloFacts {
            protocol: hello.protocol,
            firmware: hello.firmware,
            image_sha256: hello.image_sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            mac: Mac(hello.mac),
            chip: hello.chip,
            thing_name: hello.thing_name,
            reset_reason: hello.reset_reason,
        }
    }
}

/// What the ROM loader says of a chip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipFacts {
    /// Name as espflash writes it: `esp32c3`.
    pub chip: String,
    /// Revision, such as `v0.4`.
    pub revision: String,
    /// MAC address.
    pub mac: Mac,
    /// Size of the flash, bytes.
    pub flash_bytes: u32,
    /// `true` when secure boot or flash encryption is on: this tool must not write then.
    pub secured: bool,
}

/// How far flashing is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashProgress {
    /// The part that is written.
    pub part: String,
    /// What happens now.
    pub phase: FlashPhase,
    /// Bytes of the image that are done, over all parts.
    pub done_bytes: u64,
    /// Bytes of the image in all.
    pub total_bytes: u64,
}

/// What happens while flashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashPhase {
    /// The loader is connected.
    Connect,
    /// A region is compared with what is in flash.
    Compare,
    /// A region is written.
    Write,
    /// A region is verified by its hash.
    Verify,
}

/// What flashing did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlashReport {
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes left as they were, because they were right.
    pub skipped_bytes: u64,
    /// Speed that held.
    pub baud: u32,
    /// `true` when the stub was used.
    pub stub: bool,
    /// How long it took, seconds.
    pub seconds: f64,
    /// The chip that was written.
    pub chip: ChipFacts,
}

/// A reading with the time of its arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// The bytes as the board made them.
    pub payload: Vec<u8>,
    /// When they arrived here.
    pub received: OffsetDateTime,
}

/// A serial port of the computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// Its name, as `--port` takes it.
    pub port: String,
    /// What it seems to be: `ESP32-C3 (USB)`, `CP210x bridge`…; empty when unknown.
    pub guess: String,
    /// USB vendor and product id, as `303a:1001`.
    pub usb_id: Option<String>,
    /// Serial number of the USB device.
    pub usb_serial: Option<String>,
    /// Whether it can be opened.
    pub access: Access,
    /// What to do about it; empty when nothing is.
    pub advice: String,
}

/// Whether a port can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It can.
    Ok,
    /// Another program has it.
    Busy,
    /// The user may not.
    NoPermission,
    /// It is listed but gone or broken.
    Unavailable,
}

/// What went wrong with a board.
#[derive(Debug, Error)]
pub enum BoardError {
    /// There is no such port.
    #[error("There is no port {port}")]
    NoPort {
        /// Its name.
        port: String,
    },
    /// Another program has the port.
    #[error("The port {port} is in use by another program")]
    Busy {
        /// Its name.
        port: String,
    },
    /// The user may not open the port.
    #[error("You have no permission to open the port {port}")]
    NoPermission {
        /// Its name.
        port: String,
    },
    /// The port cannot be opened for another reason.
    #[error("The port {port} could not be opened: {why}")]
    Open {
        /// Its name.
        port: String,
        /// Why.
        why: String,
    },
    /// The line vanished: unplugged, or the bridge died.
    #[error("The board was unplugged")]
    Unplugged,
    /// Neither firmware nor loader answered.
    #[error("The board does not answer")]
    Silent,
    /// The firmware did not say hello in time.
    #[error("The firmware did not start within {seconds} s")]
    NoHello {
        /// How long was waited.
        seconds: u64,
        /// The last the board wrote, for support.
        log: String,
    },
    /// A request was not answered in time.
    #[error("The board did not answer the request \"{request}\" in time")]
    NoAnswer {
        /// The request's name.
        request: &'static str,
    },
    /// What arrives is not our protocol.
    #[error("What the board sends cannot be read ({dropped} broken frames)")]
    Garbage {
        /// Frames dropped.
        dropped: u64,
    },
    /// The firmware refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The firmware answered something else than was asked.
    #[error("The board gave an unexpected answer to \"{request}\"")]
    UnexpectedAnswer {
        /// The request's name.
        request: &'static str,
    },
    /// The chip is not the one the image is for.
    #[error("The board has the chip {found}, but the image is for {wanted}")]
    WrongChip {
        /// The board's.
        found: String,
        /// The image's.
        wanted: String,
    },
    /// Secure boot or flash encryption is on.
    #[error("The board's flash is locked (secure boot or flash encryption)")]
    Secured,
    /// The loader answered but flashing failed on every rung of the ladder.
    #[error("The board could not be flashed: {why}")]
    Flash {
        /// Why the last rung failed.
        why: String,
    },
    /// What was read back is not what was written.
    #[error("The flash does not hold what was written at {address:#x}")]
    Verify {
        /// Where.
        address: u32,
    },
    /// Cancelled; `half_written` says whether the image is incomplete.
    #[error("Cancelled")]
    Cancelled {
        /// `true` when part of the image was written.
        half_written: bool,
    },
}

impl BoardError {
    /// Stable code and advice.
    fn code_and_advice(&self) -> (&'static str, &'static str) {
        match self {
            BoardError::NoPort { .. } => ("port.missing", "Plug the board in and choose the port where it shows"),
            BoardError::Busy { .. } => ("port.busy", "Close the other program that uses the port, then try again"),
            BoardError::NoPermission { .. } => {
                ("port.permission", "Ask who looks after this computer to let you open serial ports")
            }
            BoardError::Open { .. } => ("port.open", "Unplug the board, plug it in again and try another USB cable"),
            BoardError::Unplugged => ("board.unplugged", "Plug the board in again and resume the job"),
            BoardError::Silent => {
                ("board.silent", "Check cable and supply; without reset wires hold BOOT, press RESET, and try again")
            }
            BoardError::NoHello { .. } => ("board.no-hello", "Press RESET; if it stays silent, flash the board again"),
            BoardError::NoAnswer { .. } => ("board.no-answer", "Press RESET on the board and resume the job"),
            BoardError::Garbage { .. } => ("board.garbage", "Try another cable or port; then flash the board again"),
            BoardError::Refused(_) => ("board.refused", "Flash the site's firmware and resume the job"),
            BoardError::UnexpectedAnswer { .. } => ("board.unexpected", "Flash the site's firmware and resume the job"),
            BoardError::WrongChip { .. } => ("board.wrong-chip", "Take an ESP32-C3 board, or the image for this chip"),
            BoardError::Secured => ("board.secured", "Take another board: this one only accepts its maker's firmware"),
            BoardError::Flash { .. } => {
                ("board.flash", "Try another cable or USB port, check the supply, then resume the job")
            }
            BoardError::Verify { .. } => {
                ("board.verify", "Try again more slowly; if it fails again the flash is worn: replace the board")
            }
            BoardError::Cancelled { .. } => ("job.cancelled", "Resume the job to go on, or undo it"),
        }
    }
}

impl From<BoardError> for Problem {
    fn from(error: BoardError) -> Self {
        let (code, advice) = error.code_and_advice();
        let problem = Problem::new(code, error.to_string(), advice);
        match error {
            BoardError::NoPort { .. } => problem.in_terminal("`coldbench ports`"),
            BoardError::NoPermission { .. } => problem.in_terminal("`coldbench ports` names the one command"),
            BoardError::Verify { .. } => problem.in_terminal("--baud 115200"),
            _ => problem,
        }
    }
}
