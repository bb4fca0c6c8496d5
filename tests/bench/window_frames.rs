//! Frame times of the screens that show most, with eight live boards and a day of readings each.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use coldbench::{
    app::{
        command::Command,
        live::{Arrived, MAX_ROWS, Path},
        station::{BoardFacts, What},
        update::Update,
    },
    domain::{JobId, Mac, Reading, ThingName, shadow::Shadow},
    ports::{
        board::{Access, PortInfo},
        ledger::{JobKind, JobRecord, JobState},
    },
    ui::app::{Link, Options, Window},
};
use eframe::egui::{RawInput, Role, vec2};
use egui_kittest::{Harness, kittest::Queryable};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

const BOARDS: u8 = 8;
const FRAMES: usize = 300;
const INTERVAL_SECS: i64 = 5;
const JOBS: usize = 500;
const TARGET_MS: f64 = 8.0;
/// Screens by their names in the rail, and a tab of theirs that is opened.
const SCREENS: [(&str, Option<&str>); 5] =
    [("Boards", None), ("Live", None), ("Live", Some("24 h")), ("Jobs", None), ("Shadow", None)];

/// Measures and prints.
pub fn print() {
    println!("Frame = take one new reading, lay out, tessellate; eight live boards, 24 h of readings each");
    println!("Milliseconds of this thread on the processor, so that other programs do not count");
    println!("{:<12} {:>8} {:>8} {:>8}   target p99", "", "p50", "p99", "most");
    let script = Script::default();
    let window: Rc<RefCell<Option<Window>>> = Rc::default();
    let (link, shown) = (script.clone(), window.clone());
    let mut harness = Harness::builder().with_size(vec2(1366.0, 768.0)).build_ui(move |ui| {
        let context = ui.ctx().clone();
        let mut window = shown.borrow_mut();
        let window = window.get_or_insert_with(|| {
            let options = Options { demo: false, local: UtcOffset::UTC };
            Window::new(&context, Box::new(link.clone()), options)
        });
        window.logic(&context);
        window.ui(ui);
    });
    script.begin(a_day());
    while !script.is_told() {
        if let Some(window) = window.borrow_mut().as_mut() {
            window.logic(&harness.ctx);
        }
    }
    let mut seq = MAX_ROWS as u64;
    for (screen, tab) in SCREENS {
        for tab in [Some(screen), tab].into_iter().flatten() {
            harness.get_by_role_and_label(Role::Tab, tab).click();
            harness.run_steps(8);
        }
        let screen = tab.map_or_else(|| screen.to_owned(), |tab| format!("{screen}, {tab}"));
        let mut times = frames(&harness, &window, &script, &mut seq);
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        println!("{screen:<12} {:>8.2} {:>8.2} {:>8.2}   ≤ {TARGET_MS}", at(0.5), at(0.99), at(1.0));
        harness.run_steps(2);
    }
}

/// Times of frames without a screen reader, as most programs run. Milliseconds.
fn frames(harness: &Harness, window: &RefCell<Option<Window>>, script: &Script, seq: &mut u64) -> Vec<f64> {
    let context = &harness.ctx;
    context.disable_accesskit();
    let screen_rect = harness.input().screen_rect;
    let mut time = context.input(|input| input.time);
    let mut times = Vec::with_capacity(FRAMES);
    for _ in 0..FRAMES {
        *seq += 1;
        let board = (*seq % u64::from(BOARDS)) as u8;
        script.begin(std::iter::once(reading(board, *seq, OffsetDateTime::now_utc())));
        time += 1.0 / 60.0;
        let input = RawInput { screen_rect, time: Some(time), ..RawInput::default() };
        let began = processor_ms();
        let mut output = context.run_ui(input, |ui| {
            if let Some(window) = window.borrow_mut().as_mut() {
                window.logic(context);
                window.ui(ui);
            }
        });
        let meshes = context.tessellate(output.shapes, output.pixels_per_point);
        times.push(processor_ms() - began);
        // There is no graphics card to give them to.
        output.textures_delta.clear();
        assert!(!meshes.is_empty(), "nothing was painted");
    }
    context.enable_accesskit();
    times
}

/// How long this thread has been on the processor.
fn processor_ms() -> f64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    std::time::Duration::from(time).as_secs_f64() * 1e3
}

/// A core that says what it is told to, made only when it is asked for.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<Option<Box<dyn Iterator<Item = Update>>>>>);

impl Script {
    fn begin(&self, updates: impl Iterator<Item = Update> + 'static) {
        *self.0.borrow_mut() = Some(Box::new(updates));
    }

