use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use eframe::egui::{Role, vec2};
use egui_kittest::{Harness, kittest::Queryable};

use super::*;
use crate::{
    app::{
        live::{Arrived, Path},
        station::What,
    },
    domain::{JobId, Reading},
    ports::board::{Access, PortInfo},
};

const PORT: &str = "/dev/ttyUSB0";

/// A core that is told what to say, and keeps what it was asked.
#[derive(Clone, Default)]
pub(super) struct Script {
    asked: Rc<RefCell<Vec<Command>>>,
    told: Rc<RefCell<VecDeque<Update>>>,
}

impl Link for Script {
    fn order(&mut self, command: Command) -> bool {
        self.asked.borrow_mut().push(command);
        true
    }

    fn next(&mut self) -> Option<Update> {
        self.told.borrow_mut().pop_front()
    }
}

impl Script {
    pub(super) fn tell(&self, update: Update) {
        self.told.borrow_mut().push_back(update);
    }

    pub(super) fn board(&self, port: &str, is: What) {
        self.tell(Update::Port(PortInfo {
            port: port.to_owned(),
            guess: "ESP32-C3 (USB)".to_owned(),
            usb_id: None,
            usb_serial: None,
            access: Access::Ok,
            advice: String::new(),
        }));
        self.tell(Update::Recognised { port: port.to_owned(), is, board: None });
    }

    /// A reading that was measured so long ago.
    fn reading(&self, port: &str, seq: u64, ago_secs: i64) {
        let received = OffsetDateTime::now_utc() - time::Duration::seconds(ago_secs);
        let text = format!(r#"{{"v":1,"seq":{seq},"interval_secs":5,"freezer_celsius":-18.5,"status":"green"}}"#);
        let payload = text.into_bytes();
        let reading = Reading { time: Some(received), ..Reading::parse(&payload).unwrap() };
        let arrived = Box::new(Arrived { path: Path::Usb, reading, payload, received });
        self.tell(Update::Reading { port: port.to_owned(), arrived });
    }
}

fn window(script: &Script) -> Harness<'static, Option<Window>> {
    let script = script.clone();
    let mut harness = Harness::builder().with_size(vec2(1366.0, 688.0)).build_ui_state(
        move |ui, window: &mut Option<Window>| {
            let context = ui.ctx().clone();
            let window = window.get_or_insert_with(|| {
                let options = Options { demo: true, local: UtcOffset::UTC };
                Window::new(&context, Box::new(script.clone()), options)
            });
            window.logic(&context);
            window.ui(ui);
        },
        None,
    );
    harness.run_steps(4);
    harness
}

#[test]
fn a_bare_window_says_what_to_do() {
    let script = Script::default();
    let harness = window(&script);
    harness.get_by_label("No board yet");
    harness.get_by_label("Demo: nothing here is real");
    assert!(script.asked.borrow().contains(&Command::LoadJobs));
}

#[test]
fn a_new_board_is_commissioned_with_a_scan_and_a_press() {
    let script = Script::default();
    let mut harness = window(&script);
    script.board(PORT, What::New);
    harness.run_steps(4);
    let advice = "Scan or type the truck's number to commission it";
    assert_eq!(harness.get_all_by_label(advice).count(), 2, "on the card and beside the action");
    harness.get_by_role_and_label(Role::TextInput, "Truck").type_text("T001");
    harness.run_steps(3);
    harness.get_by_role_and_label(Role::Button, "Commission").click();
    harness.run_steps(3);
    let asked = script.asked.borrow();
    let ordered = asked.iter().any(|command| {
        matches!(command, Command::Commission { port, truck, .. } if port == PORT && truck.as_str() == "T001")
    });
    assert!(ordered, "{asked:?}");
}

#[test]
fn an_undo_is_asked_first() {
    let script = Script::default();
    let mut harness = window(&script);
    let job = JobId::generate();
    script.board(PORT, What::HalfDone { job: job.clone(), step_number: 4, of: 10 });
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Button, "Undo…").click();
    harness.run_steps(3);
    harness.get_by_label("Undo the job?");
    assert!(!script.asked.borrow().contains(&Command::Undo { job: job.clone() }));
    harness.get_by_role_and_label(Role::Button, "Undo").click();
    harness.run_steps(3);
    assert!(script.asked.borrow().contains(&Command::Undo { job }));
}

