//! Starts the program: arguments, TLS provider, runtime, the real world or the sandbox, hand-over to a front end.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser;
#[cfg(unix)]
use coldbench::wiring::SandboxHands;
use coldbench::{
    adapters::{log::LogRing, tls},
    cli::{
        self, Arguments, Exit,
        args::{Command, Demo, ResetChoice, Window},
    },
    domain::Problem,
    sandbox::{Sandbox, SandboxOptions, board::PortPair},
    ui::{self, open},
    wiring::Wiring,
};
use tokio::runtime::Runtime;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = start_log();
    tls::install_provider();
    let _ = open::local_offset();
    let exit = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("core")
        .build()
        .map_err(|error| Problem::new("program.start", error.to_string(), "Close other programs and try again"))
        .and_then(|runtime| {
            let exit = run(arguments.command.unwrap_or(Command::Window(Window::default())), &runtime, log);
            // A line that waits for somebody's input cannot be broken off; it must not hold the program.
            runtime.shutdown_background();
            exit
        });
    ExitCode::from(
        exit.unwrap_or_else(|problem| {
            cli::print_problem(&problem);
            Exit::Failed
        })
        .code(),
    )
}

/// What libraries have to say goes to standard error, and only when it is asked for. What the program itself has to say
/// is kept besides, for the support bundle.
fn start_log() -> LogRing {
    let asked = EnvFilter::try_from_env("COLDBENCH_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    let log = LogRing::default();
    let kept = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(log.clone());
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(asked))
        .with(kept.with_filter(EnvFilter::new("warn,coldbench=info")))
        .init();
    log
}

fn run(command: Command, runtime: &Runtime, log: LogRing) -> Result<Exit, Problem> {
    match command {
        Command::Demo(demo) => run_demo(demo, runtime, log),
        Command::Window(window) => {
            let wiring = Wiring::of_user()?.with_ports(window.port).with_files(window.site.site, window.ledger.ledger);
            open_window(Arc::new(wiring.with_log(log)), runtime, false)
        }
        command => Ok(runtime.block_on(cli::run(command, Arc::new(Wiring::of_user()?)))),
    }
}

fn open_window(wiring: Arc<Wiring>, runtime: &Runtime, demo: bool) -> Result<Exit, Problem> {
    let options = ui::app::Options { demo, local: open::local_offset() };
    open::open(wiring, runtime.handle(), options).inspect_err(open::tell)?;
    Ok(Exit::Passed)
}

/// The sandbox: served only, or with a front end on it.
fn run_demo(demo: Demo, runtime: &Runtime, log: LogRing) -> Result<Exit, Problem> {
    let failed = |error: &dyn ToString| {
        Problem::new("sandbox.start", error.to_string(), "Name another folder with --dir, and check the disk")
    };
    // A temporary folder goes with the program; a named one stays.
    let temporary = tempfile::tempdir().map_err(|error| failed(&error))?;
    let dir: PathBuf = demo.dir.unwrap_or_else(|| temporary.path().to_owned());
    let options = SandboxOptions { dir: dir.clone(), seed: demo.seed, boards: demo.boards, pace_baud: demo.pace_baud };
    let lines: Vec<_> = demo.line.into_iter().map(|(board, tool)| PortPair { board, tool }).collect();
    // An imitated board looks at no reset wires, and a named port may have some.
    let reset = if lines.is_empty() { ResetChoice::Auto } else { ResetChoice::None };
    let sandbox = runtime.block_on(Sandbox::start_on(options, &lines)).map_err(|error| failed(&error))?;
    let facts = sandbox.facts();
    if demo.serve {
        return Ok(runtime.block_on(cli::demo::serve(&facts, demo.json)));
    }
    let key = (facts.access_key_id, facts.secret_access_key);
    let wiring = Wiring::in_folder(&dir, facts.site_file, facts.ports.clone(), key).with_log(log);
    #[cfg(unix)]
    let wiring = wiring.with_hands(SandboxHands::of(&sandbox));
    let world = Arc::new(wiring);
    if open::has_display() && !demo.terminal && !demo.json {
        return open_window(world, runtime, true);
    }
    Ok(runtime.block_on(cli::demo::commission_all(&facts.ports, reset, demo.json, world)))
}
