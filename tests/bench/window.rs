//! Figures of the window side by side with their targets: frame times with eight live boards, time to the first frame,
//! idle load, memory.
//!
//! `cargo bench --bench window [-- --minutes N]` prints them; `N` is how long the memory with eight boards is watched.
//! Nothing here asserts a time. The program itself is measured on a screen of its own (`Xvfb`, `xdotool`); without them
//! only frames are measured. There OpenGL is drawn by the processor, so load and memory are higher than on a desktop.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends where its set-up is wrong")]

mod window_frames;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_coldbench");
/// How long an idle program is watched.
const IDLE: Duration = Duration::from_secs(30);
/// A program has come to rest after this: boards are recognised, the record is read.
const SETTLE: Duration = Duration::from_secs(10);
/// A window that is not there by then does not come.
const WINDOW_LIMIT: Duration = Duration::from_secs(60);
/// Units of processor time in `/proc`, per second (`USER_HZ`, the same on every Linux).
const TICKS_PER_SEC: f64 = 100.0;

fn main() {
    window_frames::print();
    let tools = ["Xvfb", "xdotool"];
    if let Some(missing) = tools.iter().find(|tool| !is_installed(tool)) {
        println!("\nThe program itself was not measured: {missing} is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let screen = Display::start();
    println!("\nThe program on a screen of its own, drawn by the processor");
    println!("{:<44} {:>10} {:>14}", "", "measured", "target");

    let empty = Sandbox::start(&folder.path().join("empty"), 0);
    let (window, first_frame) = Window::open(&empty, &screen);
    row("window is there after", &format!("{:.0} ms", first_frame.as_secs_f64() * 1e3), "≤ 500 ms");
    row("idle load, no board", &percent(window.idle_load()), "≤ 1 %");
    drop(empty);

    let one = Sandbox::start(&folder.path().join("one"), 1);
    let (window, _) = Window::open(&one, &screen);
    row("idle load, one live board", &percent(window.idle_load()), "≤ 1 %");
    drop(one);

    let eight = Sandbox::start(&folder.path().join("eight"), 8);
    let (mut window, _) = Window::open(&eight, &screen);
    let watched = minutes().map_or(IDLE, |minutes| Duration::from_secs(minutes * 60));
    window.rest(SETTLE);
    row("memory, eight live boards, at first", &mib(window.memory_mib("VmRSS:")), "");
    let load = window.load_over(watched);
    row("load, eight live boards", &percent(load), "");
    let title = format!("memory, eight live boards, after {} s", (SETTLE + watched).as_secs());
    row(&title, &mib(window.memory_mib("VmRSS:")), "≤ 200 MiB");
    // A system that is short of memory takes pages of files back, so the most ever counts too.
    row("memory, eight live boards, at most", &mib(window.memory_mib("VmHWM:")), "≤ 200 MiB");
}

fn mib(amount: f64) -> String {
    format!("{amount:.0} MiB")
}

fn row(what: &str, measured: &str, target: &str) {
    println!("{what:<44} {measured:>10} {target:>14}");
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// `--minutes N` of the command line.
fn minutes() -> Option<u64> {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == "--minutes")?;
    Some(arguments.get(place + 1).and_then(|number| number.parse().ok()).expect("a number after --minutes"))
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// A process that is ended with its owner.
struct Owned(Child);

impl Owned {
    fn start(command: &mut Command) -> Self {
        Owned(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// The first line that it prints.
    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A screen without glass.
struct Display {
    _server: Owned,
    name: String,
}

impl Display {
    fn start() -> Self {
        let mut command = Command::new("Xvfb");
        // Without a reset, a program may follow another one at once.
        command.args(["-displayfd", "1", "-screen", "0", "1366x768x24", "-nolisten", "tcp", "-noreset"]);
        let mut server = Owned::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let number = server.first_line();
        let name = format!(":{}", number.trim().parse::<u32>().expect("the screen's number"));
        Display { _server: server, name }
    }

    /// Whether a window of this process is shown.
    fn shows(&self, process: u32) -> bool {
        let mut search = Command::new("xdotool");
        search.args(["search", "--onlyvisible", "--pid", &process.to_string(), "--name", "Coldbench"]);
        let found = search.env("DISPLAY", &self.name).stderr(Stdio::null()).output().unwrap();
        found.status.success() && !found.stdout.is_empty()
    }
}

/// `coldbench demo --serve` with flashed boards, so that each of them measures.
struct Sandbox {
    _process: Owned,
    dir: PathBuf,
    ports: Vec<String>,
    site: String,
    environment: Vec<(&'static str, String)>,
}

impl Sandbox {
    fn start(dir: &Path, boards: usize) -> Self {
        fs::create_dir_all(dir).unwrap();
        let mut command = Command::new(BIN);
        // A sandbox has one board at least; without any, its port is not named to the window.
        command.args(["demo", "--serve", "--json", "--seed", "7", "--boards", &boards.max(1).to_string(), "--dir"]);
        command.arg(dir.join("sandbox")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Owned::start(&mut command);
        let facts: Value = serde_json::from_str(&process.first_line()).expect("the sandbox's first line");
        let text = |key: &str| facts[key].as_str().unwrap().to_owned();
        let ports = facts["ports"].as_array().unwrap().iter().map(|port| port.as_str().unwrap().to_owned());
        let sandbox = Sandbox {
            _process: process,
            dir: dir.to_owned(),
            ports: ports.take(boards).collect(),
            site: text("site_file"),
            environment: vec![
                ("AWS_ACCESS_KEY_ID", text("access_key_id")),
                ("AWS_SECRET_ACCESS_KEY", text("secret_access_key")),
                ("AWS_REGION", text("region")),
            ],
        };
        sandbox.ports.iter().for_each(|port| sandbox.flash(port));
        sandbox
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BIN);
        command.envs(self.environment.iter().cloned()).env("HOME", &self.dir);
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME").env_remove("WAYLAND_DISPLAY");
        command
    }

    fn ledger(&self) -> PathBuf {
        self.dir.join("ledger.sqlite")
    }

    fn flash(&self, port: &str) {
        let mut command = self.command();
        command.args(["flash", "--json", "--port", port, "--ledger"]).arg(self.ledger()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The program with its window.
struct Window(Owned);

impl Window {
    /// Opens it and says how long that took.
    fn open(sandbox: &Sandbox, screen: &Display) -> (Self, Duration) {
        let mut command = sandbox.command();
        command.args(["window", "--site", &sandbox.site, "--ledger"]).arg(sandbox.ledger());
        for port in &sandbox.ports {
            command.args(["--port", port]);
        }
        command.env("DISPLAY", &screen.name).env("LIBGL_ALWAYS_SOFTWARE", "1").stdout(Stdio::null());
        let began = Instant::now();
        let mut window = Window(Owned::start(&mut command));
        while !screen.shows(window.0.0.id()) {
            window.check_alive();
            assert!(began.elapsed() < WINDOW_LIMIT, "the window did not open");
        }
        (window, began.elapsed())
    }

    /// Share of one core that the program takes while nobody touches it.
    fn idle_load(mut self) -> f64 {
        self.rest(SETTLE);
        self.load_over(IDLE)
    }

    /// Share of one core that the program takes over a time.
    fn load_over(&mut self, time: Duration) -> f64 {
        let (before, began) = (self.processor_secs(), Instant::now());
        self.rest(time);
        (self.processor_secs() - before) / began.elapsed().as_secs_f64()
    }

    /// Lets it be. It must still run afterwards.
    fn rest(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            std::thread::sleep(Duration::from_secs(1).min(time - began.elapsed().min(time)));
            self.check_alive();
        }
    }

    fn check_alive(&mut self) {
        let ended = self.0.0.try_wait().unwrap();
        assert!(ended.is_none(), "the measured program has ended: {ended:?}");
    }

    fn proc_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.0.0.id())).expect("the measured program runs")
    }

    /// Processor time since its start.
    fn processor_secs(&self) -> f64 {
        let stat = self.proc_file("stat");
        // The name in brackets may hold spaces; user and system time are fields 14 and 15 of the whole line.
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        let ticks: f64 =
            after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum();
        ticks / TICKS_PER_SEC
    }

    /// Resident memory, by its key in `/proc`: now, or at most since its start.
    fn memory_mib(&self, key: &str) -> f64 {
        let status = self.proc_file("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }
}
