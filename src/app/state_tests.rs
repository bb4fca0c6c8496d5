//! What a screen shows, as text, for each state a board and a run can be in.

use serde_json::json;
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{
    run::Run,
    state::AppState,
    station::{BoardFacts, What},
    update::Update,
};
use crate::{
    commission::{
        events::{Event, JobOutcome, PlannedStep, StepOutcome, Unit},
        plan::plan,
    },
    domain::{JobId, Mac, Problem},
    ports::{
        board::{Access, PortInfo},
        operator::Question,
    },
};

const PORT: &str = "/dev/ttyUSB0";
const START: OffsetDateTime = datetime!(2026-11-27 08:00:00 UTC);

fn job() -> JobId {
    JobId::from(ulid::Ulid::from_parts(1_700_000_000_000, 7))
}

fn port(access: Access) -> PortInfo {
    let (guess, advice) = ("ESP32-C3 (USB)".to_owned(), String::new());
    PortInfo { port: PORT.to_owned(), guess, usb_id: Some("303a:1001".to_owned()), usb_serial: None, access, advice }
}

fn plugged_in() -> AppState {
    let mut state = AppState::default();
    state.apply(Update::Port(port(Access::Ok)));
    state
}

fn tell(state: &mut AppState, after_secs: i64, event: Event) {
    let at = START + Duration::seconds(after_secs);
    state.apply(Update::Job { port: Some(PORT.to_owned()), at, event });
}

fn planned(steps: Vec<PlannedStep>) -> Event {
    let (truck, thing) = ("T001".parse().ok(), "truckSensor01".parse().ok());
    Event::Plan { job: job(), truck, thing, port: Some(PORT.to_owned()), steps }
}

fn started(step: &str, after_secs: i64) -> Event {
    Event::StepStarted { step: step.to_owned(), at: START + Duration::seconds(after_secs) }
}

fn finished_step(step: &str, outcome: StepOutcome, problem: Option<Problem>) -> Event {
    Event::StepFinished { step: step.to_owned(), outcome, message: "As told".to_owned(), seconds: 2.0, problem }
}

fn finished(outcome: JobOutcome, problem: Option<Problem>) -> Event {
    let (thing, truck, mac) = ("truckSensor01".parse().ok(), "T001".parse().ok(), Some(Mac([1, 2, 3, 4, 5, 6])));
    Event::Finished { job: job(), outcome, thing, truck, mac, problem, leftovers: Vec::new(), seconds: 42.0 }
}

fn run(state: &AppState) -> &Run {
    state.stations[PORT].run.as_ref().unwrap()
}

#[test]
fn every_state_of_a_board_has_its_words() {
    let thing = "truckSensor01".parse().unwrap();
    let problem = Problem::new("port.busy", "The port is in use", "Close the other program");
    let truck = "T001".parse().ok();
    for (is, sentence, advice) in [
        (What::Looking, "Looking at the board…", "Wait a moment"),
        (What::New, "New board", "Scan or type the truck's number to commission it"),
        (
            What::HalfDone { job: job(), step_number: 4, of: 10 },
            "Half done (step 4 of 10)",
            "Resume the job, or undo it",
        ),
        (
            What::Commissioned { thing, truck },
            "Commissioned as truckSensor01 in truck T001",
            "Nothing needs to be done",
        ),
        (
            What::AnotherDepot { thing: "other-7".to_owned() },
            "Another depot's board, other-7",
            "Decommission it at its own depot before it is used here",
        ),
        (What::CannotOpen(problem), "The port is in use", "Close the other program"),
        (What::Gone, "Not plugged in", "Plug the board in; it is found by itself"),
        (
            What::Unconfirmed { thing: "other-7".to_owned() },
            "Says it is other-7; the cloud has not confirmed it",
            "Sign in and check the network, then look again",
        ),
    ] {
        let mut state = plugged_in();
        state.apply(Update::Recognised { port: PORT.to_owned(), is, board: None });
        let station = &state.stations[PORT];
        assert_eq!((station.headline().as_str(), station.is.advice().as_str()), (sentence, advice));
    }
}

#[test]
fn a_port_that_may_not_be_opened_says_why() {
    let words = |access| What::barred(&port(access)).map(|what| what.sentence());
    assert_eq!(words(Access::Ok), None);
    assert_eq!(words(Access::Busy).unwrap(), "Cannot be opened: another program uses it");
    assert_eq!(words(Access::NoPermission).unwrap(), "Cannot be opened: you have no permission");
    assert_eq!(words(Access::Unavailable).unwrap(), "Not plugged in");
}