#[test]
fn every_screen_opens_from_the_rail() {
    let script = Script::default();
    let mut harness = window(&script);
    for (place, _, name) in PLACES {
        harness.get_by_role_and_label(Role::Tab, name).click();
        harness.run_steps(3);
        assert_eq!(harness.state().as_ref().unwrap().view.place, place);
    }
}

/// The scanner's Enter takes the keyboard from the field, which takes it back in the same frame.
#[test]
fn a_scan_starts_the_job_when_that_is_set() {
    let script = Script::default();
    let mut harness = window(&script);
    script.tell(Update::Settings(Settings { start_on_scan: true, ..Settings::default() }));
    script.board(PORT, What::New);
    harness.run_steps(4);
    harness.event(egui::Event::Text("T001".to_owned()));
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(4);
    let asked = script.asked.borrow();
    let is_ordered =
        |command: &Command| matches!(command, Command::Commission { truck, .. } if truck.as_str() == "T001");
    assert!(asked.iter().any(is_ordered), "{asked:?}");
}

/// Plots compare positions, and one that is no number ends a debug build.
#[test]
fn readings_with_a_gap_are_drawn() {
    let script = Script::default();
    let mut harness = window(&script);
    script.board(PORT, What::New);
    for (seq, ago_secs) in [(1, 125), (2, 120), (3, 20), (4, 15)] {
        script.reading(PORT, seq, ago_secs);
    }
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Tab, "Live").click();
    harness.run_steps(4);
    let window = harness.state().as_ref().unwrap();
    assert_eq!((window.view.place, window.state.stations[PORT].live.gaps().count()), (Place::Live, 1));
}

#[test]
fn an_idle_window_does_not_ask_for_frames() {
    let script = Script::default();
    let mut harness = window(&script);
    harness.run_steps(20);
    assert!(delay(&harness) >= Duration::from_secs(1));
    // A board that measures wakes the window with its readings; the window asks for nothing besides.
    script.board(PORT, What::New);
    script.reading(PORT, 1, 0);
    harness.run_steps(20);
    assert!(delay(&harness) >= Duration::from_secs(1));
}

/// When the window wants to be painted again by itself.
fn delay<T>(harness: &Harness<'_, T>) -> Duration {
    harness.output().viewport_output[&egui::ViewportId::ROOT].repaint_delay
}

fn commissioned(script: &Script, port: &str) -> bool {
    let asked = script.asked.borrow();
    asked.iter().any(|command| matches!(command, Command::Commission { port: at, .. } if at == port))
}

#[test]
fn a_scan_takes_the_truck_and_a_second_enter_starts() {
    let script = Script::default();
    let mut harness = window(&script);
    script.board("/dev/ttyUSB0", What::New);
    harness.run_steps(4);
    harness.event(egui::Event::Text("T001".to_owned()));
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    assert!(!commissioned(&script, "/dev/ttyUSB0"), "a scanner's Enter alone starts nothing");
    harness.get_by_label("Press Enter again to commission ttyUSB0 for truck T001");
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    assert!(commissioned(&script, "/dev/ttyUSB0"));
}

#[test]
fn a_scan_starts_the_first_board_that_waits_when_the_settings_say_so() {
    let script = Script::default();
    script.tell(Update::Settings(Settings { start_on_scan: true, ..Settings::default() }));
    let mut harness = window(&script);
    let thing = "truckSensor01".parse().unwrap();
    script.board("/dev/ttyUSB0", What::Commissioned { thing, truck: None });
    script.board("/dev/ttyUSB1", What::New);
    harness.run_steps(4);
    harness.event(egui::Event::Text("T002".to_owned()));
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    assert!(commissioned(&script, "/dev/ttyUSB1"));
}

