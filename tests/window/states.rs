//! The screen as text for each state a board can be in: what its card is called, what to do next, which action is open.
//! The sentences are in `board_states.txt`.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use coldbench::{
    app::{
        command::Command,
        station::{BoardFacts, What},
        update::Update,
    },
    commission::{
        events::{Event, JobOutcome},
        plan,
    },
    domain::{JobId, Mac, Problem},
    ports::{
        board::{Access, BoardError, PortInfo},
        operator::Question,
    },
    ui::app::Link,
};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use time::OffsetDateTime;

use crate::{
    depot::{text, window},
    words,
};

const PORT: &str = "/dev/ttyUSB0";

/// Actions that a board's state may open.
const ACTIONS: [&str; 8] = [
    words::COMMISSION,
    words::RESUME,
    words::UNDO,
    words::SEE_READINGS,
    words::CALIBRATE_AGAIN,
    words::LOOK_AGAIN,
    "See the job",
    "See the result",
];

/// Words of the chips.
const CHIPS: [&str; 14] = [
    "Looking",
    "Ready",
    "Half done",
    "In service",
    "Not ours",
    "Not confirmed",
    "Blocked",
    "Not plugged in",
    "Needs you",
    "Running",
    "Passed",
    "Failed",
    "Cancelled",
    "Unplugged",
];

/// A core that says what it is told to.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<VecDeque<Update>>>);

impl Link for Script {
    fn order(&mut self, _: Command) -> bool {
        true
    }

    fn next(&mut self) -> Option<Update> {
        self.0.borrow_mut().pop_front()
    }
}

impl Script {
    fn tell(&self, update: Update) {
        self.0.borrow_mut().push_back(update);
    }
}

/// The sentences of every state; a change of them is made here on purpose.
const SENTENCES: &str = include_str!("board_states.txt");

#[test]
fn each_state_of_a_board_has_its_sentences_and_its_actions() {
    let (truck, thing) = ("T001".parse().unwrap(), "truckSensor01".parse().unwrap());
    let silent = Problem::from(BoardError::Silent);
    let found = |is: What| vec![recognised(&is)];
    let barred = |access, advice: &str| {
        let info = PortInfo { access, advice: advice.to_owned(), ..port() };
        let is = What::barred(&info).unwrap();
        vec![Update::Port(info), recognised(&is)]
    };
    let in_loader = Update::Recognised { port: PORT.to_owned(), is: What::New, board: Some(facts(None)) };
    let failed = Problem::from(BoardError::Unplugged);
    let states: [(&str, Vec<Update>); 16] = [
        ("looking", found(What::Looking)),
        ("new", found(What::New)),
        ("in its loader", vec![in_loader]),
        ("half done", found(What::HalfDone { job: JobId::generate(), step_number: 4, of: 10 })),
        ("commissioned", found(What::Commissioned { thing, truck: Some(truck) })),
        ("another depot's", found(What::AnotherDepot { thing: "other-7".to_owned() })),
        ("not confirmed", found(What::Unconfirmed { thing: "other-7".to_owned() })),
        ("busy", barred(Access::Busy, "It is in use by minicom (4711): close that first")),
        ("no permission", barred(Access::NoPermission, "Run `sudo usermod -aG dialout $USER` and log in again")),
        ("unplugged", barred(Access::Unavailable, "")),
        ("silent", found(What::CannotOpen(silent))),
        ("running", run(vec![step_started()])),
        ("asked", run(vec![step_started(), asked()])),
        ("passed", run(vec![ended(JobOutcome::Passed, None)])),
        ("failed", run(vec![step_started(), ended(JobOutcome::Failed, Some(failed))])),
        ("cancelled", run(vec![ended(JobOutcome::Cancelled, None)])),
    ];
    let shown: String = states.into_iter().map(|(name, updates)| format!("{name}\n  {}\n", summary(updates))).collect();
    assert_eq!(shown, SENTENCES, "\nThe screen says:\n{shown}");
}

