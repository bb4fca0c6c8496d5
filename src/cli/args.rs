//! What the terminal takes. Names and exit codes are a contract: scripts depend on them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    commission::RelayChoice,
    domain::{JobId, ThingName, TruckId},
    ports::board::{OpenOptions, Reset},
};

/// Turn a bare sensor board into a proven member of a refrigerated-truck fleet.
#[derive(Debug, Parser)]
#[command(
    name = "coldbench",
    version,
    about,
    after_help = "Exit codes: 0 passed, 1 failed (board and cloud are as reported), 2 bad usage or bad input, 3 cancelled.\n\n\
                  Examples:\n  coldbench demo\n  coldbench ports\n  coldbench commission --port /dev/ttyUSB0 --truck T001 --site site.toml\n  coldbench jobs"
)]
pub struct Arguments {
    /// What to do; the window opens without one.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Everything the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try everything on an imitated board and cloud; nothing leaves this computer.
    #[command(
        after_help = "Examples:\n  coldbench demo\n  coldbench demo --boards 3\n  coldbench demo --serve --json --dir /tmp/sandbox"
    )]
    Demo(Demo),
    /// Open the window; the same as no command.
    #[command(after_help = "Examples:\n  coldbench window\n  coldbench window --port /dev/ttyUSB0 --site site.toml")]
    Window(Window),
    /// List serial ports: what is on them, whether they can be opened, what to do if not.
    #[command(after_help = "Example:\n  coldbench ports --json")]
    Ports(Json),
    /// Flash and verify a board, and nothing else.
    #[command(
        after_help = "Examples:\n  coldbench flash --port /dev/ttyUSB0\n  coldbench flash --port /dev/ttyUSB0 --image app.bin --address 0x20000"
    )]
    Flash(Flash),
    /// The whole job: flash, identity, cloud, calibration, proof, record.
    #[command(after_help = "Examples:\n  coldbench commission --port /dev/ttyUSB0 --truck T001 --site site.toml\n  \
                            coldbench commission --port COM5 --truck T001 --site site.toml --calibration skip --json")]
    Commission(Commission),
    /// Go on with a job that broke off, failed or was cancelled.
    #[command(after_help = "Example:\n  coldbench resume 01JD5Z8W8K6Q2M3V4X5Y6Z7A8B")]
    Resume(Continue),
    /// Take back what a job did on the board and in the cloud.
    #[command(after_help = "Example:\n  coldbench undo 01JD5Z8W8K6Q2M3V4X5Y6Z7A8B")]
    Undo(Continue),
    /// List the recorded jobs, newest first.
    #[command(after_help = "Example:\n  coldbench jobs --json")]
    Jobs(Jobs),
    /// Show one recorded job with its steps.
    #[command(after_help = "Example:\n  coldbench show 01JD5Z8W8K6Q2M3V4X5Y6Z7A8B --json")]
    Show(Show),
    /// Find what broken-off jobs left in the cloud, and retire it with --apply.
    #[command(after_help = "Examples:\n  coldbench sweep --site site.toml\n  coldbench sweep --site site.toml --apply")]
    Sweep(Sweep),
    /// Show readings as they arrive, over USB or from the cloud.
    #[command(
        after_help = "Examples:\n  coldbench live --port /dev/ttyUSB0 --count 3\n  coldbench live --thing truckSensor01 --site site.toml --json"
    )]
    Live(Live),
    /// Read or change a thing's shadow.
    #[command(
        subcommand,
        after_help = "Examples:\n  coldbench shadow get truckSensor01\n  coldbench shadow set truckSensor01 '{\"interval_secs\":10}'"
    )]
    Shadow(Shadow),
    /// Retire a thing: its certificate, its place in the group, the thing itself.
    #[command(after_help = "Example:\n  coldbench decommission --thing truckSensor01 --site site.toml")]
    Decommission(Decommission),
    /// Check this computer before the shift: clock, login, network, ports, disk.
    #[command(after_help = "Example:\n  coldbench doctor --site site.toml")]
    Doctor(Doctor),
    /// Ask whether there is a newer version: one request, only now, which tells nothing but this version.
    #[command(after_help = "Example:\n  coldbench updates --json")]
    Updates(Updates),
    /// Print the udev rule that lets whoever sits at the computer open the boards' ports.
    #[command(
        hide = true,
        after_help = "Example:\n  coldbench udev-rule | sudo tee /etc/udev/rules.d/70-coldbench.rules"
    )]
    UdevRule,
    /// Write manual pages and shell completions into a folder; packages are made with it.
    #[command(hide = true)]
    Manual(Manual),
}

