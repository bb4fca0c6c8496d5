//! The real window on a real screen that nobody looks at: a whole job with keys alone, and a picture of every screen.
//!
//! Needs `Xvfb`, `xdotool` and ImageMagick's `import`. The pictures are kept under `target/screenshots`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test ends where its set-up is wrong")]

mod screen;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use screen::Screen;
use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_coldbench");
/// Longer than any of this takes on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(180);
/// How long keys may take to have an effect before they are sent again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Middle of the first item of the rail, and from one to the next, in pixels.
const RAIL: (i32, i32, i32) = (44, 88, 72);
const SCREENS: [&str; 8] = ["boards", "live", "shadow", "jobs", "site", "check", "settings", "log"];
/// The soft green that the verdict's field is filled with, and a place in it left of the words.
const PASS_FIELD: ([u8; 3], (usize, usize)) = ([0xDA, 0xF1, 0xEB], (150, 360));

#[test]
fn a_truck_is_commissioned_in_the_real_window_with_keys_alone() {
    let folder = tempfile::tempdir().unwrap();
    let screen = Screen::start();
    let _window = Window::open(&screen, folder.path());
    screen.focus("Coldbench", DEADLINE);

    let ledger = folder.path().join("ledger.sqlite");
    commission(&screen, &ledger, "T001");
    wait_until("the job passes", || {
        screen.keep("commission");
        states(&ledger) == ["passed"]
    });
    let (green, place) = PASS_FIELD;
    wait_until("the window shows PASS", || screen.pixel(place) == green);
    screen.keep("pass");

    screen.key("Return");
    wait_until("Enter puts the verdict away", || screen.pixel(place) != green);
    for (number, name) in SCREENS.iter().enumerate() {
        let (x, first, step) = RAIL;
        let before = screen.settled(DEADLINE);
        screen.click(x, first + step * i32::try_from(number).unwrap());
        if number > 0 {
            wait_until(&format!("the screen {name} opens"), || screen.picture() != before);
        }
        screen.settled(DEADLINE);
        screen.keep(name);
    }
}

/// Scans a truck, again until the job has begun: the board may not be recognised yet.
fn commission(screen: &Screen, ledger: &Path, truck: &str) {
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        screen.keep("boards-new");
        screen.key("ctrl+a");
        screen.type_text(truck);
        // The first Enter takes the truck, as a scanner's does; the second one starts.
        screen.key("Return");
        screen.key("Return");
        if within(PATIENCE, || !states(ledger).is_empty()) {
            return;
        }
    }
    panic!("no job begins within {DEADLINE:?}; see {}", screen.folder().display());
}

/// The states of the jobs in the record; none while it is not there.
fn states(ledger: &Path) -> Vec<String> {
    if !ledger.exists() {
        return Vec::new();
    }
    let output = Command::new(BIN).args(["jobs", "--json", "--ledger"]).arg(ledger).output().unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let jobs = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    jobs.map(|job| job["state"].as_str().unwrap_or_default().to_owned()).collect()
}

fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(within(DEADLINE, is_so), "{what}: not within {DEADLINE:?}");
}

fn within(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + limit;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The program with its window; ends with the test.
struct Window(Child);

impl Window {
    fn open(screen: &Screen, folder: &Path) -> Self {
        let mut command = Command::new(BIN);
        command.args(["demo", "--boards", "2", "--dir"]).arg(folder);
        command.env_remove("WAYLAND_DISPLAY").env("DISPLAY", screen.display()).env("LIBGL_ALWAYS_SOFTWARE", "1");
        Window(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where pictures are kept.
fn screenshots() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots")
}
