//! States of the window that are looked at: what the core has told, and what is open.

use std::sync::Arc;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::super::tests::Script;
use crate::{
    app::{
        live::{Arrived, Path},
        station::{BoardFacts, What},
        update::{JobDetails, SiteView, Update},
    },
    commission::{
        events::{Event, JobOutcome, Sensed, SensedProbe, Steadiness, StepOutcome, Unit},
        plan,
    },
    domain::{JobId, Mac, Problem, Reading, ThingName, finding::Finding, shadow::Shadow, site::Site, thing::Login},
    ports::{
        ledger::{JobKind, JobRecord, JobState, StepEnd, StepRecord},
        operator::Question,
    },
};

/// When everything in a scene happened that is shown with its time.
const AT: OffsetDateTime = datetime!(2026-11-27 08:00:00 UTC);
const JOB: &str = "01M8E1V6AQM1F8EVZXJA5H9VHS";
const WARM_PROBE: &str = "28a1b2c3d4e5f601";
const COLD_PROBE: &str = "28a1b2c3d4e5f602";

/// The port of the board that a scene is about.
pub const PORT: &str = "/dev/ttyUSB0";

fn job() -> JobId {
    JOB.parse().unwrap()
}

fn thing(number: u8) -> ThingName {
    format!("truckSensor{number:02}").parse().unwrap()
}

fn problem() -> Problem {
    let sentence = "The board does not answer after its restart";
    Problem::new("board.no_hello", sentence, "Check the cable, press RESET on the board, then press Try again")
}

/// A board in every state that it can be in.
pub fn every_board(script: &Script) {
    let busy = Problem::new("port.busy", "/dev/ttyUSB6 is in use by another program", "Close the other program");
    let states = [
        What::New,
        What::HalfDone { job: job(), step_number: 4, of: 10 },
        What::Commissioned { thing: thing(3), truck: "T003".parse().ok() },
        What::AnotherDepot { thing: "northDepotSensor17".to_owned() },
        What::Looking,
        What::Commissioned { thing: thing(6), truck: None },
        What::CannotOpen(busy),
    ];
    for (number, is) in states.into_iter().enumerate() {
        board(script, number as u8, is);
    }
    script.tell(Update::Jobs(Arc::new(record(24))));
}

fn board(script: &Script, number: u8, is: What) {
    let port = format!("/dev/ttyUSB{number}");
    script.board(&port, is.clone());
    let facts = BoardFacts { mac: Mac([0x40, 0x4c, 0xca, 0, 0, number]), chip: "esp32c3".to_owned(), firmware: None };
    let facts = (!matches!(is, What::Looking | What::CannotOpen(_))).then_some(facts);
    script.tell(Update::Recognised { port, is, board: facts });
}

/// A port as a sandbox or a rack names it: long.
pub fn long_port(script: &Script) {
    for number in 1..3 {
        let port = format!("/home/technician/.local/share/coldbench/sandbox/boards/board-{number}/ttyBoard{number}");
        script.board(&port, What::New);
    }
}

/// Two boards in service that measure, with their cloud's side.
pub fn in_service(script: &Script) {
    for number in 0..2 {
        board(script, number, What::Commissioned { thing: thing(number + 1), truck: "T001".parse().ok() });
        let now = OffsetDateTime::now_utc();
        for seq in 0..120 {
            // Two minutes without a reading, and one that came late.
            if !(40..64).contains(&seq) {
                script.tell(reading(number, seq, now - Duration::seconds((120 - i64::from(seq)) * 5), seq == 80));
            }
        }
    }
    script.tell(Update::Watching { thing: thing(1) });
    script.tell(Update::Shadow { thing: thing(1), shadow: Some(Box::new(shadow(10))) });
}

fn reading(number: u8, seq: u32, at: OffsetDateTime, late: bool) -> Update {
    let swing = (f64::from(seq) / 12.0).sin();
    let payload = json!({
        "v": 1, "seq": seq, "interval_secs": 5, "freezer_celsius": -20.4 + 1.5 * swing, "outside_celsius": 18.2,
        "supply_volts": 13.4 + 0.2 * swing, "supply_min_volts": 12.1, "door_open": false, "door_openings": 1,
        "status": "amber", "alerts": ["supply_low"], "late": late,
    });
    let payload = payload.to_string().into_bytes();
    let reading = Reading { time: Some(at), ..Reading::parse(&payload).unwrap() };
    // The last one comes from the future, so that it does not grow old while a slow machine looks at it.
    let ahead = if seq == 119 { Duration::minutes(10) } else { Duration::milliseconds(120) };
    let arrived = Box::new(Arrived { path: Path::Usb, reading, payload, received: at + ahead });
    Update::Reading { port: format!("/dev/ttyUSB{number}"), arrived }
}