/// Ask for a newer version.
#[derive(Debug, Args)]
pub struct Updates {
    /// Address to ask instead of the project's own, such as a copy in the depot's network.
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Manual pages and shell completions.
#[derive(Debug, Args)]
pub struct Manual {
    /// Folder to write into, laid out as below `/usr/share`; made when it is missing.
    pub folder: PathBuf,
}

/// Sandbox.
#[derive(Debug, Args)]
pub struct Demo {
    /// Only serve the sandbox until interrupted; the first line tells where everything is.
    #[arg(long)]
    pub serve: bool,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// How many imitated boards.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub boards: u8,
    /// Folder in which the sandbox keeps its state; a new temporary one by default.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Seed of everything random in the sandbox.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Slow the serial lines down to this speed, so that times mean something.
    #[arg(long, value_name = "BAUD")]
    pub pace_baud: Option<u32>,
    /// Work in the terminal, also where there is a display.
    #[arg(long)]
    pub terminal: bool,
    /// Put an imitated board on a serial port that is crossed with the one the tool opens, such as COM20=COM21; may be
    /// given more than once. Needed where the system has no pseudo-terminals (Windows).
    #[arg(long, value_name = "BOARD=TOOL", value_parser = port_pair, conflicts_with = "boards")]
    pub line: Vec<(String, String)>,
}

/// Window.
#[derive(Debug, Default, Args)]
pub struct Window {
    /// A port that the system does not list; may be given more than once.
    #[arg(long)]
    pub port: Vec<String>,
    /// The site profile.
    #[command(flatten)]
    pub site: SiteFile,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
}

/// Print JSON instead of a table.
#[derive(Debug, Args)]
pub struct Json {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A board's line.
#[derive(Debug, Args)]
pub struct Line {
    /// Serial port, such as /dev/ttyUSB0 or COM5.
    #[arg(long)]
    pub port: String,
    /// How the chip enters its loader: by the bridge's wires, or by firmware and button only.
    #[arg(long, value_enum, default_value_t = ResetChoice::Auto)]
    pub reset: ResetChoice,
}

/// How the chip enters its loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResetChoice {
    /// By DTR and RTS where the line has them.
    Auto,
    /// A running firmware is asked; else hold BOOT and press RESET.
    None,
}

impl From<ResetChoice> for Reset {
    fn from(choice: ResetChoice) -> Self {
        match choice {
            ResetChoice::Auto => Reset::Auto,
            ResetChoice::None => Reset::None,
        }
    }
}

/// Flash only.
#[derive(Debug, Args)]
pub struct Flash {
    /// The board's line.
    #[command(flatten)]
    pub line: Line,
    /// Firmware: a folder with manifest.toml, the manifest, or with --address a raw binary. The shipped one by default.
    #[arg(long)]
    pub image: Option<PathBuf>,
    /// Write the raw binary given with --image here (hexadecimal).
    #[arg(long, value_name = "HEX", value_parser = address, requires = "image")]
    pub address: Option<u32>,
    /// Speed; by default a ladder from 921600 down, remembered for port and board.
    #[arg(long)]
    pub baud: Option<u32>,
    /// Use the ROM loader only, without the faster stub.
    #[arg(long)]
    pub no_stub: bool,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
}

impl Flash {
    /// How the line is to be used.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions { reset: self.line.reset.into(), flash_baud: self.baud, no_stub: self.no_stub }
    }
}

/// The whole job.
#[derive(Debug, Args)]
pub struct Commission {
    /// The board's line.
    #[command(flatten)]
    pub line: Line,
    /// Number of the truck.
    #[arg(long)]
    pub truck: TruckId,
    /// The site profile.
    #[command(flatten)]
    pub site: SiteFile,
    /// Name of the thing; by default made from the truck's number as the site profile says.
    #[arg(long)]
    pub thing: Option<ThingName>,
    /// Make the key on this computer instead of on the board.
    #[arg(long)]
    pub host_key: bool,
    /// A file with reference values, the number of an earlier job on this board to put its calibration back, `prompt` to
    /// be asked, or `skip`. Asked on a terminal, skipped without one.
    #[arg(long, value_name = "FILE|JOB|prompt|skip")]
    pub calibration: Option<String>,
    /// Whether the board may reach the cloud through this computer while it is proven: when it has no other way,
    /// always, or never.
    #[arg(long, value_enum, default_value_t = RelayArg::Auto)]
    pub relay: RelayArg,
    /// Speed for flashing; by default a ladder from 921600 down.
    #[arg(long)]
    pub baud: Option<u32>,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
    /// Print JSON lines: one event a line, the plan first.
    #[arg(long)]
    pub json: bool,
}

