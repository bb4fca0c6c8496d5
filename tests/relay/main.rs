//! Boards without a network of their own: the whole job through this computer, in the terminal.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod depot;

use coldbench::{
    domain::Reading,
    ports::board::{OpenOptions, RelayTarget},
    sandbox::board::NetworkState,
};
use depot::{Depot, TOPIC};
use serde_json::{Value, json};

#[test]
fn a_board_without_a_network_is_proven_through_this_computer() {
    let depot = Depot::without_network();
    let mut job = depot.commission(&[]);
    let events = job.rest();
    assert_eq!(job.exit(), 0, "{:?}", events.last());
    let planned = events[0]["steps"].as_array().unwrap().iter().find(|step| step["step"] == "prove").unwrap();
    assert!(planned["title"].as_str().unwrap().ends_with(", through this computer"), "{planned}");
    let proven = events.iter().find(|event| event["event"] == "step_finished" && event["step"] == "prove").unwrap();
    assert_eq!(proven["outcome"], "done");
    assert!(proven["message"].as_str().unwrap().contains("through this computer"), "{proven}");
    assert_eq!(depot.proof(&events)["way"], "this_computer");

    // The offer ended with the step: the session is over, and readings go on over USB.
    depot.wait("the end of the session", |depot| depot.hand().network() != NetworkState::Up);
    let live = depot.run(&["live", "--port", depot.port(), "--count", "2", "--json"]);
    assert!(live.status.success(), "{live:?}");
    let readings: Vec<_> = live.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(readings.len(), 2);
    assert!(readings.iter().all(|line| Reading::parse(line).is_ok()), "{readings:?}");
}

#[test]
fn a_cable_that_is_pulled_while_the_board_is_proven_leaves_the_will_and_a_job_to_resume() {
    let depot = Depot::without_network();
    depot.set_site("prove_samples", 30.into());
    let mut news = depot.observe(&format!("{TOPIC}/online"));
    let mut job = depot.commission(&[]);
    let agreed = |event: &Value| event["event"] == "progress" && event["step"] == "prove" && event["done"] != 0;
    let first = job.until(agreed);
    depot.hand().unplug();
    let events = job.rest();
    assert_eq!(job.exit(), 1, "{:?}", events.last());
    let end = events.last().unwrap();
    assert_eq!((&end["outcome"], &end["problem"]["code"]), (&json!("failed"), &json!("board.unplugged")), "{end}");
    assert_eq!(depot.next(&mut news), json!({ "online": false }));

    depot.hand().plug();
    depot.set_site("prove_samples", 1.into());
    let number = first[0]["job"].as_str().unwrap().to_owned();
    let mut job = depot.start(&["resume", &number, "--json"]);
    let events = job.rest();
    assert_eq!(job.exit(), 0, "{:?}", events.last());
    assert_eq!(depot.proof(&events)["way"], "this_computer");
}

#[test]
fn a_board_on_its_own_network_needs_no_computer_and_leaves_its_will_when_it_is_lost() {
    let depot = Depot::new();
    let mut news = depot.observe(&format!("{TOPIC}/online"));
    let mut job = depot.commission(&["--relay", "always"]);
    let events = job.rest();
    assert_eq!(job.exit(), 0, "{:?}", events.last());
    assert_eq!(depot.proof(&events)["way"], "own_network");
    depot.wait("the board on its network", |depot| depot.hand().network() == NetworkState::Up);
    depot.hand().unplug();
    assert_eq!(depot.next(&mut news), json!({ "online": false }));
}

/// The offer can be made and taken back as often as somebody likes, and a board that starts anew hears it again.
#[test]
fn an_offer_comes_and_goes_and_outlives_a_restart_of_the_board() {
    let depot = Depot::without_network();
    let mut job = depot.commission(&[]);
    let events = job.rest();
    assert_eq!(job.exit(), 0, "{:?}", events.last());
    depot.block_on(async {
        let board = depot.boards().open(depot.port(), OpenOptions::default()).await.unwrap();
        let (host, port) = depot.endpoint();
        let target = RelayTarget { host, port };
        for _ in 0..2 {
            board.offer_relay(Some(target.clone())).await.unwrap();
            depot.until("a session", |depot| depot.hand().network() == NetworkState::Up).await;
            board.offer_relay(None).await.unwrap();
            depot.until("its end", |depot| depot.hand().network() != NetworkState::Up).await;
        }
        board.offer_relay(Some(target.clone())).await.unwrap();
        depot.until("a session", |depot| depot.hand().network() == NetworkState::Up).await;
        let before = board.relay_traffic();
        assert!(before.to_broker_bytes > 0 && before.from_broker_bytes > 0, "{before:?}");
        depot.hand().reset();
        depot
            .until("a session of its own", |depot| {
                board.relay_traffic().connections > before.connections && depot.hand().network() == NetworkState::Up
            })
            .await;
        // Nobody holds the line any more: the board is told.
        drop(board);
        depot.until("the end", |depot| depot.hand().network() != NetworkState::Up).await;
    });
}

/// Nobody but the board knows why it does not reach its broker, and it says so in its log.
#[test]
fn a_board_that_does_not_reach_its_broker_says_why() {
    let depot = Depot::new();
    // Nothing listens there; the tool itself observes on another way.
    depot.set_site("iot_port", 1.into());
    let mut job = depot.commission(&["--relay", "never"]);
    let events = job.rest();
    assert_eq!(job.exit(), 1, "{:?}", events.last());
    let problem = &events.last().unwrap()["problem"];
    assert_eq!(problem["code"], "prove.no-mqtt", "{problem}");
    let sentence = problem["sentence"].as_str().unwrap();
    assert!(sentence.contains("The board says: no connection"), "{sentence}");
}
