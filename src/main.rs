//! Starts the program: arguments, TLS provider, runtime, the real world or the sandbox, hand-over to a front end.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser;
use coldbench::{
    adapters::tls,
    cli::{
        self, Arguments, Exit,
        args::{Command, Demo},
    },
    domain::Problem,
    sandbox::{Sandbox, SandboxOptions},
    wiring::Wiring,
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What libraries have to say goes to standard error, and only when it is asked for.
    let filter = EnvFilter::try_from_env("COLDBENCH_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    tls::install_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("core").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            cli::print_problem(&Problem::new("program.start", error.to_string(), "Close other programs and try again"));
            return ExitCode::from(Exit::Failed.code());
        }
    };
    let exit = match arguments.command {
        Some(Command::Demo(demo)) => runtime.block_on(run_demo(demo)),
        Some(command) => runtime.block_on(run(command)),
        None => {
            let advice = "Run `coldbench --help` to see what there is";
            cli::print_problem(&Problem::new("input.command", "No command was given", advice));
            Exit::BadInput
        }
    };
    // A line that waits for somebody's input cannot be broken off; it must not hold the program.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}

async fn run(command: Command) -> Exit {
    match Wiring::of_user() {
        Ok(wiring) => cli::run(command, Arc::new(wiring)).await,
        Err(problem) => {
            cli::print_problem(&problem);
            Exit::Failed
        }
    }
}

/// The sandbox: served only, or with a front end on it.
async fn run_demo(demo: Demo) -> Exit {
    match demo_in(demo).await {
        Ok(exit) => exit,
        Err(problem) => {
            cli::print_problem(&problem);
            Exit::Failed
        }
    }
}

async fn demo_in(demo: Demo) -> Result<Exit, Problem> {
    // A temporary folder goes with the program; a named one stays.
    let temporary = match demo.dir {
        None => Some(tempfile::tempdir().map_err(|error| start_problem(&error))?),
        Some(_) => None,
    };
    let dir = demo.dir.clone().unwrap_or_else(|| temporary.as_ref().map_or_else(PathBuf::new, |dir| dir.path().to_owned()));
    let options = SandboxOptions { dir: dir.clone(), seed: demo.seed, boards: demo.boards, pace_baud: demo.pace_baud };
    let sandbox = Sandbox::start(options).await.map_err(|error| start_problem(&error))?;
    let facts = sandbox.facts();
    if demo.serve {
        return Ok(cli::demo::serve(&facts, demo.json).await);
    }
    let key = (facts.access_key_id.clone(), facts.secret_access_key.clone());
    let world = Arc::new(Wiring::in_folder(&dir, facts.site_file.clone(), facts.ports.clone(), key));
    Ok(cli::demo::commission_all(&facts.ports, demo.json, world).await)
}

fn start_problem(error: &impl ToString) -> Problem {
    Problem::new("sandbox.start", error.to_string(), "Name another folder with --dir, and check the disk")
}
