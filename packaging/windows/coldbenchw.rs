//! Opens Coldbench's window on Windows without a console window beside it.
//!
//! `coldbench.exe` is a console program, so that a terminal waits for it, shows what it prints and gets its exit code.
//! What the start menu leads to is this small program without a console. It starts the other one hidden from the
//! terminal's side, with whatever it was given: nothing for the window itself, a site profile that was opened with it, or
//! a command such as `demo`.
#![cfg_attr(windows, windows_subsystem = "windows")]

use std::{
    env,
    ffi::OsString,
    io,
    path::Path,
    process::{Command, ExitCode},
};

/// `CREATE_NO_WINDOW` (Windows API, process creation flags).
#[cfg(windows)]
const NO_CONSOLE: u32 = 0x0800_0000;

fn main() -> ExitCode {
    // Nobody sees what is printed here. The program itself shows a message where its window cannot be opened.
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn start() -> io::Result<bool> {
    let mut program =
        Command::new(env::current_exe()?.with_file_name("coldbench").with_extension(env::consts::EXE_EXTENSION));
    program.args(arguments(env::args_os().skip(1).collect()));
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut program, NO_CONSOLE);
    Ok(program.status()?.success())
}

/// A site profile alone is opened in the window.
fn arguments(given: Vec<OsString>) -> Vec<OsString> {
    match given.as_slice() {
        [] => vec!["window".into()],
        [file] if Path::new(file).is_file() => vec!["window".into(), "--site".into(), file.clone()],
        _ => given,
    }
}