#[test]
fn an_answer_that_comes_with_its_enter_is_sent_whole() {
    let script = Script::default();
    let mut harness = window(&script);
    script.board("/dev/ttyUSB0", What::New);
    let plan = crate::commission::events::Event::Plan {
        job: JobId::generate(),
        truck: None,
        thing: None,
        port: None,
        steps: Vec::new(),
    };
    let port = "/dev/ttyUSB0".to_owned();
    script.tell(Update::Job { port: Some(port.clone()), at: OffsetDateTime::UNIX_EPOCH, event: plan });
    let question =
        crate::ports::operator::Question::Serial { instrument: "thermometer".to_owned(), last: String::new() };
    script.tell(Update::Asked { port: port.clone(), question });
    harness.state_mut().as_mut().unwrap().view.place = Place::Run;
    harness.run_steps(4);
    harness.event(egui::Event::Text("RT-77".to_owned()));
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    let reply = crate::ports::operator::Reply::Text("RT-77".to_owned());
    assert!(script.asked.borrow().contains(&Command::Answer { port, reply }));
}

#[test]
fn the_tour_follows_what_happens_and_can_be_closed() {
    let script = Script::default();
    let mut harness = window(&script);
    script.board("/dev/ttyUSB0", What::New);
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Button, "Go on").click();
    harness.run_steps(3);
    harness.get_by_label("Type T001, as a scanner would. Then press Commission at the bottom right.");
    let thing = "truckSensor01".parse().unwrap();
    script.tell(Update::Recognised {
        port: "/dev/ttyUSB0".to_owned(),
        is: What::Commissioned { thing, truck: None },
        board: None,
    });
    harness.run_steps(4);
    harness.get_by_label("That was the whole job. The board reports from its truck now.");
    harness.get_by_role_and_label(Role::Button, "Close the tour").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Guided tour").is_none());
}

fn finished(script: &Script, outcome: JobOutcome) {
    let port = Some(PORT.to_owned());
    let at = OffsetDateTime::UNIX_EPOCH;
    let job = JobId::generate();
    let plan = Event::Plan { job: job.clone(), truck: None, thing: None, port: None, steps: Vec::new() };
    let (thing, truck, mac, problem, leftovers) = (None, None, None, None, Vec::new());
    let end = Event::Finished { job, outcome, thing, truck, mac, problem, leftovers, seconds: 1.0 };
    for event in [plan, end] {
        script.tell(Update::Job { port: port.clone(), at, event });
    }
}

#[test]
fn a_verdict_is_heard_unless_the_sound_is_off() {
    for (outcome, sound, heard) in [
        (JobOutcome::Passed, true, Some(Sound::Pass)),
        (JobOutcome::Failed, true, Some(Sound::Fail)),
        (JobOutcome::Cancelled, true, None),
        (JobOutcome::Passed, false, None),
    ] {
        let script = Script::default();
        let mut harness = window(&script);
        script.tell(Update::Settings(Settings { sound, ..Settings::default() }));
        script.board(PORT, What::New);
        finished(&script, outcome);
        harness.run_steps(4);
        let played = script.asked.borrow().iter().find_map(|command| match command {
            Command::Play { sound } => Some(*sound),
            _ => None,
        });
        assert_eq!(played, heard, "{outcome:?}");
    }
}

#[test]
fn a_job_is_cancelled_with_one_press_for_a_usual_reason() {
    let script = Script::default();
    let mut harness = window(&script);
    let port = PORT.to_owned();
    script.board(PORT, What::New);
    let plan = Event::Plan { job: JobId::generate(), truck: None, thing: None, port: None, steps: Vec::new() };
    script.tell(Update::Job { port: Some(port.clone()), at: OffsetDateTime::UNIX_EPOCH, event: plan });
    harness.state_mut().as_mut().unwrap().view.place = Place::Run;
    harness.run_steps(4);
    harness.get_by_role_and_label(Role::Button, "Cancel job…").click();
    harness.run_steps(3);
    harness.get_by_role_and_label(Role::Button, "Wrong board").click();
    harness.run_steps(3);
    assert!(script.asked.borrow().contains(&Command::Cancel { port, reason: "Wrong board".to_owned() }));
    assert!(harness.query_by_label("Cancel the job?").is_none());
}
