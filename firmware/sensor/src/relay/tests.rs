#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use alloc::{format, string::ToString, vec};
use core::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    task::Waker,
    time::Duration,
};

use coldbench_protocol::tunnel::CHUNK_BYTES;
use embedded_io_async::{Read, Write};
use proptest::prelude::*;
use tokio::{join, sync::mpsc, time::timeout};

use super::*;

const WINDOW: usize = WINDOW_BYTES as usize;

fn offering() -> RefCell<Relay> {
    let mut relay = Relay::new();
    relay.offer(true);
    RefCell::new(relay)
}

/// An open line, number 1, whose opening was said.
fn open(relay: &RefCell<Relay>) -> RelayStream<'_, RefCell<Relay>> {
    let mut opening = pin!(RelayStream::open(relay, "broker", 8883));
    assert!(poll(opening.as_mut()).is_pending());
    let asked = relay.borrow_mut().to_send();
    let number = asked.as_ref().unwrap().number();
    assert_eq!(asked, Some(FromBoard::Open { number, host: "broker".into(), port: 8883 }));
    relay.borrow_mut().on_message(FromTool::Opened { number });
    match poll(opening) {
        Poll::Ready(stream) => stream.unwrap(),
        Poll::Pending => panic!("the line is open"),
    }
}

fn poll<F: Future>(future: core::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The outcome of a future that must not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match poll(pin!(future)) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn data(number: u16, len: usize) -> FromTool {
    FromTool::Data { number, bytes: vec![0x5a; len] }
}

/// All that the relay has to say, without the bytes.
fn said(relay: &RefCell<Relay>) -> Vec<alloc::string::String> {
    core::iter::from_fn(|| relay.borrow_mut().to_send()).map(|message| format!("{message:?}")).collect()
}

#[test]
fn no_line_without_an_offer_and_one_at_a_time() {
    let relay = RefCell::new(Relay::new());
    assert_eq!(now(RelayStream::open(&relay, "broker", 8883)).err(), Some(RelayError::NotOffered));
    relay.borrow_mut().offer(true);
    let too_long = "a".repeat(MAX_HOST_BYTES + 1);
    assert_eq!(now(RelayStream::open(&relay, &too_long, 8883)).err(), Some(RelayError::HostTooLong));
    let line = open(&relay);
    assert_eq!(now(RelayStream::open(&relay, "broker", 8883)).err(), Some(RelayError::Busy));
    drop(line);
    assert_eq!(said(&relay), ["Close(1)"]);
    let second = open(&relay);
    assert_eq!(format!("{second:?}"), "RelayStream(2)");
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    for (reason, kind) in [
        (RelayRefusal::NotAllowed, ErrorKind::PermissionDenied),
        (RelayRefusal::NotReachable, ErrorKind::ConnectionRefused),
        (RelayRefusal::NameUnknown, ErrorKind::AddrNotAvailable),
        (RelayRefusal::TimedOut, ErrorKind::TimedOut),
    ] {
        let relay = offering();
        let mut opening = pin!(RelayStream::open(&relay, "broker", 8883));
        assert!(poll(opening.as_mut()).is_pending());
        assert_eq!(said(&relay), ["Open(1, broker:8883)"]);
        relay.borrow_mut().on_message(FromTool::Refused { number: 1, reason });
        let Poll::Ready(Err(error)) = poll(opening) else { panic!("it is refused") };
        assert_eq!(error, RelayError::Refused(reason));
        assert_eq!(embedded_io_async::Error::kind(&error), kind);
        assert_eq!(error.to_string(), reason.to_string());
        assert_eq!(said(&relay), Vec::<&str>::new(), "the tool knows");
    }
}

#[test]
fn an_opening_that_is_given_up_leaves_nothing_behind() {
    let relay = offering();
    drop(poll(pin!(RelayStream::open(&relay, "broker", 8883))));
    assert_eq!(said(&relay), Vec::<&str>::new(), "the tool was never asked");
    {
        let mut opening = pin!(RelayStream::open(&relay, "broker", 8883));
        assert!(poll(opening.as_mut()).is_pending());
        assert_eq!(said(&relay), ["Open(2, broker:8883)"]);
    }
    assert_eq!(said(&relay), ["Close(2)"]);
    relay.borrow_mut().on_message(FromTool::Opened { number: 2 });
    assert_eq!(relay.borrow().dropped(), 1);
}

#[test]
fn more_than_the_window_waits_for_the_tool() {
    let relay = offering();
    let mut line = open(&relay);
    assert_eq!(now(line.write(&[1; 10_000])), Ok(WINDOW));
    assert!(poll(pin!(line.write(&[2]))).is_pending(), "the buffer is full");
    assert_eq!(said(&relay), vec![format!("Data(1, {CHUNK_BYTES} bytes)"); 4]);
    assert_eq!(now(line.flush()), Ok(()), "all of it is on the link");
    assert_eq!(now(line.write(&[3; 10])), Ok(10));
    assert_eq!(said(&relay), Vec::<&str>::new(), "no credit");
    assert!(poll(pin!(line.flush())).is_pending());
    relay.borrow_mut().on_message(FromTool::Taken { number: 1, bytes: 4 });
    assert_eq!(said(&relay), ["Data(1, 4 bytes)"]);
    relay.borrow_mut().on_message(FromTool::Taken { number: 1, bytes: WINDOW_BYTES + 1 });
    assert_eq!(now(line.flush()), Err(RelayError::Broken), "more credit than there can be");
    assert_eq!(said(&relay), ["Close(1)"]);
}

#[test]
fn the_tool_is_told_what_was_read_and_may_not_send_more() {
    let relay = offering();
    let mut line = open(&relay);
    let mut buffer = [0; 100];
    assert!(poll(pin!(line.read(&mut buffer))).is_pending());
    for _ in 0..4 {
        relay.borrow_mut().on_message(data(1, CHUNK_BYTES));
    }
    assert_eq!(now(line.read(&mut buffer)), Ok(100));
    assert_eq!(said(&relay), Vec::<&str>::new(), "too little to tell");
    let mut large = [0; WINDOW];
    assert_eq!(now(line.read(&mut large)), Ok(WINDOW - 100));
    assert_eq!(said(&relay), ["Taken(1, 4096 bytes)"]);
    relay.borrow_mut().on_message(data(1, 30));
    assert_eq!(now(line.read(&mut large)), Ok(30));
    assert_eq!(said(&relay), ["Taken(1, 30 bytes)"], "nothing else waits");
    relay.borrow_mut().on_message(data(1, WINDOW + 1));
    assert_eq!(now(line.read(&mut large)), Err(RelayError::Broken));
    assert_eq!(said(&relay), ["Close(1)"]);
}

#[test]
fn an_orderly_end_gives_what_came_before_it() {
    let relay = offering();
    let mut line = open(&relay);
    relay.borrow_mut().on_message(data(1, 3));
    relay.borrow_mut().on_message(FromTool::Closed { number: 1 });
    let mut buffer = [0; 10];
    assert_eq!(now(line.read(&mut buffer)), Ok(3));
    assert_eq!(now(line.read(&mut buffer)), Ok(0));
    assert_eq!(now(line.write(&[1])), Err(RelayError::Closed));
    drop(line);
    assert_eq!(said(&relay), Vec::<&str>::new());
}

#[test]
fn a_withdrawn_offer_breaks_the_line_at_once() {
    let relay = offering();
    let mut line = open(&relay);
    relay.borrow_mut().on_message(data(1, 3));
    relay.borrow_mut().offer(false);
    let mut buffer = [0; 10];
    assert_eq!(now(line.read(&mut buffer)), Err(RelayError::Withdrawn));
    assert_eq!(now(line.write(&[1])), Err(RelayError::Withdrawn));
    assert_eq!(now(line.flush()), Err(RelayError::Withdrawn));
    assert_eq!(said(&relay), ["Close(1)"]);
    assert!(poll(pin!(poll_fn(|context| relay.borrow_mut().poll_offered(context)))).is_pending());
    relay.borrow_mut().offer(true);
    now(poll_fn(|context| relay.borrow_mut().poll_offered(context)));
}

#[test]
fn what_belongs_to_an_earlier_line_is_dropped() {
    let relay = offering();
    drop(open(&relay));
    assert_eq!(said(&relay), ["Close(1)"]);
    let mut second = open(&relay);
    for late in [data(1, 5), FromTool::Closed { number: 1 }, FromTool::Taken { number: 1, bytes: 1 }] {
        relay.borrow_mut().on_message(late);
    }
    assert_eq!(relay.borrow().dropped(), 3);
    assert!(poll(pin!(second.read(&mut [0; 10]))).is_pending());
}

/// A tool that echoes what it is sent, in another task.
#[tokio::test]
async fn bytes_pass_both_ways_between_tasks() {
    let relay = offering();
    let (to_tool, mut from_board) = mpsc::unbounded_channel();
    let link = async {
        loop {
            let message = poll_fn(|context| relay.borrow_mut().poll_to_send(context)).await;
            let over = matches!(message, FromBoard::Close { .. });
            to_tool.send(message).unwrap();
            if over {
                break;
            }
        }
    };
    let tool = async {
        while let Some(message) = from_board.recv().await {
            let number = message.number();
            match message {
                FromBoard::Open { .. } => relay.borrow_mut().on_message(FromTool::Opened { number }),
                FromBoard::Data { bytes, .. } => {
                    let taken = FromTool::Taken { number, bytes: bytes.len() as u32 };
                    relay.borrow_mut().on_message(taken);
                    relay.borrow_mut().on_message(FromTool::Data { number, bytes });
                }
                FromBoard::Taken { .. } => {}
                FromBoard::Close { .. } => break,
            }
        }
    };
    let board = async {
        let mut line = RelayStream::open(&relay, "broker", 8883).await.unwrap();
        let mut sent: u8 = 0;
        for round in 1..200_usize {
            let bytes: Vec<u8> = (0..round * 7 % 3000)
                .map(|_| {
                    sent = sent.wrapping_add(1);
                    sent
                })
                .collect();
            line.write_all(&bytes).await.unwrap();
            line.flush().await.unwrap();
            let mut back = vec![0; bytes.len()];
            line.read_exact(&mut back).await.unwrap();
            assert_eq!(back, bytes);
        }
    };
    timeout(Duration::from_secs(60), async { join!(link, tool, board) }).await.unwrap();
}

/// What may happen to a relay.
#[derive(Debug, Clone)]
enum Happening {
    Offer(bool),
    Open,
    Message(FromTool),
    Read(usize),
    Write(usize),
    Flush,
    Close,
    Send(usize),
}

fn message() -> impl Strategy<Value = FromTool> {
    let reason = prop_oneof![Just(RelayRefusal::NotAllowed), Just(RelayRefusal::TimedOut)];
    let number = 0_u16..6;
    prop_oneof![
        number.clone().prop_map(|number| FromTool::Opened { number }),
        (number.clone(), reason).prop_map(|(number, reason)| FromTool::Refused { number, reason }),
        (number.clone(), 0_usize..5000).prop_map(|(number, len)| data(number, len)),
        (number.clone(), prop_oneof![0_u32..2000, any::<u32>()])
            .prop_map(|(number, bytes)| FromTool::Taken { number, bytes }),
        number.prop_map(|number| FromTool::Closed { number }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        any::<bool>().prop_map(Happening::Offer),
        Just(Happening::Offer(true)),
        Just(Happening::Open),
        message().prop_map(Happening::Message),
        message().prop_map(Happening::Message),
        (0_usize..2000).prop_map(Happening::Read),
        (0_usize..5000).prop_map(Happening::Write),
        Just(Happening::Flush),
        Just(Happening::Close),
        (1_usize..8).prop_map(Happening::Send),
    ]
}

proptest! {
    /// Whatever the tool says and the board does: no panic, never more than a window unanswered, bounded buffers, and
    /// a line that is over never waits.
    #[test]
    fn any_order_of_things_keeps_the_bounds(happenings in prop::collection::vec(happening(), 0..120)) {
        let mut relay = Relay::new();
        let context = &mut Context::from_waker(Waker::noop());
        let (mut number, mut granted, mut sent) = (0, 0_u64, 0_u64);
        for happening in happenings {
            match happening {
                Happening::Offer(offered) => relay.offer(offered),
                Happening::Open => if let Ok(new) = relay.open("broker", 8883) {
                    number = new;
                    (granted, sent) = (u64::from(WINDOW_BYTES), 0);
                },
                Happening::Message(message) => {
                    if let FromTool::Taken { number: of, bytes } = &message && *of == number {
                        granted += u64::from(*bytes);
                    }
                    relay.on_message(message);
                }
                Happening::Read(len) => drop(relay.poll_read(number, context, &mut vec![0; len])),
                Happening::Write(len) => drop(relay.poll_write(number, context, &vec![0; len])),
                Happening::Flush => drop(relay.poll_flush(number, context)),
                Happening::Close => {
                    relay.close(number);
                    let read = relay.poll_read(number, context, &mut [0; 8]);
                    prop_assert!(read.is_ready(), "{:?}", read);
                    prop_assert!(relay.poll_opened(number, context).is_ready());
                    prop_assert!(relay.poll_flush(number, context).is_ready());
                }
                Happening::Send(times) => for _ in 0..times {
                    match relay.to_send() {
                        Some(FromBoard::Data { bytes, number: of }) => {
                            prop_assert!(of == number && !bytes.is_empty() && bytes.len() <= CHUNK_BYTES);
                            sent += bytes.len() as u64;
                        }
                        Some(_) => {}
                        None => break,
                    }
                },
            }
            prop_assert!(sent <= granted, "{} sent, {} granted", sent, granted);
            prop_assert!(relay.arrived.len() <= WINDOW && relay.leaving.len() <= WINDOW);
        }
    }
}
