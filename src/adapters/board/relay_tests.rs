//! The tool's end of the tunnel between a board that is played here and a listener on loopback.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use coldbench_protocol::tunnel::{CHUNK_BYTES, FromBoard, FromTool, RelayRefusal, WINDOW_BYTES};

use super::relay::{Counters, Relay};
use crate::ports::board::RelayTarget;

/// Ends a hang; nothing is measured by it.
const LONG: Duration = Duration::from_secs(60);

struct Bench {
    relay: Relay,
    counters: Arc<Counters>,
    broker: TcpListener,
    target: RelayTarget,
}

impl Bench {
    fn new() -> Self {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = RelayTarget { host: "127.0.0.1".into(), port: broker.local_addr().unwrap().port() };
        let counters = Arc::<Counters>::default();
        let mut relay = Relay::new(counters.clone());
        relay.offer(Some(target.clone()));
        Bench { relay, counters, broker, target }
    }

    fn ask(&mut self, number: u16) {
        let (host, port) = (self.target.host.clone(), self.target.port);
        self.relay.on_message(FromBoard::Open { number, host, port });
    }

    fn open(&mut self, number: u16) -> TcpStream {
        self.ask(number);
        let (stream, _) = self.broker.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(self.answer(), FromTool::Opened { number });
        stream
    }

