//! The whole job: with a scanner, with the keyboard alone, cancelled and undone, on two boards at once.

use coldbench::{
    app::{settings::Settings, station::What},
    commission::events::JobOutcome,
    domain::ThingName,
};
use eframe::egui::Key;

use crate::{
    depot::{Depot, is_in_cloud},
    words,
};

#[test]
fn a_scanned_truck_leads_to_pass() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let mut screen = depot.open();
    screen.begin(port);
    screen.passes(port);
    assert!(screen.shows("T001"), "{}", screen.text());
    screen.press(words::NEXT_BOARD);
    let commissioned =
        |is: &What| matches!(is, What::Commissioned { truck: Some(truck), .. } if truck.as_str() == "T001");
    screen.wait_until(port, "commissioned board", commissioned);
    screen.wait("the board's card with a reading", |screen| {
        screen.station(port).is_some_and(|station| station.live.last().is_some()) && screen.shows("in truck T001")
    });
}

#[test]
fn the_keyboard_alone_leads_to_pass_and_to_the_next_board() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let mut screen = depot.open_with(Settings { calibrate: false, ..Settings::default() });
    screen.begin(port);
    screen.wait("open action", |screen| screen.is_open(words::COMMISSION));
    assert!(screen.station(port).unwrap().run.is_none(), "a scan alone starts nothing unless that is set");
    screen.tab_to(words::COMMISSION);
    screen.key(Key::Enter);
    screen.passes(port);
    screen.key(Key::Enter);
    screen.wait("the run put away", |screen| screen.station(port).is_some_and(|station| station.run.is_none()));
    screen.wait_for(words::TRUCK);
}

#[test]
fn a_job_is_cancelled_with_a_reason_and_undone() {
    let depot = Depot::with_boards(1);
    depot.set_site("prove_samples", 20.into());
    let port = &depot.ports[0];
    let mut screen = depot.open();
    screen.begin(port);
    screen.wait_for_step(port, "prove");
    let thing: ThingName = screen.station(port).unwrap().thing().unwrap().parse().unwrap();
    assert!(is_in_cloud(&depot, &thing));
    screen.press(words::CANCEL_JOB);
    screen.press(words::WRONG_TRUCK);
    screen.wait_for_end(port, JobOutcome::Cancelled);
    assert_eq!(screen.station(port).unwrap().run.as_ref().unwrap().cancelling.as_deref(), Some("Wrong truck"));
    screen.wait_for(words::CANCELLED);
    screen.wait_until(port, "half-done board", |is| matches!(is, What::HalfDone { .. }));
    screen.press(words::UNDO);
    screen.press(words::UNDO_NOW);
    screen.wait_for(words::UNDONE);
    screen.wait_for_end(port, JobOutcome::Passed);
    screen.wait_until(port, "new board again", |is| *is == What::New);
    assert!(!is_in_cloud(&depot, &thing));
}

#[test]
fn two_boards_are_commissioned_beside_each_other() {
    let depot = Depot::with_boards(2);
    depot.set_site("prove_samples", 3.into());
    let [one, two] = &depot.ports[..] else { panic!("two ports") };
    let mut screen = depot.open();
    for port in [one, two] {
        screen.wait_until(port, "new board", |is| *is == What::New);
    }
    screen.scan("T001");
    screen.wait("first job", |screen| screen.state().stations.values().any(|station| station.is_busy()));
    screen.key(Key::Escape);
    screen.wait_for(words::TRUCK);
    screen.scan("T002");
    screen.wait("both jobs", |screen| screen.state().stations.values().all(|station| station.run.is_some()));
    for port in [one, two] {
        screen.wait_for_end(port, JobOutcome::Passed);
    }
    screen.key(Key::Escape);
    for truck in ["in truck T001", "in truck T002"] {
        screen.wait_for(truck);
    }
}
