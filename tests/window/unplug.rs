//! A board that is unplugged in the middle, and a program that ends there.

use coldbench::{app::station::What, commission::events::JobOutcome};

use crate::{depot::Depot, words};

/// Slow enough for a step to be seen, fast enough for a test, baud.
const PACE: u32 = 921_600;

#[test]
fn a_board_unplugged_while_it_is_flashed_passes_later() {
    unplugged_at("flash");
}

#[test]
fn a_board_unplugged_while_it_gets_its_identity_passes_later() {
    unplugged_at("install");
}

#[test]
fn a_board_unplugged_while_it_is_proven_passes_later() {
    unplugged_at("prove");
}

/// The plug is pulled once the step has begun. A quick step may be over by then: the one after it is met instead, and
/// the job must come through all the same.
fn unplugged_at(step: &str) {
    let depot = Depot::paced(PACE);
    // Long enough that the board is gone before all is proven.
    depot.set_site("prove_samples", 10.into());
    let port = &depot.ports[0];
    let mut screen = depot.open();
    screen.begin(port);
    screen.wait_for_step(port, step);
    depot.hand().unplug();
    screen.wait_for_end(port, JobOutcome::Failed);
    screen.wait_for(words::FAIL);
    let problem = screen.ended(port).unwrap().problem.clone().unwrap();
    assert!(screen.shows(&problem.sentence) && screen.shows(&problem.advice), "{}", screen.text());
    depot.hand().plug();
    screen.wait_until(port, "half-done board", |is| matches!(is, What::HalfDone { .. }));
    screen.press(words::TRY_AGAIN);
    screen.wait("the job again", |screen| screen.ended(port).is_none());
    screen.passes(port);
}

#[test]
fn a_job_that_broke_off_with_the_program_is_offered_at_the_next_start() {
    let depot = Depot::with_boards(1);
    depot.set_site("prove_samples", 20.into());
    let port = &depot.ports[0];
    let mut screen = depot.open();
    screen.begin(port);
    screen.wait_for_step(port, "prove");
    drop(screen);
    depot.set_site("prove_samples", 1.into());
    let mut screen = depot.open();
    screen.wait_for(words::NOT_FINISHED);
    screen.wait_until(port, "half-done board", |is| matches!(is, What::HalfDone { .. }));
    screen.wait_for("Half done (step");
    screen.press(words::RESUME);
    screen.wait("the job", |screen| screen.station(port).is_some_and(|station| station.run.is_some()));
    screen.passes(port);
}
