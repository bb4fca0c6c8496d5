//! A depot with a sandbox in it, and the program with its window opened there.

use std::{
    fs,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use coldbench::{
    adapters::tls,
    app::{
        command::Command,
        core::{Core, CoreHandle, CoreOptions},
        run::{Ended, StepState},
        settings::Settings,
        state::AppState,
        station::{Station, What},
        update::JobDetails,
        world::World,
    },
    commission::events::JobOutcome,
    domain::{JobId, ThingName},
    ports::ledger::{JobRecord, StepRecord},
    sandbox::{Sandbox, SandboxOptions, board::BoardControl},
    ui::{
        app::{Link, Options, Window},
        open::CoreLink,
    },
    wiring::{SandboxHands, Wiring},
};
use eframe::egui::{Event, Key, Modifiers, Role, vec2};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use time::UtcOffset;
use tokio::runtime::Runtime;

use crate::words;

/// Nothing takes this long, also where many tests run beside each other on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often the screen is looked at.
const POLL: Duration = Duration::from_millis(20);
/// What the window takes for the time between two frames, so that its messages do not go too early.
const FRAME_SECS: f32 = 0.02;

/// The sandbox in its folder. Outlives the programs that are started in it.
pub struct Depot {
    pub ports: Vec<String>,
    pub key: (String, String),
    sandbox: Sandbox,
    runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Depot {
    /// A depot with this many bare boards, whose jobs prove one reading and measure every second.
    pub fn with_boards(boards: u8) -> Self {
        Depot::start(boards, None)
    }

    /// One bare board on a line of this speed, so that each step lasts long enough to be disturbed.
    pub fn paced(baud: u32) -> Self {
        Depot::start(1, Some(baud))
    }

    fn start(boards: u8, pace_baud: Option<u32>) -> Self {
        tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let runtime = runtime("sandbox");
        let options = SandboxOptions { dir: folder.path().to_owned(), seed: 7, boards, pace_baud };
        let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
        let facts = sandbox.facts();
        let key = (facts.access_key_id, facts.secret_access_key);
        let depot = Depot { ports: facts.ports, key, sandbox, runtime, folder };
        depot.set_site("interval_secs", 1.into());
        depot.set_site("prove_samples", 1.into());
        depot
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A hand on the first board.
    pub fn hand(&self) -> BoardControl {
        self.sandbox.boards()[0].control()
    }

    /// The site profile's text.
    pub fn site_text(&self) -> String {
        fs::read_to_string(self.sandbox.facts().site_file).unwrap()
    }

    /// Changes a key of the site profile, for programs that start after it.
    pub fn set_site(&self, key: &str, value: toml::Value) {
        let mut site: toml::Table = self.site_text().parse().unwrap();
        site.insert(key.to_owned(), value);
        fs::write(self.sandbox.facts().site_file, site.to_string()).unwrap();
    }

    /// Lets a point be taken soon, for programs that start after it: a probe is steady when its last three seconds lie
    /// this close together, °C.
    pub fn set_gate(&self, celsius: f64) {
        let gate = [("stability_secs", toml::Value::from(3)), ("stability_celsius", celsius.into())];
        let gate = gate.map(|(key, value)| (key.to_owned(), value));
        self.set_site("tolerances", toml::Table::from_iter(gate).into());
    }

    /// What the program is wired to here.
    pub fn wiring(&self) -> Wiring {
        let site_file = self.sandbox.facts().site_file;
        let wiring = Wiring::in_folder(self.folder(), site_file, self.ports.clone(), self.key.clone());
        wiring.with_hands(SandboxHands::of(&self.sandbox))
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Starts the program; new boards are not calibrated, and a scan starts a job.
    pub fn open(&self) -> Screen {
        self.open_with(Settings { calibrate: false, start_on_scan: true, sound: false, ..Settings::default() })
    }

    /// Starts the program with these settings.
    pub fn open_with(&self, settings: Settings) -> Screen {
        let mut screen = Screen::open(Arc::new(self.wiring()));
        assert!(screen.core.send(Command::SaveSettings { settings: settings.clone() }));
        screen.wait("the settings", |screen| screen.state().settings.as_ref() == Some(&settings));
        screen
    }
}

/// The program and its window. Ends at once when it is dropped, as a program that is killed.
pub struct Screen {
    harness: Harness<'static, Option<Window>>,
    core: CoreHandle,
    runtime: Option<Runtime>,
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Screen {
    fn open(wiring: Arc<Wiring>) -> Self {
        let runtime = runtime("core");
        let options = CoreOptions { poll_every: Duration::from_millis(300), ..CoreOptions::new(Box::new(|| {})) };
        let (core, updates) = Core::start(wiring, runtime.handle(), options);
        let link = CoreLink { core: core.clone(), updates };
        Screen { harness: window(link), core, runtime: Some(runtime) }
    }

    /// One frame, and a moment for the core.
    fn look(&mut self) {
        self.harness.step();
        thread::sleep(POLL);
    }

    /// Looks until something is so.
    pub fn wait(&mut self, what: &str, is_so: impl Fn(&Screen) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < DEADLINE, "no {what}; on the screen:\n{}", self.text());
            self.look();
        }
    }

    /// Looks until something on the screen has these words in its name.
    pub fn wait_for(&mut self, words: &str) {
        self.wait(words, |screen| screen.shows(words));
    }

    /// Whether something on the screen has these words in its name.
    pub fn shows(&self, words: &str) -> bool {
        self.harness.query_all_by_label_contains(words).next().is_some()
    }

    /// Waits until a button is there and open, and presses it with the mouse.
    pub fn press(&mut self, button: &str) {
        self.wait(&format!("open button {button:?}"), |screen| screen.is_open(button));
        self.harness.query_all_by_role_and_label(Role::Button, button).next().unwrap().click();
        self.look();
        self.look();
    }

    /// Whether a button is there and may be pressed.
    pub fn is_open(&self, button: &str) -> bool {
        let mut found = self.harness.query_all_by_role_and_label(Role::Button, button);
        found.next().is_some_and(|node| !node.accesskit_node().is_disabled())
    }

    /// Types into a field in place of what is in it, again should it have lost the keyboard meanwhile.
    pub fn type_into(&mut self, field: &str, text: &str) {
        self.wait(&format!("field {field:?}"), |screen| screen.field(field).is_some());
        let began = Instant::now();
        while self.typed(field).as_deref() != Some(text) {
            assert!(began.elapsed() < DEADLINE, "{field:?} does not take {text:?}; on the screen:\n{}", self.text());
            if let Some(field) = self.field(field) {
                field.focus();
            }
            self.look();
            self.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
            self.harness.event(Event::Text(text.to_owned()));
            self.look();
            self.look();
        }
    }

    fn typed(&self, field: &str) -> Option<String> {
        self.field(field)?.accesskit_node().value()
    }

    fn field<'a>(&'a self, name: &'a str) -> Option<egui_kittest::Node<'a>> {
        self.harness.query_all_by_role_and_label(Role::TextInput, name).next()
    }

    /// Types and ends with Enter wherever the keyboard is, as a scanner does; waits until a field has the keyboard.
    pub fn scan(&mut self, text: &str) {
        self.wait("field with the keyboard", |screen| screen.harness.ctx.text_edit_focused());
        self.harness.event(Event::Text(text.to_owned()));
        self.key(Key::Enter);
    }

    /// Presses a key.
    pub fn key(&mut self, key: Key) {
        self.harness.key_press(key);
        self.look();
        self.look();
    }

    /// Goes on with Tab until a control of this name has the keyboard.
    pub fn tab_to(&mut self, name: &str) {
        const MOST: usize = 60;
        for _ in 0..MOST {
            let has_keyboard = self.harness.query_all_by_label(name).any(|node| node.is_focused());
            if has_keyboard {
                return;
            }
            self.key(Key::Tab);
        }
        panic!("{name:?} is not reached in {MOST} Tabs; on the screen:\n{}", self.text());
    }

    /// What the window shows.
    pub fn state(&self) -> &AppState {
        self.harness.state().as_ref().unwrap().state()
    }

    /// The station of a port.
    pub fn station(&self, port: &str) -> Option<&Station> {
        self.state().stations.get(port)
    }

    /// Looks until a board is what it is to be.
    pub fn wait_until(&mut self, port: &str, what: &str, is: impl Fn(&What) -> bool) {
        self.wait(what, |screen| screen.station(port).is_some_and(|station| is(&station.is)));
    }

    /// Looks until a job's step has begun.
    pub fn wait_for_step(&mut self, port: &str, step: &str) {
        self.wait(&format!("step {step}"), |screen| {
            let run = screen.station(port).and_then(|station| station.run.as_ref());
            let step = run.and_then(|run| run.steps.iter().find(|other| other.name == step));
            step.is_some_and(|step| step.state != StepState::Waiting)
        });
    }

    /// Looks until a new board is there, and begins its job with a scan.
    pub fn begin(&mut self, port: &str) {
        self.wait_until(port, "new board", |is| *is == What::New);
        self.scan("T001");
    }

    /// Looks until the job at a port has passed and the screen says so.
    pub fn passes(&mut self, port: &str) {
        self.wait_for_end(port, JobOutcome::Passed);
        self.wait_for(words::PASS);
    }

    /// Orders something of the core, as a button would.
    pub fn order(&mut self, command: Command) {
        assert!(self.core.send(command), "the core has room");
    }

    /// Opens a screen of the rail.
    pub fn go_to(&mut self, place: &str) {
        self.harness.get_by_role_and_label(Role::Tab, place).click();
        self.look();
        self.look();
    }

    /// Opens a job in the list of jobs.
    pub fn open_job(&mut self, job: &JobRecord) {
        let began = coldbench::ui::text::utc(job.began);
        let is_its = |name: &str| name.starts_with("Job of truck") && name.ends_with(&began);
        let name = self.text().lines().find(|name| is_its(name)).map(str::to_owned);
        self.press(&name.unwrap_or_else(|| panic!("no job of {began}; on the screen:\n{}", self.text())));
    }

    /// The steps of a job, as recorded.
    pub fn steps(&mut self, job: &JobId) -> Vec<StepRecord> {
        self.order(Command::OpenJob { job: job.clone() });
        self.wait("the job's record", |screen| screen.opened(job).is_some());
        self.opened(job).unwrap().steps.clone()
    }

    fn opened(&self, job: &JobId) -> Option<&JobDetails> {
        self.state().opened.as_ref().filter(|opened| opened.record.job == *job)
    }

    /// How the job at a port ended.
    pub fn ended(&self, port: &str) -> Option<&Ended> {
        self.station(port)?.run.as_ref()?.ended.as_ref()
    }

    /// Looks until the job at a port has ended, which must be like this.
    pub fn wait_for_end(&mut self, port: &str, outcome: JobOutcome) {
        self.wait("end of the job", |screen| screen.ended(port).is_some());
        let ended = self.ended(port).unwrap();
        assert_eq!(ended.outcome, outcome, "{:?}; on the screen:\n{}", ended.problem, self.text());
        self.look();
    }

    /// Every name on the screen, one a line.
    pub fn text(&self) -> String {
        text(&self.harness)
    }
}

/// Whether the sandbox's cloud knows the thing.
pub fn is_in_cloud(depot: &Depot, thing: &ThingName) -> bool {
    let wiring = depot.wiring();
    let site = wiring.site(None).unwrap();
    depot.block_on(async { wiring.cloud(&site).await.unwrap().cloud.thing(thing).await.unwrap().is_some() })
}

/// Every name on a screen, one a line, in the order of a screen reader.
pub fn text(harness: &Harness<'_, Option<Window>>) -> String {
    let names = harness.root().children_recursive().filter_map(|node| {
        let node = node.accesskit_node();
        node.label().or_else(|| node.value())
    });
    names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join("\n")
}

/// A window of the usual size on a link to a core.
pub fn window(link: impl Link + 'static) -> Harness<'static, Option<Window>> {
    let mut link = Some(link);
    let mut harness = Harness::builder().with_size(vec2(1366.0, 688.0)).with_step_dt(FRAME_SECS).build_ui_state(
        move |ui, window: &mut Option<Window>| {
            let context = ui.ctx().clone();
            if let Some(link) = link.take() {
                let options = Options { demo: false, local: UtcOffset::UTC };
                *window = Some(Window::new(&context, Box::new(link), options));
            }
            if let Some(window) = window {
                window.logic(&context);
                window.ui(ui);
            }
        },
        None,
    );
    harness.run_steps(4);
    harness
}

fn runtime(name: &str) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().thread_name(name).build().unwrap()
}