fn shadow(interval_secs: u16) -> Shadow {
    let document = json!({
        "state": {
            "reported": {
                "interval_secs": 5, "firmware": "0.1.0",
                "thresholds": { "freezer_warning_celsius": -18.0, "supply_warning_volts": 11.8 },
                "reading": { "freezer_celsius": -20.4, "supply_volts": 13.4, "door_open": false, "status": "green" },
            },
            "desired": { "interval_secs": interval_secs }, "delta": { "interval_secs": interval_secs },
        },
        "version": 7, "timestamp": AT.unix_timestamp(),
    });
    serde_json::from_value(document).unwrap()
}

/// Somebody else changed the shadow meanwhile.
pub fn conflict(script: &Script) {
    in_service(script);
    let mine = json!({ "interval_secs": 20, "thresholds": { "freezer_warning_celsius": -17.5 } });
    script.tell(Update::ShadowConflict { thing: thing(1), mine, theirs: Box::new(shadow(30)) });
}

/// A job that has come to a step, counted from 0.
fn run_to(script: &Script, step: usize) {
    board(script, 0, What::New);
    let steps = plan::plan(&[]);
    let (truck, thing) = ("T001".parse().ok(), Some(thing(1)));
    tell(script, Event::Plan { job: job(), truck, thing, port: Some(PORT.to_owned()), steps: steps.clone() });
    for planned in &steps[..step] {
        start(script, &planned.step);
        end(script, &planned.step, StepOutcome::Done, None);
    }
    start(script, &steps[step].step);
}

fn tell(script: &Script, event: Event) {
    script.tell(Update::Job { port: Some(PORT.to_owned()), at: AT, event });
}

fn start(script: &Script, step: &str) {
    tell(script, Event::StepStarted { step: step.to_owned(), at: AT });
}

fn end(script: &Script, step: &str, outcome: StepOutcome, problem: Option<Problem>) {
    let message = if step == "calibrate" { "The board is not calibrated" } else { "" }.to_owned();
    tell(script, Event::StepFinished { step: step.to_owned(), outcome, message, seconds: 1.5, problem });
}

fn finish(script: &Script, outcome: JobOutcome, problem: Option<Problem>) {
    let (thing, truck, leftovers) = (Some(thing(1)), "T001".parse().ok(), Vec::new());
    tell(script, Event::Finished { job: job(), outcome, thing, truck, mac: None, problem, leftovers, seconds: 13.6 });
}

/// The firmware is being written.
pub fn flashing(script: &Script) {
    run_to(script, 2);
    let message = "Writing the firmware".to_owned();
    tell(script, Event::Progress { step: "flash".into(), done: 140_000, total: 352_000, unit: Unit::Bytes, message });
}

/// A truck that passed.
pub fn passed(script: &Script) {
    run_to(script, 9);
    end(script, "seal", StepOutcome::Done, None);
    finish(script, JobOutcome::Passed, None);
}

/// A job that failed.
pub fn failed(script: &Script) {
    run_to(script, 3);
    end(script, "boot", StepOutcome::Failed, Some(problem()));
    finish(script, JobOutcome::Failed, Some(problem()));
}

/// A job that asks something, with what the sensors say.
pub fn asks(script: &Script, question: Question) {
    run_to(script, 7);
    script.tell(Update::Asked { port: PORT.to_owned(), question });
    for second in 0..70 {
        let at = OffsetDateTime::now_utc() - Duration::seconds(70 - second);
        let celsius = -20.1 + 3.0 * (-(second as f64) / 12.0).exp();
        let probe = |rom: &str, celsius| SensedProbe { rom: rom.to_owned(), celsius: Some(celsius), fault: None };
        let sensed = Sensed {
            probes: vec![probe(COLD_PROBE, celsius), probe(WARM_PROBE, 18.4)],
            supply_volts: Some(12.31),
            door_high: true,
            door_raw_edges: 9,
            door_edges: 1,
            steadiness: Some(Steadiness {
                probe: COLD_PROBE.to_owned(),
                watched_secs: 60,
                needed_secs: 60,
                band_celsius: 0.1,
                is_steady: true,
                words: "Steady for 60 s".to_owned(),
            }),
        };
        let event = Event::Sensed { step: "calibrate".to_owned(), sensed };
        script.tell(Update::Job { port: Some(PORT.to_owned()), at, event });
    }
}

