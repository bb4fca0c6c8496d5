//! The real window on a real screen that nobody looks at. Once through the toolkit's inspection protocol, with a picture
//! of every screen; once with nothing but a keyboard, as a scanner has it.
//!
//! Needs `Xvfb`, `xdotool` and ImageMagick's `import`. The pictures are kept under `target/screenshots`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test ends where its set-up is wrong")]

mod program;
mod screen;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use eframe::egui::{Key, Role};
use program::Program;
use screen::Screen;
use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_coldbench");
/// Longer than any of this takes on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(180);
/// How long keys may take to have an effect before they are sent again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The screens by their names on the rail, each with words that only it has after one truck passed.
const SCREENS: [(&str, &str); 8] = [
    ("Boards", "Truck"),
    ("Live", "Freezer, °C"),
    ("Shadow", "Whole document"),
    ("Jobs", "1 job"),
    ("Site", "Site profile"),
    ("Check", "Check now"),
    ("Settings", "How it looks"),
    ("Log", "Copy all"),
];
/// The soft green that the verdict's field is filled with, and a place in it left of the words.
const PASS_FIELD: ([u8; 3], (usize, usize)) = ([0xDA, 0xF1, 0xEB], (150, 360));

#[test]
fn a_truck_is_commissioned_and_every_screen_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let screen = Screen::start();
    let mut program = Program::start(&screen, folder.path(), 2);
    program.wait_for("Scan or type the truck's number to commission it");
    program.keep("boards-new");
    program.click(Role::TextInput, "Truck");
    program.type_text("T001");
    program.keep("truck");
    program.click(Role::Button, "Commission");
    // It waits there for three readings, 5 s apart.
    program.wait_for("Step 9 of 10: Prove the way from sensor to cloud and back");
    program.keep("commission");
    program.wait_for("PASS");
    program.keep("pass");
    assert_eq!(states(&folder.path().join("demo/ledger.sqlite")), ["passed"]);
    program.click(Role::Button, "Next board");
    for (name, words) in SCREENS {
        program.click(Role::Tab, name);
        if name == "Shadow" && program.shows("No shadow yet") {
            program.click(Role::Button, "Read");
        }
        program.wait_for(words);
        program.keep(&name.to_lowercase());
    }
    // What is left open and how large it was is there again at the next start.
    program.key(Key::F1);
    program.wait_for("Check now");
    program.resize(1100, 600);
    let kept = folder.path().join("data/coldbench/app.ron");
    let is_kept = || fs::read_to_string(&kept).is_ok_and(|text| text.contains("Check") && text.contains("1100"));
    wait_until("the window's state is kept", is_kept);
    drop(program);
    let mut again = Program::start(&screen, folder.path(), 2);
    again.wait_for("Check now");
    assert_eq!(again.size(), [1100, 600]);
}

#[test]
fn a_truck_is_commissioned_in_the_real_window_with_keys_alone() {
    let folder = tempfile::tempdir().unwrap();
    let screen = Screen::start();
    let _window = Window::open(&screen, folder.path());
    screen.focus("Coldbench", DEADLINE);

    let ledger = folder.path().join("ledger.sqlite");
    commission(&screen, &ledger, "T001");
    wait_until("the job passes", || states(&ledger) == ["passed"]);
    let (green, place) = PASS_FIELD;
    wait_until("the window shows PASS", || screen.pixel(place) == green);
    screen.key("Return");
    wait_until("Enter puts the verdict away", || screen.pixel(place) != green);
}

/// Scans a truck, again until the job has begun: the board may not be recognised yet.
fn commission(screen: &Screen, ledger: &Path, truck: &str) {
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        screen.key("ctrl+a");
        screen.type_text(truck);
        // The first Enter takes the truck, as a scanner's does; the second one starts.
        screen.key("Return");
        screen.key("Return");
        if within(PATIENCE, || !states(ledger).is_empty()) {
            return;
        }
    }
    panic!("no job begins within {DEADLINE:?}");
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
        command.env("HOME", folder).env("XDG_DATA_HOME", folder.join("data"));
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