#[test]
fn a_run_tells_where_it_is_and_how_it_ended() {
    let mut state = plugged_in();
    tell(&mut state, 0, planned(plan(&[])));
    assert_eq!(run(&state).headline(), "Preparing truckSensor01 in truck T001");
    tell(&mut state, 0, started("identify", 0));
    assert_eq!(run(&state).headline(), "Step 1 of 10: Find out which board this is");
    let question = Question::Serial { instrument: "thermometer".to_owned(), last: String::new() };
    state.apply(Update::Asked { port: PORT.to_owned(), question: question.clone() });
    assert_eq!(run(&state).question, Some(question));
    state.apply(Update::Answered { port: PORT.to_owned() });
    assert_eq!(run(&state).question, None);
    state.apply(Update::Cancelling { port: PORT.to_owned(), reason: "wrong truck".to_owned() });
    assert_eq!(run(&state).headline(), "Cancelling: wrong truck");
    for (outcome, problem, words) in [
        (JobOutcome::Passed, None, "PASS: truckSensor01 in truck T001"),
        (JobOutcome::Cancelled, None, "Cancelled: truckSensor01 in truck T001"),
        (
            JobOutcome::Failed,
            Some(Problem::new("board.silent", "The board does not answer", "Check the cable")),
            "FAIL: The board does not answer",
        ),
    ] {
        tell(&mut state, 42, finished(outcome, problem));
        assert_eq!(run(&state).headline(), words);
    }
    assert_eq!(run(&state).time_left(&state.typical, START), None);
}

#[test]
fn progress_never_goes_back_and_time_left_follows_the_speed() {
    let mut state = plugged_in();
    tell(&mut state, 0, planned(plan(&[])));
    let mut last = 0.0;
    let mut grows = |state: &AppState| {
        let now = run(state).fraction(&state.typical);
        assert!(now >= last, "{now} after {last}");
        last = now;
    };
    for step in ["identify", "preflight"] {
        tell(&mut state, 0, started(step, 0));
        tell(&mut state, 2, finished_step(step, StepOutcome::Skipped, None));
        grows(&state);
    }
    tell(&mut state, 2, started("flash", 2));
    for (secs, done) in [(2, 0), (4, 200_000), (6, 400_000)] {
        let (step, message) = ("flash".to_owned(), String::new());
        tell(&mut state, secs, Event::Progress { step, done, total: 1_000_000, unit: Unit::Bytes, message });
        grows(&state);
    }
    assert_eq!(run(&state).bytes(), Some((400_000, 1_000_000)));
    let now = START + Duration::seconds(6);
    let left = run(&state).time_left(&state.typical, now).unwrap().machine.as_seconds_f64();
    // 600 kB at 100 kB/s, and what the steps after it usually take; the registration runs beside it.
    let after: f64 =
        ["boot", "key", "install", "calibrate", "prove", "seal"].map(|s| state.typical.seconds(s)).iter().sum();
    assert!((left - (6.0 + after)).abs() < 0.01, "{left} instead of {}", 6.0 + after);
}

#[test]
fn a_resumed_job_shows_what_was_done_before() {
    let mut state = plugged_in();
    let mut steps = plan(&[]);
    steps.iter_mut().take(3).for_each(|step| step.done = true);
    tell(&mut state, 0, planned(steps));
    let done = run(&state).steps.iter().filter(|step| step.state.is_over()).count();
    assert_eq!(done, 3);
    assert!(run(&state).fraction(&state.typical) > 0.3);
}

#[test]
fn an_unplugged_board_goes_but_what_was_done_to_it_stays() {
    let mut state = plugged_in();
    state.apply(Update::Unplugged { port: PORT.to_owned() });
    assert!(state.stations.is_empty());
    let mut state = plugged_in();
    tell(&mut state, 0, planned(plan(&[])));
    state.apply(Update::Unplugged { port: PORT.to_owned() });
    assert_eq!(state.stations[PORT].is, What::Gone);
    state.apply(Update::PutAway { port: PORT.to_owned() });
    assert!(state.stations[PORT].run.is_some(), "a running job is not put away");
    tell(&mut state, 9, finished(JobOutcome::Failed, None));
    state.apply(Update::PutAway { port: PORT.to_owned() });
    assert!(state.stations.is_empty());
}

#[test]
fn another_board_begins_with_empty_plots() {
    let mut state = plugged_in();
    let facts = |last| BoardFacts { mac: Mac([0, 0, 0, 0, 0, last]), chip: "esp32c3".to_owned(), firmware: None };
    let payload = json!({ "v": 1, "seq": 1, "status": "green" }).to_string().into_bytes();
    state.apply(Update::Recognised { port: PORT.to_owned(), is: What::New, board: Some(facts(1)) });
    let reading = crate::domain::Reading::parse(&payload).unwrap();
    let arrived = super::live::Arrived { path: super::live::Path::Usb, reading, payload, received: START };
    state.apply(Update::Reading { port: PORT.to_owned(), arrived: Box::new(arrived) });
    state.apply(Update::Recognised { port: PORT.to_owned(), is: What::New, board: Some(facts(1)) });
    assert_eq!(state.stations[PORT].live.rows().len(), 1);
    state.apply(Update::Recognised { port: PORT.to_owned(), is: What::New, board: Some(facts(2)) });
    assert_eq!(state.stations[PORT].live.rows().len(), 0);
}

#[test]
fn a_failed_order_is_a_notice_with_its_problem() {
    let mut state = AppState::default();
    let problem = Problem::new("cloud.no-login", "You are not signed in to the cloud", "Sign in");
    state.apply(Update::Failed { port: None, doing: "Reading the shadow", problem });
    assert_eq!(state.notices[0].text, "Reading the shadow failed: You are not signed in to the cloud");
}
