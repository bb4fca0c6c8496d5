//! Sensors calibrated by hand in the window: with everything, with what goes wrong, and with what is left out.

use coldbench::{
    app::{command::Command, settings::Settings, station::What},
    commission::CalibrationChoice,
    domain::{
        JobId,
        calibration::{References, TemperaturePoint},
    },
    sandbox::board::{DoorSwitch, ProbePlace, ProbeWire},
};
use eframe::egui::Key;
use serde_json::Value;

use crate::{
    depot::{Depot, Screen},
    words,
};

const THERMOMETER: &str = "Thermometer, °C";
const MULTIMETER: &str = "Multimeter, V";

#[test]
fn a_whole_calibration_with_nothing_left_out_leads_to_pass() {
    let depot = Depot::with_boards(1);
    depot.set_gate(0.5);
    let port = &depot.ports[0];
    let mut screen = begin(&depot);
    instruments(&mut screen);
    screen.press("In the hand");
    screen.wait_for("In your hand");
    screen.press(words::USE_PROBE);

    screen.wait_for("Temperature, point 1 of 2");
    screen.press("Ice bath");
    screen.wait("a probe that moves", |screen| !is_steady(screen, port) && !screen.is_open(words::CAPTURE));
    settles_at(&mut screen, port, 0.0);
    // A slip of the finger is refused before it is taken.
    screen.type_into(THERMOMETER, "25");
    screen.wait_for("Cannot be taken:");
    assert!(!screen.is_open(words::CAPTURE), "{}", screen.text());
    let shown = format!("{:.2}", screen.state().trucks[port].thermometer_celsius);
    screen.type_into(THERMOMETER, &shown);
    screen.wait_for("Within tolerance");
    screen.press(words::CAPTURE);

    screen.wait_for("Temperature, point 2 of 2");
    screen.press("Cold brine");
    // Who goes back to the boards loses neither the point nor the place.
    screen.key(Key::Escape);
    screen.wait_for("Needs you");
    screen.key(Key::F5);
    screen.wait_for("Point 1");
    // An error value is no temperature.
    depot.hand().set_probe_wire(ProbePlace::Freezer, ProbeWire::Shorted);
    screen.wait_for("No value");
    assert!(!screen.is_open(words::CAPTURE));
    depot.hand().set_probe_wire(ProbePlace::Freezer, ProbeWire::Intact);
    settles_at(&mut screen, port, -18.0);
    let shown = format!("{:.2}", screen.state().trucks[port].thermometer_celsius);
    screen.type_into(THERMOMETER, &shown);
    screen.wait_for("Within tolerance");
    screen.press(words::CAPTURE);

    for (point, engine) in [(1, None), (2, Some("Engine on"))] {
        screen.wait_for(&format!("Voltage, point {point} of 2"));
        if let Some(engine) = engine {
            screen.press(engine);
            screen.wait("the engine", |screen| screen.state().trucks[port].multimeter_volts > 14.0);
            screen.wait("what the board says of it", |screen| sensed_volts(screen, port) > 13.0);
        }
        let shown = format!("{:.2}", screen.state().trucks[port].multimeter_volts);
        screen.type_into(MULTIMETER, &shown);
        screen.wait_for("Within tolerance");
        screen.press(words::CAPTURE);
    }

    screen.wait_for("Open the freezer door");
    screen.press("Open door");
    screen.wait_for("The switch has moved");
    screen.wait_for("The contact bounced");
    screen.press("It is open");
    screen.wait_for("Close the freezer door");
    screen.wait("a door that stands open", |screen| !screen.is_open("It is closed"));
    screen.press("Close door");
    screen.press("It is closed");
    screen.passes(port);

    let taken = taken(&mut screen, port);
    assert_eq!((taken.freezer.len(), taken.supply.len(), taken.door.is_some()), (2, 2, true), "{taken:?}");
    assert_eq!((&*taken.thermometer_serial, &*taken.multimeter_serial), ("RT-114", "DM-7"));

    // The next job offers the instruments of this one.
    screen.press(words::NEXT_BOARD);
    screen.press(words::CALIBRATE_AGAIN);
    screen.wait_for("Leave it empty to use RT-114 again");
    screen.press(words::GO_ON);
    screen.wait_for("Leave it empty to use DM-7 again");
}