    fn is_told(&self) -> bool {
        self.0.borrow().is_none()
    }
}

impl Link for Script {
    fn order(&mut self, _: Command) -> bool {
        true
    }

    fn next(&mut self) -> Option<Update> {
        let mut told = self.0.borrow_mut();
        let next = told.as_mut()?.next();
        if next.is_none() {
            *told = None;
        }
        next
    }
}

/// Boards at their work, their readings of the last 24 hours, a full record, a shadow each.
fn a_day() -> impl Iterator<Item = Update> {
    let now = OffsetDateTime::now_utc();
    let readings = (0..MAX_ROWS as u64).flat_map(move |seq| {
        let at = now - Duration::seconds((MAX_ROWS as i64 - seq as i64) * INTERVAL_SECS);
        (0..BOARDS).map(move |board| reading(board, seq, at))
    });
    let shadows =
        (0..BOARDS).map(|board| Update::Shadow { thing: thing(board), shadow: Some(Box::new(shadow(board))) });
    (0..BOARDS).flat_map(plugged_in).chain(readings).chain(shadows).chain([Update::Jobs(Arc::new(record()))])
}

fn port(board: u8) -> String {
    format!("/dev/ttyUSB{board}")
}

fn thing(board: u8) -> ThingName {
    format!("truckSensor{board:02}").parse().unwrap()
}

fn plugged_in(board: u8) -> [Update; 2] {
    let info = PortInfo {
        port: port(board),
        guess: "ESP32-C3 (USB)".to_owned(),
        usb_id: Some("303a:1001".to_owned()),
        usb_serial: None,
        access: Access::Ok,
        advice: String::new(),
    };
    let (mac, chip) = (Mac([2, 0, 0, 0, 0, board]), "esp32c3".to_owned());
    let facts = BoardFacts { mac, chip, firmware: Some("0.1.0".to_owned()) };
    let is = What::Commissioned { thing: thing(board), truck: format!("T{board:03}").parse().ok() };
    [Update::Port(info), Update::Recognised { port: port(board), is, board: Some(facts) }]
}

fn reading(board: u8, seq: u64, at: OffsetDateTime) -> Update {
    let payload = payload(board, seq, at).to_string().into_bytes();
    let reading = Reading::parse(&payload).unwrap();
    let received = at + Duration::milliseconds(120);
    Update::Reading { port: port(board), arrived: Box::new(Arrived { path: Path::Usb, reading, payload, received }) }
}

/// A freezer that swings about its set point, as a compressor makes it.
fn payload(board: u8, seq: u64, at: OffsetDateTime) -> Value {
    let swing = (seq as f64 / 60.0 + f64::from(board)).sin();
    json!({
        "v": 1, "seq": seq, "time": at.format(&Rfc3339).unwrap(), "thing": thing(board).as_str(),
        "interval_secs": INTERVAL_SECS, "freezer_celsius": -20.0 + 2.0 * swing, "outside_celsius": 18.0 + swing,
        "supply_volts": 13.4 + 0.4 * swing, "supply_min_volts": 12.9 + 0.3 * swing, "door_open": seq % 400 < 6,
        "door_openings": 0, "door_open_secs": 0.0, "status": "green"
    })
}

fn shadow(board: u8) -> Shadow {
    let reported = json!({
        "interval_secs": 5, "firmware": "0.1.0", "thresholds": { "freezer_high_celsius": -15.0, "supply_low_volts": 11.8 },
        "reading": payload(board, 1, OffsetDateTime::now_utc())
    });
    let desired = json!({ "interval_secs": 10 });
    let document = json!({
        "state": { "reported": reported, "desired": desired, "delta": desired }, "version": 7, "timestamp": 1
    });
    serde_json::from_value(document).unwrap()
}

fn record() -> Vec<JobRecord> {
    let states = [JobState::Passed, JobState::Failed, JobState::Undone, JobState::Cancelled];
    let began = OffsetDateTime::now_utc();
    let job = |number: usize| JobRecord {
        job: JobId::generate(),
        kind: JobKind::Commission,
        state: states[number % states.len()],
        truck: format!("T{number:03}").parse().ok(),
        thing: format!("truckSensor{number:03}").parse().ok(),
        mac: Some(Mac([2, 0, 0, 1, (number / 256) as u8, (number % 256) as u8])),
        port: port(0),
        order: Value::Null,
        began: began - Duration::minutes(number as i64 * 7),
        ended: Some(began - Duration::minutes(number as i64 * 7 - 1)),
        problem: None,
        leftovers: Vec::new(),
    };
    (0..JOBS).map(job).collect()
}
