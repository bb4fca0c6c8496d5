//! Boards that reach their broker through this computer.

use super::*;
use crate::commission::{Kit, RelayChoice, steps::relay::BrokerWay};

/// Runs a job of a board without coverage; `ssid` is the site's network, if it has one.
async fn without_coverage(ssid: &str, relay: RelayChoice) -> (Arc<World>, Option<Finished>, Vec<Event>) {
    let world = World::new();
    lock(&world.board).has_network = false;
    let (bench, mut kit): (_, Kit) = (world.bench(), kit(&world));
    kit.site.network.ssid = ssid.into();
    let order = Order { relay, ..order() };
    let (finished, events) =
        watched(&world, |events| async move { commission(&bench, order, kit, events, Cancel::default()).await }).await;
    (world, finished, events)
}

fn proven(events: &[Event]) -> (StepOutcome, &str) {
    let prove = |event: &&Event| matches!(event, Event::StepFinished { step, .. } if step == "prove");
    match events.iter().find(prove) {
        Some(Event::StepFinished { outcome, message, .. }) => (*outcome, message),
        _ => panic!("it was not proven: {:?}", events.last()),
    }
}

fn way(world: &World) -> BrokerWay {
    let ledger = lock(&world.ledger);
    let job = ledger.jobs.keys().next().unwrap();
    let steps = &ledger.steps[job];
    let prove = steps.iter().find(|step| step.step == "prove").unwrap();
    match prove.end.as_ref().unwrap() {
        StepEnd::Done { output } | StepEnd::Warning { output, .. } => {
            serde_json::from_value(output["way"].clone()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_without_a_network_is_offered_this_computer_at_once() {
    let (world, finished, events) = without_coverage("", RelayChoice::Auto).await;
    assert_passed(&finished, "no network");
    assert_eq!(way(&world), BrokerWay::ThisComputer);
    let (outcome, message) = proven(&events);
    assert_eq!(outcome, StepOutcome::Done);
    assert!(message.contains("through this computer"), "{message}");
    let Some(Event::Plan { steps, .. }) = events.first() else { panic!("the plan comes first") };
    assert_eq!(steps[8].title, "Prove the way from sensor to cloud and back, through this computer");
    assert_eq!(lock(&world.board).relay, None, "the offer is taken back");
}

#[tokio::test(start_paused = true)]
async fn what_the_board_says_of_its_network_is_told() {
    let world = World::new();
    {
        let mut board = lock(&world.board);
        board.has_network = false;
        let lines = ["network: the line broke", "Wi-Fi: up", "network: The certificate is revoked. Give it a new one."];
        board.log = lines.map(str::to_owned).to_vec();
    }
    let (finished, _) = begin(&world, Order { relay: RelayChoice::Never, ..order() }).await;
    let problem = finished.unwrap().problem.unwrap();
    assert_eq!(problem.code, "prove.no-mqtt");
    let told = "as over USB. The board says: The certificate is revoked. Give it a new one";
    assert!(problem.sentence.ends_with(told), "{problem:?}");
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_not_there_is_waited_for_and_then_replaced_with_a_warning() {
    let (world, finished, events) = without_coverage("depot", RelayChoice::Auto).await;
    assert_passed(&finished, "no coverage");
    assert_eq!(way(&world), BrokerWay::ThisComputer);
    assert_eq!(proven(&events).0, StepOutcome::Warning);
    let Some(Event::Plan { steps, .. }) = events.first() else { panic!("the plan comes first") };
    assert_eq!(steps[8].title, "Prove the way from sensor to cloud and back");
    assert!(events.iter().any(|event| matches!(event, Event::Note { step, .. } if step == "prove")));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_there_is_what_is_proven() {
    for relay in [RelayChoice::Auto, RelayChoice::Always, RelayChoice::Never] {
        let world = World::new();
        let (finished, events) = begin(&world, Order { relay, ..order() }).await;
        assert_passed(&finished, "with network");
        assert_eq!(way(&world), BrokerWay::OwnNetwork);
        assert_eq!(proven(&events).0, StepOutcome::Done);
        let offers = lock(&world.switches).called.iter().filter(|name| **name == "OfferRelay").count();
        assert_eq!(offers, if relay == RelayChoice::Always { 2 } else { 0 }, "{relay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_that_may_not_use_this_computer_is_not_proven_and_the_advice_says_why() {
    let (world, finished, _) = without_coverage("", RelayChoice::Never).await;
    assert_eq!(code(&finished), "prove.no-mqtt");
    let problem = finished.unwrap().problem.unwrap();
    assert!(problem.advice.contains("use this computer"), "{problem:?}");
    assert!(problem.terminal_advice().contains("--relay auto"), "{problem:?}");
    assert!(!lock(&world.switches).called.contains(&"OfferRelay"));
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_the_board_does_not_hear_ends_the_job_and_it_can_be_resumed() {
    let world = World::new();
    lock(&world.board).has_network = false;
    world.arm(Some(("OfferRelay", Fault::Fail)), None);
    let (finished, _) = begin(&world, Order { relay: RelayChoice::Always, ..order() }).await;
    assert_eq!(code(&finished), "board.unplugged");
    let (finished, _) = go_on(&world, &only_job(&world)).await;
    assert_passed(&finished, "resumed");
    assert_eq!(way(&world), BrokerWay::ThisComputer);
}
