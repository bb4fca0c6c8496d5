//! The session against a peer that speaks a written script, byte by byte. Time is tokio's paused clock: it jumps to
//! the next deadline when nobody has anything to do, so a wait of a minute takes none and no test depends on speed.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::{Future, pending};
use core::time::Duration;
use std::sync::Mutex;

use embedded_io_adapters::tokio_1::FromTokio;
use embedded_io_async::ErrorKind;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;

mod peer;
use peer::{ALL_GRANTED, Failing, Peer, publish_bytes, split_text};

const READINGS: &str = "dt/coldchain/depot1/truckSensor01/readings";

struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now_millis(&self) -> u64 {
        self.0.elapsed().as_millis().try_into().unwrap()
    }

    fn sleep_until(&self, deadline_millis: u64) -> impl Future<Output = ()> {
        tokio::time::sleep_until(self.0 + Duration::from_millis(deadline_millis))
    }
}

fn config() -> SessionConfig {
    SessionConfig::new("truckSensor01", READINGS)
}

fn outbox(readings: &[&str]) -> RefCell<Outbox> {
    let mut outbox = Outbox::new(Limits { readings: 16, reports: 4 });
    for reading in readings {
        outbox.push_reading(*reading).unwrap();
    }
    RefCell::new(outbox)
}

/// How a run ended, what the board was told and the peer's end of the line, which stays open.
struct Played {
    outcome: Outcome,
    told: Vec<String>,
    peer: Peer,
}

/// Runs a session against a script. When the script is through, the session is asked to stop.
async fn play(config: &SessionConfig, outbox: &RefCell<Outbox>, script: impl AsyncFnOnce(&mut Peer)) -> Played {
    play_on(duplex(64 * 1024), config, outbox, script).await
}

async fn play_on(
    (ours, theirs): (DuplexStream, DuplexStream),
    config: &SessionConfig,
    outbox: &RefCell<Outbox>,
    script: impl AsyncFnOnce(&mut Peer),
) -> Played {
    let clock = TokioClock(Instant::now());
    let (mut line, mut peer) = (FromTokio::new(ours), Peer(theirs));
    let (stop, mut told) = (Notify::new(), Vec::new());
    let session = Session { config, clock: &clock, outbox };
    let run = session.run(&mut line, stop.notified(), |event| told.push(format!("{event:?}")));
    let scripted = async {
        script(&mut peer).await;
        stop.notify_one();
        pending().await
    };
    let outcome = tokio::time::timeout(Duration::from_secs(600), async {
        tokio::select! { outcome = run => outcome, () = scripted => unreachable!() }
    });
    let outcome = outcome.await.expect("the session ends by itself");
    Played { outcome, told, peer }
}