#[test]
fn a_stuck_door_switch_is_named_and_can_be_left_out() {
    let depot = Depot::with_boards(1);
    depot.set_gate(5.0);
    let port = &depot.ports[0];
    depot.hand().set_door_switch(DoorSwitch::StuckClosed);
    let mut screen = begin(&depot);
    instruments(&mut screen);
    screen.press("In the hand");
    screen.wait_for("In your hand");
    screen.press(words::USE_PROBE);
    for question in ["Temperature, point 1", "Voltage, point 1"] {
        screen.wait_for(question);
        screen.press(words::LEAVE_OUT);
    }
    screen.wait_for("Open the freezer door");
    screen.press("Open door");
    screen.press("It is open");
    screen.press("Close door");
    screen.wait_for("the switch is stuck or its magnet is missing");
    assert!(!screen.is_open("It is closed"), "{}", screen.text());
    screen.press(words::LEAVE_OUT);
    screen.passes(port);
    assert_eq!(taken(&mut screen, port).door, None);
}

#[test]
fn an_earlier_calibration_is_put_back_from_the_list_of_jobs() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let mut screen = depot.open();
    let first = commission_with(&mut screen, port, 0.4);
    screen.press(words::NEXT_BOARD);
    commission_with(&mut screen, port, -0.3);
    screen.press(words::NEXT_BOARD);
    screen.wait_until(port, "commissioned board", |is| matches!(is, What::Commissioned { .. }));
    let rows = || screen.state().jobs.as_ref().unwrap().iter().find(|job| job.job == first).cloned();
    let row = rows().unwrap();
    screen.go_to("Jobs");
    screen.open_job(&row);
    screen.press("Put this calibration back…");
    screen.press("Put it back");
    screen.wait("another job", |screen| screen.station(port).is_some_and(|station| station.is_busy()));
    screen.passes(port);
    let third = screen.station(port).unwrap().run.as_ref().unwrap().job.clone();
    assert_ne!(third, first);
    let offset = |screen: &mut Screen, job: &JobId| {
        let steps = screen.steps(job);
        let step = steps.iter().find(|step| step.step == "calibrate").unwrap();
        step.notes["wanted"]["calibration"]["freezer"]["offset"].as_f64().unwrap()
    };
    assert_eq!(offset(&mut screen, &third), offset(&mut screen, &first));
}

/// Commissions the board with a probe that is off by so much, and says which job that was.
fn commission_with(screen: &mut Screen, port: &str, off_celsius: f64) -> JobId {
    screen.wait("a board that is looked at", |screen| {
        let is = screen.station(port).map(|station| &station.is);
        matches!(is, Some(What::New | What::Commissioned { .. }))
    });
    let point = TemperaturePoint { reference_celsius: -20.0 + off_celsius, raw_celsius: Some(-20.0) };
    let references = References { freezer: vec![point], ..References::default() };
    let calibration = CalibrationChoice::Given(references);
    let truck = "T001".parse().unwrap();
    screen.order(Command::Commission { port: port.to_owned(), truck, thing: None, calibration });
    screen.wait("the job", |screen| screen.station(port).is_some_and(|station| station.is_busy()));
    screen.key(Key::F5);
    screen.passes(port);
    screen.station(port).unwrap().run.as_ref().unwrap().job.clone()
}

fn begin(depot: &Depot) -> Screen {
    let mut screen = depot.open_with(Settings { start_on_scan: true, sound: false, ..Settings::default() });
    screen.begin(&depot.ports[0]);
    screen
}

fn instruments(screen: &mut Screen) {
    for (instrument, serial) in [("thermometer", "RT-114"), ("multimeter", "DM-7")] {
        screen.wait_for(&format!("Which {instrument} do you use?"));
        screen.type_into(words::SERIAL, serial);
        screen.press(words::GO_ON);
    }
    screen.wait_for("Which probe is in the freezer?");
}

fn is_steady(screen: &Screen, port: &str) -> bool {
    let run = screen.station(port).and_then(|station| station.run.as_ref());
    run.and_then(|run| run.sensing.steadiness()).is_some_and(|steadiness| steadiness.is_steady)
}

fn sensed_volts(screen: &Screen, port: &str) -> f64 {
    let run = screen.station(port).and_then(|station| station.run.as_ref());
    run.and_then(|run| run.sensing.last()?.supply_volts).unwrap_or_default()
}

/// So near that even a value the board told some seconds ago, on a busy machine, is within tolerance of it.
fn settles_at(screen: &mut Screen, port: &str, celsius: f64) {
    screen.wait(&format!("a probe steady at {celsius} °C"), |screen| {
        let is_there = (screen.state().trucks[port].thermometer_celsius - celsius).abs() < 0.1;
        is_there && is_steady(screen, port)
    });
}

/// What the job took from the person, as recorded.
fn taken(screen: &mut Screen, port: &str) -> References {
    let job = screen.station(port).unwrap().run.as_ref().unwrap().job.clone();
    let steps = screen.steps(&job);
    let step = steps.iter().find(|step| step.step == "calibrate").unwrap();
    let references: &Value = &step.notes["wanted"]["report"]["references"];
    serde_json::from_value(references.clone()).unwrap()
}