#[test]
fn a_board_that_is_gone_leaves_an_empty_bench() {
    let script = Script::default();
    plug_in(&script, &What::New);
    let mut harness = window(script.clone());
    assert!(harness.query_all_by_label_contains(words::CARD).next().is_some(), "{}", text(&harness));
    script.tell(Update::Unplugged { port: PORT.to_owned() });
    harness.run_steps(3);
    assert!(harness.query_all_by_label_contains(words::CARD).next().is_none(), "{}", text(&harness));
    harness.get_by_label(words::NO_BOARD);
}

/// The card's name and chip, the bar's sentence, and the actions that are there.
fn summary(updates: Vec<Update>) -> String {
    let script = Script::default();
    plug_in(&script, &What::New);
    updates.into_iter().for_each(|update| script.tell(update));
    let harness = window(script);
    let card = harness.query_all_by_label_contains(words::CARD).next();
    let card = card.unwrap_or_else(|| panic!("no card; on the screen:\n{}", text(&harness)));
    let screen = text(&harness);
    // A port may be called by its whole path or by its end.
    let mut lines = vec![card.accesskit_node().label().unwrap_or_default().replace("/dev/", "")];
    lines.extend(CHIPS.iter().filter(|chip| screen.lines().any(|line| line == **chip)).map(|chip| format!("[{chip}]")));
    lines.extend(screen.lines().find(|line| line.starts_with("esp32c3")).map(str::to_owned));
    // The sentence of the bar follows its actions.
    let is_action = |line: &&str| ACTIONS.contains(line);
    let sentence = screen.lines().skip_while(|line| !is_action(line)).find(|line| !is_action(line));
    lines.extend(sentence.map(str::to_owned));
    lines.extend(ACTIONS.iter().filter_map(|words| action(&harness, words)));
    lines.join("\n  ")
}

fn action<T>(harness: &Harness<'_, T>, words: &str) -> Option<String> {
    let node = harness.query_all_by_role_and_label(eframe::egui::Role::Button, words).next()?;
    let closed = if node.accesskit_node().is_disabled() { " (not open)" } else { "" };
    Some(format!("{words}{closed}"))
}

fn port() -> PortInfo {
    PortInfo {
        port: PORT.to_owned(),
        guess: "ESP32-C3 (USB)".to_owned(),
        usb_id: Some("303a:1001".to_owned()),
        usb_serial: None,
        access: Access::Ok,
        advice: String::new(),
    }
}

fn facts(firmware: Option<&str>) -> BoardFacts {
    let firmware = firmware.map(str::to_owned);
    BoardFacts { mac: Mac([1, 2, 3, 4, 5, 6]), chip: "esp32c3".to_owned(), firmware }
}

fn recognised(is: &What) -> Update {
    Update::Recognised { port: PORT.to_owned(), is: is.clone(), board: Some(facts(Some("1.0.0"))) }
}

fn plug_in(script: &Script, is: &What) {
    script.tell(Update::Port(port()));
    script.tell(recognised(is));
}

/// A job with its plan, and what it tells.
fn run(updates: Vec<Update>) -> Vec<Update> {
    let (job, truck, thing) = (JobId::generate(), "T001".parse().ok(), "truckSensor01".parse().ok());
    let plan = Event::Plan { job, truck, thing, port: Some(PORT.to_owned()), steps: plan::plan(&[]) };
    std::iter::once(told(plan)).chain(updates).collect()
}

fn told(event: Event) -> Update {
    Update::Job { port: Some(PORT.to_owned()), at: OffsetDateTime::now_utc(), event }
}

fn step_started() -> Update {
    told(Event::StepStarted { step: "flash".to_owned(), at: OffsetDateTime::now_utc() })
}

fn asked() -> Update {
    Update::Asked { port: PORT.to_owned(), question: Question::OpenDoor }
}

fn ended(outcome: JobOutcome, problem: Option<Problem>) -> Update {
    let (truck, thing) = ("T001".parse().ok(), "truckSensor01".parse().ok());
    let (job, mac, leftovers) = (JobId::generate(), None, Vec::new());
    told(Event::Finished { job, outcome, thing, truck, mac, problem, leftovers, seconds: 12.0 })
}