/// The questions of a calibration.
pub fn questions() -> [(&'static str, Question); 6] {
    let probes = vec![(WARM_PROBE.to_owned(), Some(18.4)), (COLD_PROBE.to_owned(), Some(-20.1))];
    [
        ("serial", Question::Serial { instrument: "thermometer".to_owned(), last: "TL-4711".to_owned() }),
        ("probe", Question::FreezerProbe { probes }),
        ("freezer", Question::FreezerReference { point: 1, raw_celsius: -20.1, taken: Vec::new(), refused: None }),
        ("supply", Question::SupplyReference { point: 1, raw_volts: 12.3, taken: Vec::new(), refused: None }),
        ("open-door", Question::OpenDoor),
        ("close-door", Question::CloseDoor),
    ]
}

/// Jobs of every outcome, newest first.
pub fn record(count: usize) -> Vec<JobRecord> {
    let states = [
        JobState::Passed,
        JobState::Failed,
        JobState::Undone,
        JobState::Cancelled,
        JobState::PartlyUndone,
        JobState::Running,
        JobState::Decommissioned,
    ];
    let record = |number: usize| {
        let state = states[number % states.len()];
        JobRecord {
            job: if number == 0 { job() } else { JobId::generate() },
            kind: JobKind::Commission,
            state,
            truck: format!("T{number:03}").parse().ok(),
            thing: format!("truckSensor{number:03}").parse().ok(),
            mac: Some(Mac([0x40, 0x4c, 0xca, 1, 0, number as u8])),
            port: PORT.to_owned(),
            order: Value::Null,
            began: AT - Duration::minutes(number as i64 * 7),
            ended: Some(AT - Duration::minutes(number as i64 * 7 - 1)),
            problem: (state == JobState::Failed).then(problem),
            leftovers: Vec::new(),
        }
    };
    (0..count).map(record).collect()
}

/// One job open in the record, as `view.job` names it.
pub fn opened(script: &Script) -> JobId {
    let jobs = record(24);
    let first = jobs[0].clone();
    let step = |name: &str| StepRecord {
        step: name.to_owned(),
        intent: Value::Null,
        notes: serde_json::Map::new(),
        began: AT,
        ended: Some(AT + Duration::seconds(2)),
        end: Some(StepEnd::Done { output: Value::Null }),
    };
    let steps = plan::StepName::ALL.iter().map(|name| step(name.as_str())).collect();
    let chosen = first.job.clone();
    script.tell(Update::Jobs(Arc::new(jobs)));
    script.tell(Update::JobOpened(Box::new(JobDetails { record: first, steps })));
    chosen
}

/// Sign-in, site, check of the computer, something in the log.
pub fn computer(script: &Script) {
    let arn = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Technician_0123456789abcdef/technician.north";
    let account = "123456789012".to_owned();
    let expires = Some(AT + Duration::days(4000));
    script.tell(Update::Login(Ok(Login { account, arn: arn.to_owned(), clock_skew_secs: Some(95), expires })));
    let text = "region = \"eu-central-1\"\n\n[network]\nssid = \"depot\"\n".to_owned();
    let site = Site::parse(&text).unwrap();
    let file = Some("/home/technician/.config/coldbench/site.toml".into());
    script.tell(Update::Site(Box::new(SiteView { file, text, site })));
    script.tell(Update::LedgerFile("/home/technician/.local/share/coldbench/ledger.sqlite".into()));
    let closed =
        Problem::new("network.mqtt", "Port 8883 is closed here", "Ask the network's owner to open 8883 or 443");
    script.tell(Update::Findings(vec![
        Finding::good("clock", "0.3 s off the cloud's clock"),
        Finding::bad("network", closed),
        Finding::warning("disk", "1.2 GB are free", "Make room before the next shift"),
        Finding::good("serial ports", "1 board, and you may open it"),
    ]));
    script.tell(Update::FileSaved { file: "/home/technician/Documents/readings.csv".into() });
    script.tell(Update::Failed { port: Some(PORT.to_owned()), doing: "Reading the shadow", problem: problem() });
}