#[tokio::test(start_paused = true)]
async fn connects_subscribes_asks_sends_and_says_goodbye() {
    let config = config().with_last_will();
    let outbox = outbox(&["r1", "r2"]);
    let mut played = play(&config, &outbox, async |peer| {
        let (first, connect) = peer.receive().await;
        assert_eq!((first, &connect[..10]), (0x10, b"\0\x04MQTT\x04\x0e\0\x3c".as_slice()));
        let (client_id, rest) = split_text(&connect[10..]);
        let (will_topic, will_payload) = split_text(rest);
        assert_eq!(
            (client_id.as_str(), will_topic.as_str()),
            ("truckSensor01", "dt/coldchain/depot1/truckSensor01/readings/online")
        );
        assert_eq!(will_payload, b"\0\x10{\"online\":false}");
        peer.send(&[0x20, 2, 0, 0]).await;

        let subscribe = peer.grant(ALL_GRANTED).await;
        let (mut rest, mut filters) = (&subscribe[2..], Vec::new());
        while !rest.is_empty() {
            let (filter, qos_and_rest) = split_text(rest);
            assert_eq!(qos_and_rest[0], 1);
            filters.push(filter);
            rest = &qos_and_rest[1..];
        }
        let endings = ["update/delta", "update/accepted", "update/rejected", "get/accepted", "get/rejected"];
        assert_eq!(filters, endings.map(|ending| format!("$aws/things/truckSensor01/shadow/{ending}")));

        let (packet_id, topic, payload) = peer.receive_publish().await;
        assert_eq!((topic.as_str(), payload.len()), ("$aws/things/truckSensor01/shadow/get", 0));
        let news = "$aws/things/truckSensor01/shadow/update/delta";
        peer.send(&publish_bytes(0x32, news, &[0, 7], b"{}")).await;
        assert_eq!(peer.receive().await, (0x40, vec![0, 7]), "the board acknowledges the delta");
        peer.acknowledge(packet_id).await;

        outbox.borrow_mut().push_report("report").unwrap();
        assert_eq!(peer.take_message().await, ("$aws/things/truckSensor01/shadow/update".into(), "report".into()));
        assert_eq!(peer.take_message().await, (READINGS.into(), "r1".into()));
        assert_eq!(peer.take_message().await, (READINGS.into(), "r2".into()));
        outbox.borrow_mut().push_reading("r3").unwrap();
        let (packet_id, ..) = peer.receive_publish().await;
        peer.send(&publish_bytes(0x30, "someone/else", &[], b"x")).await;
        peer.acknowledge(packet_id).await;
        // Only a ping, much later, shows that the board has taken all of it.
        assert_eq!(peer.receive().await, (0xc0, vec![]));
        peer.send(&[0xd0, 0]).await;
    })
    .await;
    assert_eq!(played.peer.receive().await, (0xe0, vec![]), "DISCONNECT");
    assert_eq!(played.outcome, Outcome { end: Ok(()), was_online: true, acknowledged: 4, ignored: 1 });
    assert!(played.outcome.was_useful() && outbox.borrow().is_empty());
    assert_eq!(played.told[..2], ["Online", "Shadow(Delta, [123, 125])"]);
    assert_eq!(played.told.iter().filter(|told| told.starts_with("Acknowledged")).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_has_its_own_error() {
    let refusals = [
        Refusal::ProtocolVersion,
        Refusal::ClientId,
        Refusal::Unavailable,
        Refusal::Credentials,
        Refusal::NotAuthorised,
    ];
    for (code, refusal) in (1..).zip(refusals) {
        let outbox = outbox(&["r1"]);
        let played = play(&config(), &outbox, async |peer| {
            peer.receive().await;
            peer.send(&[0x20, 2, 0, code]).await;
            pending().await
        })
        .await;
        assert_eq!(played.outcome.end, Err(SessionError::Refused(refusal)));
        assert!(!played.outcome.was_online && !played.outcome.was_useful());
        assert_eq!(outbox.borrow().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_is_named() {
    let played = play(&config(), &outbox(&[]), async |peer| {
        peer.accept().await;
        peer.grant([1, 0, 0x80, 1, 1]).await;
        pending().await
    })
    .await;
    let topic = "$aws/things/truckSensor01/shadow/update/rejected";
    let error = played.outcome.end.unwrap_err();
    assert_eq!(error, SessionError::Denied(topic.into()));
    assert_eq!(format!("{error}"), format!("The broker denied the subscription to {topic}."));
}

#[tokio::test(start_paused = true)]
async fn a_reading_without_acknowledgement_stays_and_goes_first_next_time() {
    let outbox = outbox(&["r1", "r2", "r3"]);
    let played = play(&config(), &outbox, async |peer| {
        peer.bring_online().await;
        assert_eq!(peer.take_message().await.1, "r1");
        assert_eq!(peer.receive_publish().await.2, b"r2");
        pending().await
    })
    .await;
    let outcome = played.outcome;
    assert_eq!(outcome.end, Err(SessionError::Timeout(Phase::Publishing)));
    assert_eq!((outcome.acknowledged, outbox.borrow().len()), (1, 2));

    let played = play(&config(), &outbox, async |peer| {
        peer.bring_online().await;
        assert_eq!(peer.take_message().await.1, "r2");
        assert_eq!(peer.take_message().await.1, "r3");
        peer.receive().await;
    })
    .await;
    assert_eq!(played.outcome.acknowledged, 2);
    assert!(outbox.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn packets_in_pieces_and_several_at_once_are_understood() {
    let outbox = outbox(&["r1"]);
    let played = play(&config(), &outbox, async |peer| {
        peer.receive().await;
        for byte in [0x20, 2, 0, 0] {
            peer.send(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        peer.grant(ALL_GRANTED).await;
        let (packet_id, ..) = peer.receive_publish().await;
        let accepted = "$aws/things/truckSensor01/shadow/get/accepted";
        let mut bytes = publish_bytes(0x30, accepted, &[], b"1");
        bytes.extend(publish_bytes(0x30, accepted, &[], b"2"));
        bytes.extend([0x40, 2, packet_id[0], packet_id[1]]);
        let (head, tail) = bytes.split_at(30);
        peer.send(head).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        peer.send(tail).await;
        assert_eq!(peer.take_message().await.1, "r1");
        peer.receive().await;
    })
    .await;
    assert_eq!(played.outcome.end, Ok(()));
    assert_eq!(
        played.told,
        ["Online", "Shadow(GetAccepted, [49])", "Shadow(GetAccepted, [50])", "Acknowledged(Reading)"]
    );
}

#[tokio::test(start_paused = true)]
async fn pings_before_the_keep_alive_is_over_and_notices_a_dead_broker() {
    let played = play(&config(), &outbox(&[]), async |peer| {
        peer.bring_online().await;
        for _ in 0..3 {
            let silent_since = Instant::now();
            assert_eq!(peer.receive().await, (0xc0, vec![]));
            let silent_secs = silent_since.elapsed().as_secs();
            assert!((40..60).contains(&silent_secs), "{silent_secs}");
            peer.send(&[0xd0, 0]).await;
        }
        assert_eq!(peer.receive().await, (0xc0, vec![]));
        pending().await
    })
    .await;
    assert_eq!(played.outcome.end, Err(SessionError::Timeout(Phase::Pinging)));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_answers_is_given_up() {
    let silent = play(&config(), &outbox(&[]), async |_| pending().await).await;
    assert_eq!(silent.outcome.end, Err(SessionError::Timeout(Phase::Connecting)));
    let silent = play(&config(), &outbox(&[]), async |peer| {
        peer.accept().await;
        pending().await
    })
    .await;
    assert_eq!(silent.outcome.end, Err(SessionError::Timeout(Phase::Subscribing)));
}

#[tokio::test(start_paused = true)]
async fn chatter_does_not_put_off_a_deadline() {
    let played = play(&config(), &outbox(&["r1"]), async |peer| {
        peer.bring_online().await;
        peer.receive_publish().await;
        loop {
            peer.send(&publish_bytes(0x30, "chatter", &[], b"x")).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    })
    .await;
    assert_eq!(played.outcome.end, Err(SessionError::Timeout(Phase::Publishing)));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_takes_nothing_is_given_up() {
    let outbox = outbox(&[&"x".repeat(MAX_PAYLOAD_BYTES)]);
    let played = play_on(duplex(256), &config(), &outbox, async |peer| {
        peer.bring_online().await;
        pending().await
    })
    .await;
    assert_eq!(played.outcome.end, Err(SessionError::Timeout(Phase::Writing)));
    assert_eq!(outbox.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_line_tells_what_was_under_way() {
    let outbox = outbox(&["r1"]);
    let played = play(&config(), &outbox, async |peer| {
        peer.receive().await;
        peer.0.shutdown().await.unwrap();
        pending().await
    })
    .await;
    assert_eq!(played.outcome.end, Err(SessionError::NotAdmitted));
    let played = play(&config(), &outbox, async |peer| {
        peer.bring_online().await;
        peer.receive_publish().await;
        peer.0.shutdown().await.unwrap();
        pending().await
    })
    .await;
    let error = played.outcome.end.unwrap_err();
    assert_eq!(error, SessionError::Closed(Phase::Publishing));
    assert_eq!(error.code(), "session.closed");
    assert_eq!(outbox.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_fails_is_told_from_one_that_is_closed() {
    for (kind, end) in [
        (ErrorKind::TimedOut, SessionError::Io(ErrorKind::TimedOut, Phase::Connecting)),
        (ErrorKind::ConnectionReset, SessionError::NotAdmitted),
    ] {
        let (config, clock, outbox) = (config(), TokioClock(Instant::now()), outbox(&[]));
        let session = Session { config: &config, clock: &clock, outbox: &outbox };
        let outcome = session.run(&mut Failing(kind), pending(), |_| ()).await;
        assert_eq!(outcome.end, Err(end));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_ends_the_session() {
    let early = publish_bytes(0x30, "$aws/things/truckSensor01/shadow/update/delta", &[], b"{}");
    for bytes in [&early[..], &[0xf0, 0], &[0x20, 3, 0, 0, 0], &[0x20, 2, 0, 9], &[0xd0, 0]] {
        let played = play(&config(), &outbox(&[]), async |peer| {
            peer.receive().await;
            peer.send(bytes).await;
            pending().await
        })
        .await;
        assert_eq!(played.outcome.end, Err(SessionError::Malformed), "{bytes:?}");
    }
    let played = play(&config(), &outbox(&[]), async |peer| {
        peer.bring_online().await;
        peer.send(&[0x30, 0xff, 0xff, 0x01]).await;
        pending().await
    })
    .await;
    assert_eq!(played.outcome.end, Err(SessionError::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_packet_may_be_as_large_as_the_limit() {
    // A fixed header of 3 bytes: the whole packet is exactly MAX_PACKET_BYTES.
    let mut largest = vec![0x30, 0xfd, 0x7f, 0, 7];
    largest.extend(b"largest");
    largest.resize(MAX_PACKET_BYTES as usize, b'x');
    let played = play(&config(), &outbox(&[]), async |peer| {
        peer.bring_online().await;
        peer.send(&largest).await;
        peer.receive().await;
    })
    .await;
    assert_eq!((played.outcome.end, played.outcome.ignored), (Ok(()), 1));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_something_else_takes_nothing_out() {
    let outbox = outbox(&["r1"]);
    let played = play(&config(), &outbox, async |peer| {
        peer.bring_online().await;
        let (packet_id, ..) = peer.receive_publish().await;
        peer.acknowledge([packet_id[0], packet_id[1] ^ 0x40]).await;
        pending().await
    })
    .await;
    assert_eq!(played.outcome.end, Err(SessionError::Malformed));
    assert_eq!(outbox.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_broker_has_answered_is_honoured_at_once() {
    let started = Instant::now();
    let played = play(&config(), &outbox(&[]), async |peer| {
        peer.receive().await;
    })
    .await;
    assert_eq!(played.outcome, Outcome { end: Ok(()), was_online: false, acknowledged: 0, ignored: 0 });
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_unusable_configuration_is_named_before_anything_is_sent() {
    let will = |topic: &str| Some(Will { topic: topic.into(), payload: vec![] });
    for (config, field) in [
        (SessionConfig::new("", READINGS), "thing name"),
        (SessionConfig::new("truckSensor01", ""), "readings topic"),
        (SessionConfig::new("truckSensor01", "dt/+/readings"), "readings topic"),
        (SessionConfig { will: will("dt/#"), ..config() }, "will"),
        (SessionConfig { will: will(""), ..config() }, "will"),
    ] {
        let mut played = play(&config, &outbox(&[]), async |_| pending().await).await;
        assert_eq!(played.outcome.end, Err(SessionError::Config(field)));
        let nothing = tokio::time::timeout(Duration::from_secs(1), played.peer.0.read_u8()).await;
        assert!(!matches!(nothing, Ok(Ok(_))));
    }
}

/// On the host a session is a task of its own and the board fills the outbox from another one.
#[tokio::test(start_paused = true)]
async fn a_session_can_be_spawned_and_is_woken_by_a_reading() {
    let (ours, theirs) = duplex(4096);
    let (shared, stop) = (Arc::new(Mutex::new(outbox(&[]).into_inner())), Arc::new(Notify::new()));
    let session = tokio::spawn({
        let (shared, stop) = (shared.clone(), stop.clone());
        async move {
            let (config, clock) = (config(), TokioClock(Instant::now()));
            let session = Session { config: &config, clock: &clock, outbox: &*shared };
            session.run(&mut FromTokio::new(ours), stop.notified(), |_| ()).await
        }
    });
    let mut peer = Peer(theirs);
    peer.bring_online().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pushed = Instant::now();
    shared.with(|outbox| outbox.push_reading("r1")).unwrap();
    assert_eq!(peer.take_message().await.1, "r1");
    assert_eq!(pushed.elapsed(), Duration::ZERO);
    peer.receive().await;
    stop.notify_one();
    assert_eq!(session.await.unwrap().acknowledged, 1);
}

/// Bytes that may be anything, or packets that are at least framed as such.
fn any_answer() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..60);
    let framed = (any::<u8>(), body).prop_map(|(first, body)| {
        let mut packet = vec![first, body.len().try_into().unwrap()];
        packet.extend(body);
        packet
    });
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..200),
        proptest::collection::vec(framed, 1..4).prop_map(|packets| packets.concat()),
    ]
}

proptest! {
    /// Whatever comes over the line, before or after the board is online: an error, never a panic or a hang.
    #[test]
    fn any_bytes_end_in_an_error(bytes in any_answer(), online: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let outbox = outbox(&["r1"]);
        let played = runtime.block_on(play(&config(), &outbox, async |peer| {
            if online {
                peer.bring_online().await;
            }
            peer.send(&bytes).await;
            peer.0.shutdown().await.unwrap();
            pending().await
        }));
        prop_assert!(played.outcome.end.is_err());
    }
}
