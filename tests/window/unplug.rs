//! A board that is unplugged in the middle, and a program that ends there.

use coldbench::{app::station::What, commission::events::JobOutcome};

use crate::{depot::Depot, words};

/// Slow enough for a step to be seen, fast enough for a test, baud.
const PACE: u32 = 921_600;

/// One test a step, so that they run beside each other.
macro_rules! unplugged_at {
    ($($name:ident: $step:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                unplugged_at($step);
            }
        )*
    };
}

unplugged_at! {
    a_board_unplugged_while_it_is_identified_passes_later: "identify",
    a_board_unplugged_while_everything_is_checked_passes_later: "preflight",
    a_board_unplugged_while_it_is_flashed_passes_later: "flash",
    a_board_unplugged_while_it_is_registered_passes_later: "register",
    a_board_unplugged_while_it_starts_passes_later: "boot",
    a_board_unplugged_while_it_makes_its_key_passes_later: "key",
    a_board_unplugged_while_it_gets_its_identity_passes_later: "install",
    a_board_unplugged_while_it_is_calibrated_passes_later: "calibrate",
    a_board_unplugged_while_it_is_proven_passes_later: "prove",
}

/// The last step is the cloud's and the record's: it needs no board any more.
#[test]
fn a_board_unplugged_while_its_record_is_sealed_has_passed() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    let mut screen = depot.open();
    screen.begin(port);
    screen.wait_for_step(port, "seal");
    depot.hand().unplug();
    screen.passes(port);
    screen.wait_until(port, "no board", |is| *is == What::Gone);
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
    // A job that has not seen its board yet knows it only by its own screen.
    screen.wait_until(port, "board again", |is| matches!(is, What::HalfDone { .. } | What::New));
    screen.press(words::TRY_AGAIN);
    screen.wait("the job again", |screen| screen.ended(port).is_none());
    screen.passes(port);
}

/// A port that was named and has nothing in it says that, and nothing else.
#[test]
fn a_named_port_without_a_board_says_so() {
    let depot = Depot::with_boards(1);
    let port = &depot.ports[0];
    depot.hand().unplug();
    let mut screen = depot.open();
    screen.wait_until(port, "no board", |is| *is == What::Gone);
    screen.wait_for("Not plugged in");
    depot.hand().plug();
    screen.wait_until(port, "new board", |is| *is == What::New);
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