/// Whether the board may reach the cloud through this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RelayArg {
    /// When the site gives it no network, or when that network does not bring it to the cloud.
    Auto,
    /// From the start; a network of its own that is up still goes first.
    Always,
    /// Not at all.
    Never,
}

impl From<RelayArg> for RelayChoice {
    fn from(choice: RelayArg) -> Self {
        match choice {
            RelayArg::Auto => RelayChoice::Auto,
            RelayArg::Always => RelayChoice::Always,
            RelayArg::Never => RelayChoice::Never,
        }
    }
}

/// Go on with, or take back, a job.
#[derive(Debug, Args)]
pub struct Continue {
    /// Number of the job, from `coldbench jobs`.
    pub job: JobId,
    /// Port of the board, if it has changed.
    #[arg(long)]
    pub port: Option<String>,
    /// The site profile.
    #[command(flatten)]
    pub site: SiteFile,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// List jobs.
#[derive(Debug, Args)]
pub struct Jobs {
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Show a job.
#[derive(Debug, Args)]
pub struct Show {
    /// Number of the job.
    pub job: JobId,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Find leftovers.
#[derive(Debug, Args)]
pub struct Sweep {
    /// Retire what is found, after showing it.
    #[arg(long)]
    pub apply: bool,
    /// The site profile.
    #[command(flatten)]
    pub site: SiteFile,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Show readings.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["port", "thing"]))]
pub struct Live {
    /// Serial port of the board.
    #[arg(long)]
    pub port: Option<String>,
    /// Name of the thing, seen through the cloud.
    #[arg(long)]
    pub thing: Option<ThingName>,
    /// End after this many readings.
    #[arg(long)]
    pub count: Option<u32>,
    /// The site profile.
    #[command(flatten)]
    pub site: SiteFile,
    /// Print the readings as the board sent them.
    #[arg(long)]
    pub json: bool,
}

/// Shadow.
#[derive(Debug, Subcommand)]
pub enum Shadow {
    /// Print the shadow.
    #[command(after_help = "Example:\n  coldbench shadow get truckSensor01 --site site.toml")]
    Get {
        /// Name of the thing.
        thing: ThingName,
        /// The site profile.
        #[command(flatten)]
        site: SiteFile,
    },
    /// Change what is desired.
    #[command(after_help = "Example:\n  coldbench shadow set truckSensor01 '{\"interval_secs\":10}' --site site.toml")]
    Set {
        /// Name of the thing.
        thing: ThingName,
        /// What is desired, a JSON object.
        desired: String,
        /// The site profile.
        #[command(flatten)]
        site: SiteFile,
    },
}

/// Retire a thing.
#[derive(Debug, Args)]
pub struct Decommission {
    /// Name of the thing.
    #[arg(long)]
    pub thing: ThingName,
    /// Port of its board, to erase the credentials there too.
    #[arg(long)]
    pub port: Option<String>,
    /// The site profile.
    #[command(flatten)]
    pub site: SiteFile,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
    /// Print JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// Check this computer.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The site profile.
    #[command(flatten)]
    pub site: SiteFile,
    /// The record.
    #[command(flatten)]
    pub ledger: LedgerFile,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// The site profile.
#[derive(Debug, Default, Args)]
pub struct SiteFile {
    /// Site profile; by default the one in the configuration folder, else built-in values and the environment.
    #[arg(long, value_name = "FILE", env = "COLDBENCH_SITE")]
    pub site: Option<PathBuf>,
}

/// The record.
#[derive(Debug, Default, Args)]
pub struct LedgerFile {
    /// File of the record; by default in the user's data folder.
    #[arg(long, value_name = "FILE", env = "COLDBENCH_LEDGER")]
    pub ledger: Option<PathBuf>,
}

fn port_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((board, tool)) if !board.is_empty() && !tool.is_empty() => Ok((board.to_owned(), tool.to_owned())),
        _ => Err(format!("{text:?} does not name two ports, such as COM20=COM21")),
    }
}

fn address(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u32::from_str_radix(digits, 16).map_err(|_| format!("{text:?} is not a hexadecimal address such as 0x20000"))
}
