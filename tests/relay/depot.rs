//! A sandbox with one bare board, and the program in the terminal beside it.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use coldbench::{
    adapters::tls,
    app::world::World,
    ports::{board::Boards, broker::Observation},
    sandbox::{Sandbox, SandboxOptions, board::BoardControl},
    wiring::Wiring,
};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Nothing takes this long, also where many tests run beside each other on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);
/// Where the board's readings go.
pub const TOPIC: &str = "dt/coldchain/truckSensor01/readings";

pub struct Depot {
    sandbox: Sandbox,
    runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Depot {
    /// A depot with a network; jobs prove one reading and measure every second.
    pub fn new() -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = SandboxOptions { dir: folder.path().to_owned(), seed: 7, boards: 1, pace_baud: None };
        let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
        let depot = Depot { sandbox, runtime, folder };
        depot.set_site("interval_secs", 1.into());
        depot.set_site("prove_samples", 1.into());
        depot
    }

    /// The same without a network.
    pub fn without_network() -> Self {
        let depot = Depot::new();
        depot.set_site("network", toml::Table::new().into());
        depot
    }

    /// Changes a key of the site profile, for programs that start after it.
    pub fn set_site(&self, key: &str, value: toml::Value) {
        let file = self.sandbox.facts().site_file;
        let mut site: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        site.insert(key.to_owned(), value);
        fs::write(&file, site.to_string()).unwrap();
    }

    pub fn port(&self) -> &str {
        self.sandbox.boards()[0].port().to_str().unwrap()
    }

    /// A hand on the board.
    pub fn hand(&self) -> BoardControl {
        self.sandbox.boards()[0].control()
    }

    /// Host and port of the broker.
    pub fn endpoint(&self) -> (String, u16) {
        let facts = self.sandbox.facts();
        (facts.iot_endpoint, facts.iot_port)
    }

    pub fn boards(&self) -> Arc<dyn Boards> {
        self.wiring().boards()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Waits until something holds.
    pub fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.block_on(self.until(what, holds));
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < DEADLINE, "{what} does not come; the network is {:?}", self.hand().network());
            tokio::time::sleep(POLL).await;
        }
    }

    /// What is published on a topic from now on, as the tool sees it.
    pub fn observe(&self, topic: &str) -> Observation {
        self.block_on(async {
            let wiring = self.wiring();
            let side = wiring.cloud(&wiring.site(None).unwrap()).await.unwrap();
            side.broker.observe(&[topic.to_owned()]).await.unwrap()
        })
    }

    pub fn next(&self, observation: &mut Observation) -> Value {
        let message = self.block_on(async { tokio::time::timeout(DEADLINE, observation.messages.recv()).await });
        serde_json::from_slice(&message.expect("a message in time").unwrap().unwrap().payload).unwrap()
    }

    /// Begins the whole job.
    pub fn commission(&self, more: &[&str]) -> Job {
        let order = ["commission", "--port", self.port(), "--truck", "T001", "--thing", "truckSensor01"];
        self.start(&[&order[..], &["--calibration", "skip", "--json"], more].concat())
    }

    /// Starts the program on site and record of this depot.
    pub fn start(&self, arguments: &[&str]) -> Job {
        let mut child = self.program(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Job { child, lines, seen: Vec::new() }
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    /// What the record says of the proof of the job that these events tell of.
    pub fn proof(&self, events: &[Value]) -> Value {
        let job = events[0]["job"].as_str().unwrap();
        let shown = self.run(&["show", job, "--json"]);
        assert!(shown.status.success(), "{shown:?}");
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        let steps = shown["steps"].as_array().unwrap_or_else(|| panic!("{shown}"));
        let prove = steps.iter().find(|step| step["step"] == "prove").unwrap();
        find(prove, "way").map_or(Value::Null, |way| serde_json::json!({ "way": way }))
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let facts = self.sandbox.facts();
        let mut program = Command::new(env!("CARGO_BIN_EXE_coldbench"));
        program
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("HOME", self.folder.path())
            .env("COLDBENCH_SITE", &facts.site_file)
            .env("COLDBENCH_LEDGER", self.folder.path().join("ledger.sqlite"))
            .env("AWS_ACCESS_KEY_ID", &facts.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &facts.secret_access_key)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        program
    }

    fn wiring(&self) -> Wiring {
        let facts = self.sandbox.facts();
        let key = (facts.access_key_id, facts.secret_access_key);
        Wiring::in_folder(self.folder.path(), facts.site_file, facts.ports, key)
    }
}

/// The first value under this key, however deep.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(key).or_else(|| object.values().find_map(|inner| find(inner, key))),
        Value::Array(list) => list.iter().find_map(|inner| find(inner, key)),
        _ => None,
    }
}

/// A program that tells events. It ends with this value.
pub struct Job {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
}

impl Job {
    /// All events up to the first one like this.
    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        while !self.seen.last().is_some_and(&wanted) {
            let event = self.next().unwrap_or_else(|| panic!("the job has ended: {:?}", self.seen.last()));
            self.seen.push(event);
        }
        self.seen.clone()
    }

    /// All events up to the end. The job limits itself.
    pub fn rest(&mut self) -> Vec<Value> {
        while let Some(event) = self.next() {
            self.seen.push(event);
        }
        self.seen.clone()
    }

    pub fn exit(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("no event: {line}")))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