    /// The next thing the tool says.
    fn answer(&mut self) -> FromTool {
        let end = Instant::now() + LONG;
        loop {
            self.relay.turn();
            if let Some(answer) = self.relay.next_answer() {
                return answer;
            }
            assert!(Instant::now() < end, "the tool says nothing");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn silence(&mut self) {
        self.relay.turn();
        assert_eq!(self.relay.next_answer(), None);
    }
}

fn data(number: u16, bytes: &[u8]) -> FromBoard {
    FromBoard::Data { number, bytes: bytes.to_vec() }
}

#[test]
fn bytes_go_both_ways_and_are_counted() {
    let mut bench = Bench::new();
    let mut broker = bench.open(1);
    bench.relay.on_message(data(1, b"hello broker"));
    assert_eq!(bench.answer(), FromTool::Taken { number: 1, bytes: 12 });
    let mut heard = [0; 12];
    broker.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello broker");
    broker.write_all(b"hello board").unwrap();
    assert_eq!(bench.answer(), FromTool::Data { number: 1, bytes: b"hello board".to_vec() });
    let traffic = bench.counters.traffic();
    assert_eq!((traffic.connections, traffic.to_broker_bytes, traffic.from_broker_bytes), (1, 12, 11));

    // What is said before a close arrives before it.
    bench.relay.on_message(data(1, b"bye"));
    bench.relay.on_message(FromBoard::Close { number: 1 });
    let mut rest = Vec::new();
    broker.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"bye");
    bench.silence();
    assert!(!bench.relay.is_busy());
}

#[test]
fn a_board_gets_nowhere_but_to_its_broker() {
    let mut bench = Bench::new();
    let refused = |number| FromTool::Refused { number, reason: RelayRefusal::NotAllowed };
    let port = bench.target.port;
    bench.relay.on_message(FromBoard::Open { number: 1, host: "localhost".into(), port });
    assert_eq!(bench.answer(), refused(1));
    let host = bench.target.host.clone();
    bench.relay.on_message(FromBoard::Open { number: 2, host, port: port ^ 1 });
    assert_eq!(bench.answer(), refused(2));
    bench.relay.offer(None);
    bench.ask(3);
    assert_eq!(bench.answer(), refused(3));
    bench.broker.set_nonblocking(true).unwrap();
    assert!(bench.broker.accept().is_err(), "nobody has connected");
}

#[test]
fn what_stands_in_the_way_is_named() {
    let Bench { mut relay, broker, target, .. } = Bench::new();
    drop(broker);
    let answer = |relay: &mut Relay, wanted: &RelayTarget| {
        relay.offer(Some(wanted.clone()));
        let end = Instant::now() + LONG;
        // The thread of the last try may still be about to end.
        loop {
            relay.on_message(FromBoard::Open { number: 9, host: wanted.host.clone(), port: wanted.port });
            let answer = loop {
                relay.turn();
                match relay.next_answer() {
                    Some(answer) => break answer,
                    None => thread::sleep(Duration::from_millis(1)),
                }
            };
            if answer != (FromTool::Refused { number: 9, reason: RelayRefusal::TimedOut }) {
                return answer;
            }
            assert!(Instant::now() < end);
        }
    };
    let refused = |reason| FromTool::Refused { number: 9, reason };
    assert_eq!(answer(&mut relay, &target), refused(RelayRefusal::NotReachable));
    let nameless = RelayTarget { host: "no such host".into(), port: 8883 };
    assert_eq!(answer(&mut relay, &nameless), refused(RelayRefusal::NameUnknown));
}

#[test]
fn no_more_than_a_window_is_taken_from_the_broker() {
    let mut bench = Bench::new();
    let mut broker = bench.open(1);
    let sent: Vec<u8> = (0..20_000_u32).map(|number| number as u8).collect();
    let writer = thread::spawn({
        let sent = sent.clone();
        move || broker.write_all(&sent).map(|()| broker)
    });
    let mut arrived = Vec::new();
    while arrived.len() < WINDOW_BYTES as usize {
        let FromTool::Data { bytes, .. } = bench.answer() else { panic!("no data") };
        assert!(bytes.len() <= CHUNK_BYTES);
        arrived.extend(bytes);
    }
    assert_eq!(arrived.len(), WINDOW_BYTES as usize);
    bench.silence();
    let mut untold = arrived.len() as u32;
    while arrived.len() < sent.len() {
        bench.relay.on_message(FromBoard::Taken { number: 1, bytes: untold });
        let FromTool::Data { bytes, .. } = bench.answer() else { panic!("no data") };
        untold = bytes.len() as u32;
        arrived.extend(bytes);
    }
    assert_eq!(arrived, sent);
    drop(writer.join().unwrap().unwrap());
    bench.relay.on_message(FromBoard::Taken { number: 1, bytes: untold });
    assert_eq!(bench.answer(), FromTool::Closed { number: 1 });
}

#[test]
fn a_board_that_breaks_the_rules_loses_its_connection() {
    for breach in [data(1, &[0; WINDOW_BYTES as usize + 1]), FromBoard::Taken { number: 1, bytes: 1 }] {
        let mut bench = Bench::new();
        let mut broker = bench.open(1);
        bench.relay.on_message(breach);
        assert_eq!(bench.answer(), FromTool::Closed { number: 1 });
        assert_eq!(broker.read(&mut [0; 8]).unwrap(), 0);
    }
}

#[test]
fn a_new_connection_ends_the_old_one_and_late_bytes_go_nowhere() {
    let mut bench = Bench::new();
    let mut old = bench.open(1);
    let mut new = bench.open(2);
    assert_eq!(old.read(&mut [0; 8]).unwrap(), 0);
    bench.relay.on_message(data(1, b"late"));
    assert_eq!(bench.answer(), FromTool::Closed { number: 1 });
    assert_eq!(bench.counters.traffic().dropped, 1);
    bench.relay.on_message(data(2, b"new"));
    let mut heard = [0; 3];
    new.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"new");
}

#[test]
fn the_offer_s_end_and_the_line_s_end_are_the_connection_s() {
    let mut bench = Bench::new();
    let mut broker = bench.open(1);
    bench.relay.offer(None);
    assert_eq!(bench.answer(), FromTool::Closed { number: 1 });
    assert_eq!(broker.read(&mut [0; 8]).unwrap(), 0);

    bench.relay.offer(Some(bench.target.clone()));
    let mut broker = bench.open(2);
    drop(bench.relay);
    assert_eq!(broker.read(&mut [0; 8]).unwrap(), 0);
}
