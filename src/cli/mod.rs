//! The terminal.

pub mod args;
mod ask;
pub mod demo;
mod job;
mod look;
mod manual;
mod record;
mod report;
mod sweep;

use std::sync::Arc;

pub use args::Arguments;
pub use report::{print_json, print_line, print_problem};

use self::args::Command;
use crate::{app::world::World, commission::events::JobOutcome, domain::Problem};

/// The rule that packages install.
const UDEV_RULE: &str = include_str!("../../packaging/linux/70-coldbench.rules");

/// How the program ends. The numbers are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Passed.
    Passed,
    /// Failed; board and cloud are as reported.
    Failed,
    /// Bad usage or bad input; nothing was done.
    BadInput,
    /// Cancelled.
    Cancelled,
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Passed => 0,
            Exit::Failed => 1,
            Exit::BadInput => 2,
            Exit::Cancelled => 3,
        }
    }
}

impl From<JobOutcome> for Exit {
    fn from(outcome: JobOutcome) -> Self {
        match outcome {
            JobOutcome::Passed => Exit::Passed,
            JobOutcome::Failed => Exit::Failed,
            JobOutcome::Cancelled => Exit::Cancelled,
        }
    }
}

/// Why a command ended before it did anything that has an outcome of its own.
pub(crate) enum Stop {
    /// What the operator gave cannot be used.
    Input(Problem),
    /// Something else failed.
    Failed(Problem),
}

/// A problem with what the operator gave; see [`Stop::Input`].
trait AsInput<T> {
    /// Marks the problem as one of the input.
    fn input(self) -> Result<T, Stop>;
}

impl<T> AsInput<T> for Result<T, Problem> {
    fn input(self) -> Result<T, Stop> {
        self.map_err(Stop::Input)
    }
}

impl<E: Into<Problem>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// Runs one command to its end.
pub async fn run(command: Command, world: Arc<dyn World>) -> Exit {
    let ended = match command {
        Command::Demo(_) | Command::Window(_) => Err(Stop::Input(Problem::new(
            "input.command",
            "Sandbox and window are started by the program itself",
            "Run `coldbench demo` or `coldbench window`",
        ))),
        Command::Ports(args) => look::ports(args, world).await,
        Command::Live(args) => look::live(args, world).await,
        Command::Shadow(args) => look::shadow(args, world).await,
        Command::Doctor(args) => look::doctor(args, world).await,
        Command::Flash(args) => job::flash(args, world).await,
        Command::Commission(args) => job::commission(args, world).await,
        Command::Resume(args) => job::resume(args, world).await,
        Command::Undo(args) => job::undo(args, world).await,
        Command::Decommission(args) => job::decommission(args, world).await,
        Command::Jobs(args) => record::jobs(&args, &world),
        Command::Show(args) => record::show(&args, &world),
        Command::Sweep(args) => sweep::sweep(args, world).await,
        Command::Updates(args) => look::updates(args, world).await,
        Command::UdevRule => {
            print_line(UDEV_RULE.trim_end());
            Ok(Exit::Passed)
        }
        Command::Manual(args) => manual::write(&args.folder),
    };
    match ended {
        Ok(exit) => exit,
        Err(Stop::Input(problem)) => {
            print_problem(&problem);
            Exit::BadInput
        }
        Err(Stop::Failed(problem)) => {
            print_problem(&problem);
            Exit::Failed
        }
    }
}
