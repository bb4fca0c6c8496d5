//! Whole jobs in a world that goes wrong.

#![allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::mpsc;

use super::{
    CalibrationChoice, Finished, Order, commission,
    decommission::decommission,
    events::{Event, JobOutcome, StepOutcome},
    fakes::{BoardState, Fault, PASSPHRASE, World, kit, mac, order},
    plan::StepName,
    resume,
    run::lock,
    sweep, undo,
};
use crate::{
    domain::{
        JobId, Mac,
        calibration::{References, TemperaturePoint},
        thing::{JOB_ATTRIBUTE, MAC_ATTRIBUTE},
    },
    ports::{
        Cancel,
        ledger::{JobState, StepEnd},
        operator::{Question, Reply},
    },
};

mod relay;

/// Runs something that tells events, to its end or to the death of its process.
async fn watched<F: Future<Output = Finished>>(
    world: &World,
    start: impl FnOnce(mpsc::Sender<Event>) -> F,
) -> (Option<Finished>, Vec<Event>) {
    let (sender, mut receiver) = mpsc::channel(4096);
    let mut killed = world.killed.subscribe();
    let finished = tokio::select! {
        biased;
        _ = killed.wait_for(|dead| *dead) => None,
        finished = start(sender) => Some(finished),
    };
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event);
    }
    (finished, events)
}

async fn begin(world: &Arc<World>, order: Order) -> (Option<Finished>, Vec<Event>) {
    let (bench, kit) = (world.bench(), kit(world));
    watched(world, |events| async move { commission(&bench, order, kit, events, Cancel::default()).await }).await
}

async fn go_on(world: &Arc<World>, job: &JobId) -> (Option<Finished>, Vec<Event>) {
    let (bench, kit) = (world.bench(), kit(world));
    watched(world, |events| async move { resume(&bench, job, None, kit, events, Cancel::default()).await }).await
}

async fn take_back(world: &Arc<World>, job: &JobId) -> Finished {
    let bench = world.bench();
    let (finished, _) =
        watched(world, |events| async move { undo(&bench, job, None, events, Cancel::default()).await }).await;
    finished.unwrap()
}

fn only_job(world: &World) -> JobId {
    let ledger = lock(&world.ledger);
    assert_eq!(ledger.jobs.len(), 1);
    ledger.jobs.keys().next().unwrap().clone()
}

/// Exactly one thing, one active certificate that the board holds, and no orphan.
#[track_caller]
fn assert_proven(world: &World, context: &str) {
    let (cloud, board) = (lock(&world.cloud), lock(&world.board));
    assert_eq!(cloud.things.len(), 1, "{context}");
    assert_eq!(cloud.certificates.len(), 1, "{context}");
    assert_eq!(cloud.active_certificates(), 1, "{context}");
    assert_eq!((cloud.attached.len(), cloud.granted.len(), cloud.members.len()), (1, 1, 1), "{context}");
    assert_eq!(board.installed_certificate().as_ref(), cloud.certificates.keys().next(), "{context}");
    assert_eq!(board.settings.interval_secs, 5, "{context}");
}

#[track_caller]
fn assert_untouched(world: &World, context: &str) {
    let (cloud, board) = (lock(&world.cloud), lock(&world.board));
    assert!(cloud.is_empty(), "{context}: {:?} {:?}", cloud.things, cloud.certificates.keys());
    assert!(cloud.policies.is_empty() && cloud.groups.is_empty(), "{context}: {:?} {:?}", cloud.policies, cloud.groups);
    assert!(board.holds_nothing(), "{context}");
    assert_eq!(board.calibration, Default::default(), "{context}");
}

#[track_caller]
fn assert_passed(finished: &Option<Finished>, context: &str) {
    let finished = finished.as_ref().expect("the job ended");
    assert_eq!(finished.outcome, JobOutcome::Passed, "{context}: {:?}", finished.problem);
}

