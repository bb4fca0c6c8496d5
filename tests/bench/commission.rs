//! Figures of flashing and of the whole job, side by side with the vendor's flasher on the same imitated board, in one run.
//!
//! `cargo bench --bench commission` prints them with their targets. Nothing here asserts a time.
//! `esptool` is looked for in `target/test-venv` (made by `tests/run`) or in `COLDBENCH_TEST_VENV`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends where its set-up is wrong")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_coldbench");
const LINE_RATE_BAUD: u32 = 921_600;
/// Bits on the line for one byte: start, eight data, stop.
const BITS_PER_BYTE: f64 = 10.0;
const RUNS: usize = 3;

fn main() {
    let esptool = venv().join("bin/esptool");
    assert!(esptool.exists(), "{} is missing: run tests/run once", esptool.display());
    println!("Whole flash of the shipped image, median of {RUNS}, seconds");
    println!("{:<34} {:>9} {:>9} {:>7}", "", "coldbench", "esptool", "ratio");
    for (title, pace) in [("unpaced", None), ("paced at 921600", Some(LINE_RATE_BAUD))] {
        flashing(title, pace, &esptool);
    }
    whole_job();
}

fn venv() -> PathBuf {
    std::env::var_os("COLDBENCH_TEST_VENV").map_or_else(|| PathBuf::from("target/test-venv"), PathBuf::from)
}

fn flashing(title: &str, pace: Option<u32>, esptool: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let mut unchanged = Vec::new();
    for run in 0..RUNS {
        let sandbox = Sandbox::start(&folder.path().join(format!("ours-{run}")), pace);
        ours.push(sandbox.flash());
        unchanged.push(sandbox.flash());
        drop(sandbox);
        let sandbox = Sandbox::start(&folder.path().join(format!("theirs-{run}")), pace);
        theirs.push(sandbox.esptool(esptool));
    }
    let (ours, theirs, unchanged) = (median(ours), median(theirs), median(unchanged));
    println!("{title:<34} {ours:>9.2} {theirs:>9.2} {:>7.2}   (target ≤ 1.00)", ours / theirs);
    println!("{:<34} {unchanged:>9.2} {:>9} {:>7.3}   (target ≤ 0.10 of a full write)", "  unchanged image", "", unchanged / ours);
    if let Some(baud) = pace {
        let line_secs = compressed_bytes() as f64 * BITS_PER_BYTE / f64::from(baud);
        println!("{:<34} {:>9.3} {:>9} {:>7}   (target ≥ 0.9)", "  wire: payload time ÷ flash time", line_secs / ours, "", "");
    }
}

/// What a flasher has to send at least: the image's parts, deflated as the stub takes them.
fn compressed_bytes() -> usize {
    use std::io::Write;
    shipped_parts()
        .iter()
        .map(|(_, file)| {
            let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            deflate.write_all(&fs::read(file).unwrap()).unwrap();
            deflate.finish().unwrap().len()
        })
        .sum()
}

fn shipped_parts() -> Vec<(String, PathBuf)> {
    let folder = Path::new("assets/firmware");
    let manifest: toml::Table = fs::read_to_string(folder.join("manifest.toml")).unwrap().parse().unwrap();
    manifest["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| {
            let address = format!("{:#x}", part["address"].as_integer().unwrap());
            (address, folder.join(part["file"].as_str().unwrap()))
        })
        .collect()
}

fn whole_job() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(&folder.path().join("job"), Some(LINE_RATE_BAUD));
    let flash = sandbox.flash();
    drop(sandbox);
    let sandbox = Sandbox::start(&folder.path().join("job-2"), Some(LINE_RATE_BAUD));
    let mut command = sandbox.command();
    command
        .args(["commission", "--truck", "T001", "--calibration", "skip", "--json", "--port"])
        .arg(&sandbox.port)
        .arg("--site")
        .arg(&sandbox.site)
        .arg("--ledger")
        .arg(sandbox.dir.join("ledger.sqlite"));
    let began = Instant::now();
    let mut job = command.stdout(Stdio::null()).spawn().unwrap();
    let peak_kib = watch_memory(&mut job);
    let seconds = began.elapsed().as_secs_f64();
    println!("\nWhole job without human time (paced at 921600, three readings at 5 s)");
    println!("{:<34} {seconds:>9.2} s   (target ≤ flash {flash:.2} + 15 + 3 = {:.2})", "  job", flash + 18.0);
    println!("{:<34} {:>9.1} MiB (target ≤ 60)", "  peak memory", peak_kib as f64 / 1024.0);
}

/// Waits for the process and returns the most memory it had, KiB (`VmHWM`).
fn watch_memory(process: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0;
    loop {
        if let Ok(text) = fs::read_to_string(&status) {
            let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = high.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
            peak = peak.max(kib);
        }
        if let Some(status) = process.try_wait().unwrap() {
            assert!(status.success(), "the job did not pass");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `coldbench demo --serve` with one board.
struct Sandbox {
    process: Child,
    dir: PathBuf,
    port: String,
    site: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Sandbox {
    fn start(dir: &Path, pace: Option<u32>) -> Self {
        fs::create_dir_all(dir).unwrap();
        let mut command = Command::new(BIN);
        command.args(["demo", "--serve", "--json", "--boards", "1", "--seed", "7", "--dir"]).arg(dir.join("sandbox"));
        if let Some(baud) = pace {
            command.args(["--pace-baud", &baud.to_string()]);
        }
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let facts: Value = serde_json::from_str(&line).expect("the sandbox's first line");
        let text = |key: &str| facts[key].as_str().unwrap().to_owned();
        Sandbox {
            process,
            dir: dir.to_owned(),
            port: facts["ports"][0].as_str().unwrap().to_owned(),
            site: text("site_file").into(),
            environment: vec![
                ("AWS_ACCESS_KEY_ID", text("access_key_id")),
                ("AWS_SECRET_ACCESS_KEY", text("secret_access_key")),
                ("AWS_REGION", text("region")),
            ],
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BIN);
        command.stdin(Stdio::null()).envs(self.environment.iter().cloned());
        command
    }

    fn flash(&self) -> f64 {
        let mut command = self.command();
        command.args(["flash", "--json", "--port", &self.port, "--ledger"]).arg(self.dir.join("ledger.sqlite"));
        timed(&mut command)
    }

    fn esptool(&self, esptool: &Path) -> f64 {
        let mut command = Command::new(esptool);
        command.args(["--chip", "esp32c3", "--port", &self.port, "--baud", &LINE_RATE_BAUD.to_string()]);
        command.args(["--before", "no-reset", "--after", "no-reset", "write-flash"]);
        for (address, file) in shipped_parts() {
            command.arg(address).arg(file);
        }
        timed(&mut command)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn timed(command: &mut Command) -> f64 {
    let began = Instant::now();
    let output = command.output().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stdout));
    seconds
}