fn code(finished: &Option<Finished>) -> String {
    finished.as_ref().unwrap().problem.as_ref().map(|problem| problem.code.to_string()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_bare_board_becomes_a_proven_truck() {
    let world = World::new();
    let (finished, events) = begin(&world, order()).await;
    assert_passed(&finished, "whole job");
    assert_proven(&world, "whole job");
    let Some(Event::Plan { steps, .. }) = events.first() else { panic!("the plan comes first: {:?}", events.first()) };
    assert_eq!(steps.len(), 10);
    assert!(matches!(events.last(), Some(Event::Finished { outcome: JobOutcome::Passed, .. })));
    let ended: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::StepFinished { step, outcome: StepOutcome::Done, .. } => Some(step.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ended, StepName::ALL.map(StepName::as_str));
    let place = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    let registering = place(&|event| matches!(event, Event::StepStarted { step, .. } if step == "register"));
    let flashed = place(&|event| matches!(event, Event::StepFinished { step, .. } if step == "flash"));
    assert!(registering < flashed, "the cloud's part runs beside the flash");
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_told_or_recorded() {
    for host_key in [false, true] {
        let world = World::new();
        let (finished, events) = begin(&world, Order { host_key, ..order() }).await;
        assert_passed(&finished, "host key");
        assert_proven(&world, "host key");
        let ledger = lock(&world.ledger);
        let mut texts = vec![serde_json::to_string(&events).unwrap()];
        texts.extend(ledger.jobs.values().map(|job| serde_json::to_string(job).unwrap()));
        texts.extend(ledger.steps.values().map(|steps| serde_json::to_string(steps).unwrap()));
        for text in texts {
            assert!(!text.contains("PRIVATE KEY") && !text.contains(PASSPHRASE), "{text}");
        }
    }
}

/// The operations of a job that change something or that it cannot do without.
const OPERATIONS: [&str; 28] = [
    "Open",
    "Identify",
    "Login",
    "Endpoint",
    "DescribeThing",
    "Flash",
    "Boot",
    "ReadIdentity",
    "MakeKey",
    "CreateThingType",
    "CreateThing",
    "CreatePolicy",
    "CreateThingGroup",
    "ListThingGroupsForThing",
    "AddThingToThingGroup",
    "CreateCertificateFromCsr",
    "AttachPolicy",
    "AttachThingPrincipal",
    "Install",
    "ReadSensors",
    "SetCalibration",
    "Observe",
    "SetClock",
    "SetSettings",
    "GetThingShadow",
    "UpdateThingShadow",
    "UpdateThing",
    "ListThingPrincipals",
];

#[tokio::test(start_paused = true)]
async fn a_fault_in_any_operation_ends_in_a_pass_after_resume() {
    for operation in OPERATIONS {
        for fault in [Fault::Fail, Fault::Hang, Fault::LoseReply] {
            let context = format!("{operation} {fault:?}");
            let world = World::new();
            world.arm(Some((operation, fault)), None);
            let (finished, _) = begin(&world, order()).await;
            assert!(!world.has_fault(), "{context}: never called");
            if finished.as_ref().unwrap().outcome != JobOutcome::Passed {
                assert!(!code(&finished).is_empty(), "{context}");
                let (finished, _) = go_on(&world, &only_job(&world)).await;
                assert_passed(&finished, &context);
            }
            assert_proven(&world, &context);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_in_any_operation_can_be_undone_without_a_trace() {
    for operation in OPERATIONS {
        for fault in [Fault::Fail, Fault::Hang, Fault::LoseReply] {
            let context = format!("{operation} {fault:?}");
            let world = World::new();
            world.arm(Some((operation, fault)), None);
            let (finished, _) = begin(&world, order()).await;
            if finished.as_ref().unwrap().outcome == JobOutcome::Passed {
                continue;
            }
            let undone = take_back(&world, &only_job(&world)).await;
            assert_eq!(undone.outcome, JobOutcome::Passed, "{context}: {:?}", undone.leftovers);
            assert_untouched(&world, &context);
        }
    }
}

/// Kills the process at every moment: after each write of the ledger, before and after each effect.
async fn kill_everywhere(order: &Order, after: impl AsyncFn(&Arc<World>, String)) {
    for moment in 1.. {
        let world = World::new();
        world.arm(None, Some(moment));
        let (finished, _) = begin(&world, order.clone()).await;
        if world.is_alive() {
            assert_passed(&finished, "not killed");
            assert!(moment > 100, "only {moment} moments were tried");
            return;
        }
        world.arm(None, None);
        after(&world, format!("killed at {moment}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_killed_anywhere_passes_after_resume() {
    kill_everywhere(&order(), async |world, context| {
        let job = only_job(world);
        let (finished, _) = go_on(world, &job).await;
        assert_passed(&finished, &context);
        assert_proven(world, &context);
        assert_eq!(lock(&world.ledger).jobs[&job].state, JobState::Passed, "{context}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_job_with_a_host_key_killed_anywhere_passes_after_resume() {
    kill_everywhere(&Order { host_key: true, ..order() }, async |world, context| {
        let (finished, _) = go_on(world, &only_job(world)).await;
        assert_passed(&finished, &context);
        assert_proven(world, &context);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_job_killed_anywhere_can_be_undone_without_a_trace() {
    kill_everywhere(&order(), async |world, context| {
        let undone = take_back(world, &only_job(world)).await;
        assert_eq!(undone.outcome, JobOutcome::Passed, "{context}");
        assert_untouched(world, &context);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_commissioned_board_is_recognised_and_proven_again() {
    let world = World::new();
    assert_passed(&begin(&world, order()).await.0, "first");
    world.arm(None, None);
    let (finished, events) = begin(&world, order()).await;
    assert_passed(&finished, "second");
    assert_proven(&world, "second");
    assert_eq!(lock(&world.board).flashes, 1);
    let skipped = |name: &str| {
        events.iter().any(
            |event| matches!(event, Event::StepFinished { step, outcome: StepOutcome::Skipped, .. } if step == name),
        )
    };
    assert!(skipped("flash") && skipped("key"));
    assert!(!lock(&world.switches).called.contains(&"CreateCertificateFromCsr"));
}

#[tokio::test(start_paused = true)]
async fn a_board_that_lost_its_credentials_gets_new_ones_and_the_old_are_retired() {
    let world = World::new();
    assert_passed(&begin(&world, order()).await.0, "first");
    *lock(&world.board) = BoardState::blank(mac());
    assert_passed(&begin(&world, order()).await.0, "second");
    assert_proven(&world, "second");
}

#[tokio::test(start_paused = true)]
async fn the_board_of_another_truck_is_refused() {
    let world = World::new();
    assert_passed(&begin(&world, order()).await.0, "first");
    let other = Order { truck: "T002".parse().unwrap(), thing: "truckSensor02".parse().ok(), ..order() };
    let (finished, _) = begin(&world, other).await;
    assert_eq!(code(&finished), "board.other-truck");
    assert_proven(&world, "the first stays");
}

#[tokio::test(start_paused = true)]
async fn a_name_of_another_board_is_refused_before_anything_is_written() {
    let world = World::new();
    assert_passed(&begin(&world, order()).await.0, "first");
    *lock(&world.board) = BoardState::blank(Mac([0x60, 0x55, 0xf9, 0, 0, 2]));
    let (finished, _) = begin(&world, order()).await;
    assert_eq!(code(&finished), "thing.taken");
    assert_eq!(lock(&world.board).flashes, 0);
    let (cloud, thing) = (lock(&world.cloud), "truckSensor01".parse().unwrap());
    assert_eq!(cloud.things[&thing].attributes[MAC_ATTRIBUTE], mac().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_is_named_before_anything_is_written() {
    let world = World::new();
    lock(&world.cloud).skew_secs = -600;
    let (finished, _) = begin(&world, order()).await;
    assert_eq!(code(&finished), "cloud.clock");
    assert_eq!(lock(&world.board).flashes, 0);
    assert!(lock(&world.cloud).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_before_any_effect() {
    let world = World::new();
    lock(&world.ledger).disk_is_full = true;
    let (finished, events) = begin(&world, order()).await;
    assert_eq!(code(&finished), "ledger.disk-full");
    assert!(matches!((&events[0], events.last()), (Event::Plan { .. }, Some(Event::Finished { .. }))));
    assert!(lock(&world.switches).called.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_flashing_leaves_a_job_that_can_go_on() {
    let world = World::new();
    let (bench, kit, cancel) = (world.bench(), kit(&world), Cancel::default());
    let canceller = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        canceller.cancel();
    });
    let (finished, _) =
        watched(&world, |events| async move { commission(&bench, order(), kit, events, cancel).await }).await;
    assert_eq!(finished.unwrap().outcome, JobOutcome::Cancelled);
    let job = only_job(&world);
    assert_eq!(lock(&world.ledger).jobs[&job].state, JobState::Cancelled);
    assert_passed(&go_on(&world, &job).await.0, "resumed");
    assert_proven(&world, "resumed");
}

#[tokio::test(start_paused = true)]
async fn an_absent_board_leaves_its_credentials_and_a_second_undo_gets_them() {
    let world = World::new();
    world.arm(Some(("UpdateThingShadow", Fault::Fail)), None);
    assert_eq!(code(&begin(&world, order()).await.0), "cloud.unreachable");
    lock(&world.board).is_plugged = false;
    let job = only_job(&world);
    let undone = take_back(&world, &job).await;
    assert_eq!(undone.outcome, JobOutcome::Failed);
    assert!(undone.leftovers.iter().any(|left| left.contains(&format!("credentials on the board {}", mac()))));
    assert!(lock(&world.cloud).is_empty());
    lock(&world.board).is_plugged = true;
    assert_eq!(take_back(&world, &job).await.outcome, JobOutcome::Passed);
    assert_untouched(&world, "second undo");
    assert_eq!(lock(&world.ledger).jobs[&job].state, JobState::Undone);
    assert_eq!(code(&go_on(&world, &job).await.0), "job.undone");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_what_a_dead_job_left_and_spares_what_works() {
    let world = World::new();
    assert_passed(&begin(&world, order()).await.0, "first");
    assert_eq!(sweep::find(&world.bench()).await.unwrap(), []);
    // An unsealed thing of a job that this record does not know, long ago.
    let foreign = JobId::from(ulid::Ulid::from_parts(1_700_000_000_000, 1));
    {
        let mut cloud = lock(&world.cloud);
        let mut thing = cloud.things.values().next().unwrap().clone();
        thing.name = "orphan".parse().unwrap();
        thing.attributes.retain(|name, _| name != "coldbenchSealed");
        thing.attributes.insert(JOB_ATTRIBUTE.into(), foreign.to_string());
        cloud.things.insert(thing.name.clone(), thing);
    }
    let found = sweep::find(&world.bench()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].job, foreign);
    sweep::retire(&world.bench(), &found[0]).await.unwrap();
    assert_eq!(sweep::find(&world.bench()).await.unwrap(), []);
    assert_proven(&world, "spared");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_retires_what_a_failed_job_left() {
    let world = World::new();
    world.arm(Some(("UpdateThing", Fault::Fail)), None);
    assert_eq!(code(&begin(&world, order()).await.0), "cloud.unreachable");
    let found = sweep::find(&world.bench()).await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    for leftover in &found {
        sweep::retire(&world.bench(), leftover).await.unwrap();
    }
    assert!(lock(&world.cloud).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_decommissioned_board_is_free_for_another_truck() {
    let world = World::new();
    let (finished, _) = begin(&world, order()).await;
    let job = finished.unwrap().job;
    let (bench, thing) = (world.bench(), "truckSensor01".parse().unwrap());
    let place = super::Place { port: "/dev/ttyUSB0".into(), open: Default::default() };
    let (finished, events) = watched(&world, |events| {
        let (bench, thing) = (&bench, &thing);
        async move { decommission(bench, thing, Some(place), events, Cancel::default()).await }
    })
    .await;
    assert_passed(&finished, "decommission");
    assert!(matches!(events.first(), Some(Event::Plan { .. })));
    assert!(lock(&world.cloud).is_empty());
    assert!(lock(&world.board).holds_nothing());
    assert_eq!(lock(&world.ledger).jobs[&job].state, JobState::Decommissioned);
    let other = Order { truck: "T002".parse().unwrap(), thing: "truckSensor02".parse().ok(), ..order() };
    assert_passed(&begin(&world, other).await.0, "another truck");
    assert_proven(&world, "another truck");
}

#[tokio::test(start_paused = true)]
async fn a_person_calibrates_with_two_points_each_and_the_door() {
    let world = World::with_operator(|question| match question {
        Question::FreezerReference { point: 1, .. } => Reply::Number(0.0),
        Question::FreezerReference { .. } => Reply::Number(-20.0),
        Question::SupplyReference { point: 1, .. } => Reply::Number(12.0),
        Question::SupplyReference { .. } => Reply::Number(14.2),
        Question::Serial { .. } => Reply::Text("TH-7".into()),
        Question::OpenDoor | Question::CloseDoor | Question::FreezerProbe { .. } => Reply::Yes,
    });
    let (finished, events) = begin(&world, Order { calibration: CalibrationChoice::Prompt, ..order() }).await;
    assert_passed(&finished, "prompted");
    let calibration = lock(&world.board).calibration.clone();
    assert!((calibration.freezer.apply(-19.5) + 20.0).abs() < 1e-3, "{calibration:?}");
    assert!((calibration.freezer.apply(0.25)).abs() < 1e-3, "{calibration:?}");
    assert!((calibration.supply.apply(11.5) - 12.0).abs() < 1e-3, "{calibration:?}");
    assert!(events.iter().filter(|event| matches!(event, Event::Asked { .. })).count() >= 8);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_calibration_is_put_back_as_a_job_that_can_be_undone() {
    let world = World::new();
    let first = begin(&world, order()).await.0.unwrap().job;
    let of_first = lock(&world.board).calibration.clone();
    let mut references = References::default();
    references.freezer.push(TemperaturePoint { reference_celsius: -19.0, raw_celsius: Some(-20.0) });
    let second = begin(&world, Order { calibration: CalibrationChoice::Given(references), ..order() }).await.0;
    assert_passed(&second, "another calibration");
    let of_second = lock(&world.board).calibration.clone();
    assert_ne!(of_first.freezer, of_second.freezer);

    let put_back = || Order { calibration: CalibrationChoice::Earlier(first.clone()), ..order() };
    let (third, _) = begin(&world, put_back()).await;
    assert_passed(&third, "put back");
    let third = third.unwrap().job;
    let kept = lock(&world.board).calibration.clone();
    assert_eq!((kept.freezer, kept.supply, kept.job.as_str()), (of_first.freezer, of_first.supply, third.as_str()));
    assert_proven(&world, "put back");

    assert_eq!(take_back(&world, &third).await.outcome, JobOutcome::Passed);
    assert_eq!(lock(&world.board).calibration, of_second, "as before the job");

    // Another board gets none of it, and nothing is written to it.
    lock(&world.board).mac = Mac([0x60, 0x55, 0xf9, 0, 0, 2]);
    world.arm(None, None);
    let other = Order { truck: "T002".parse().unwrap(), thing: "truckSensor02".parse().ok(), ..put_back() };
    assert_eq!(code(&begin(&world, other).await.0), "calibration.other-board");
    let called = lock(&world.switches).called.clone();
    assert!(!called.iter().any(|call| ["SetCalibration", "Install", "MakeKey", "Flash"].contains(call)), "{called:?}");
    let none = Order { calibration: CalibrationChoice::Earlier(JobId::generate()), ..order() };
    assert_eq!(code(&begin(&world, none).await.0), "job.unknown");
}

#[tokio::test(start_paused = true)]
async fn points_that_were_taken_outlast_a_job_that_broke_off() {
    static LEFT: AtomicBool = AtomicBool::new(false);
    let world = World::with_operator(|question| match question {
        Question::FreezerReference { point: 1, taken, .. } => {
            assert!(taken.is_empty() && !LEFT.load(Ordering::SeqCst), "the first point is asked for once");
            Reply::Number(0.0)
        }
        Question::FreezerReference { taken, .. } if LEFT.swap(true, Ordering::SeqCst) => {
            assert_eq!(taken.len(), 1);
            Reply::Number(-20.0)
        }
        Question::FreezerReference { .. } => Reply::Declined,
        Question::Serial { .. } => Reply::Text("TH-7".into()),
        Question::OpenDoor | Question::CloseDoor | Question::FreezerProbe { .. } => Reply::Yes,
        Question::SupplyReference { .. } => Reply::Skip,
    });
    let (finished, _) = begin(&world, Order { calibration: CalibrationChoice::Prompt, ..order() }).await;
    assert_eq!(finished.unwrap().outcome, JobOutcome::Cancelled);
    let (finished, _) = go_on(&world, &only_job(&world)).await;
    assert_passed(&finished, "with the second point");
    let calibration = lock(&world.board).calibration.clone();
    assert!((calibration.freezer.apply(0.25)).abs() < 1e-3, "{calibration:?}");
}

#[tokio::test(start_paused = true)]
async fn a_point_that_fits_no_line_is_asked_for_again_with_the_reason() {
    let world = World::with_operator(|question| match question {
        // The comma was forgotten, and then it was not.
        Question::FreezerReference { point: 1, refused: None, .. } => Reply::Number(25.0),
        Question::FreezerReference { point: 1, refused: Some(why), .. } => {
            assert!(why.contains("out of bounds"), "{why}");
            Reply::Number(0.25)
        }
        Question::FreezerReference { .. } | Question::SupplyReference { .. } => Reply::Skip,
        Question::Serial { .. } => Reply::Text("TH-7".into()),
        Question::OpenDoor | Question::CloseDoor | Question::FreezerProbe { .. } => Reply::Yes,
    });
    let (finished, _) = begin(&world, Order { calibration: CalibrationChoice::Prompt, ..order() }).await;
    assert_passed(&finished, "asked again");
    assert!(lock(&world.board).calibration.freezer.offset.abs() < 1e-3);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_leaves_cancels_the_job() {
    let world = World::new();
    let (finished, _) = begin(&world, Order { calibration: CalibrationChoice::Prompt, ..order() }).await;
    assert_eq!(finished.unwrap().outcome, JobOutcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_calibration_is_a_warning_and_a_wrong_one_a_problem() {
    let world = World::new();
    let (finished, events) = begin(&world, Order { calibration: CalibrationChoice::Skip, ..order() }).await;
    assert_passed(&finished, "skipped");
    let warned = |name: &str| {
        events.iter().any(
            |event| matches!(event, Event::StepFinished { step, outcome: StepOutcome::Warning, .. } if step == name),
        )
    };
    assert!(warned("calibrate") && warned("seal"));

    let world = World::new();
    lock(&world.board).celsius = -10.0;
    assert_eq!(code(&begin(&world, order()).await.0), "calibration.fit");
}

#[tokio::test(start_paused = true)]
async fn a_resumed_job_takes_no_other_board() {
    let world = World::new();
    world.arm(Some(("Install", Fault::Fail)), None);
    assert_eq!(code(&begin(&world, order()).await.0), "board.unplugged");
    lock(&world.board).mac = Mac([0x60, 0x55, 0xf9, 0, 0, 2]);
    assert_eq!(code(&go_on(&world, &only_job(&world)).await.0), "board.other");
}
