//! The tool's end of the byte tunnel: a connection of the board to its broker, carried by this computer.
//!
//! It belongs to the thread that owns the line, which turns it between two looks at the line. Only bytes are forwarded:
//! TLS is between board and broker. Nothing waits here but the thread that opens a connection, and that within
//! `CONNECT_LIMIT`.
//!
//! # Invariants
//! - A connection leads to the target that was offered for this board, and nowhere else.
//! - Each way at most a window of bytes waits (see [`coldbench_protocol::tunnel`]).
//! - It ends with the line: dropping the relay closes the connection.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use coldbench_protocol::tunnel::{CHUNK_BYTES, Credit, FromBoard, FromTool, RelayRefusal};

use crate::ports::board::{RelayTarget, RelayTraffic};

/// How long finding and reaching the broker may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Answers to the board that may wait. One turn makes a handful; a board that is owed more breaks the rules.
const MAX_ANSWERS: usize = 32;

/// What went through, for whoever holds the board.
#[derive(Debug, Default)]
pub(super) struct Counters {
    connections: AtomicU32,
    to_broker_bytes: AtomicU64,
    from_broker_bytes: AtomicU64,
    dropped: AtomicU32,
}

impl Counters {
    pub(super) fn traffic(&self) -> RelayTraffic {
        RelayTraffic {
            connections: self.connections.load(Ordering::Relaxed),
            to_broker_bytes: self.to_broker_bytes.load(Ordering::Relaxed),
            from_broker_bytes: self.from_broker_bytes.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// The tool's end of the tunnel.
pub(super) struct Relay {
    target: Option<RelayTarget>,
    connection: Option<Connection>,
    /// The thread that opens, or opened, the last connection.
    opener: Option<JoinHandle<()>>,
    answers: VecDeque<FromTool>,
    counters: Arc<Counters>,
}

struct Connection {
    number: u16,
    state: State,
    credit: Credit,
    /// From the board, not yet taken by the operating system.
    to_broker: VecDeque<u8>,
}

enum State {
    Opening { opened: Receiver<Result<TcpStream, RelayRefusal>>, give_up: Instant },
    Open(TcpStream),
}

/// Whether a connection goes on.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Goes,
    Ended,
}

impl Relay {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Relay { target: None, connection: None, opener: None, answers: VecDeque::new(), counters }
    }

    /// Where the board may connect to from now on. Another target, or none, ends a connection there is.
    pub(super) fn offer(&mut self, target: Option<RelayTarget>) {
        if self.target != target {
            self.end(true);
            self.target = target;
        }
    }

    /// Whether a target is offered.
    pub(super) fn is_offered(&self) -> bool {
        self.target.is_some()
    }

    /// The board started anew and knows nothing of a connection.
    pub(super) fn forget(&mut self) {
        self.end(false);
        self.answers.clear();
    }

    /// Whether the relay has to be turned often.
    pub(super) fn is_busy(&self) -> bool {
        self.connection.is_some() || !self.answers.is_empty()
    }

    /// Takes what the board says.
    pub(super) fn on_message(&mut self, message: FromBoard) {
        let is_current = self.connection.as_ref().is_some_and(|one| one.number == message.number());
        match message {
            FromBoard::Open { number, host, port } => self.open(number, host, port),
            FromBoard::Data { bytes, .. } if is_current => self.take_data(&bytes),
            FromBoard::Taken { bytes, .. } if is_current => {
                let granted = self.connection.as_mut().map(|connection| connection.credit.granted(bytes));
                if granted.is_some_and(|granted| granted.is_err()) {
                    self.break_off("the board took more than it was sent");
                }
            }
            FromBoard::Close { .. } if is_current => self.end(false),
            // The board goes by a connection that is over here: it is told so.
            FromBoard::Data { number, .. } => {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
                self.answer(FromTool::Closed { number });
            }
            // On their way while the connection ended.
            FromBoard::Taken { .. } | FromBoard::Close { .. } => {}
        }
    }

    /// Moves what can be moved, without waiting.
    pub(super) fn turn(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.advance(&mut connection) == Next::Goes {
            self.connection = Some(connection);
        }
    }

    /// What to send to the board next.
    pub(super) fn next_answer(&mut self) -> Option<FromTool> {
        self.answers.pop_front()
    }

    fn open(&mut self, number: u16, host: String, port: u16) {
        self.end(false);
        let wanted = RelayTarget { host, port };
        if self.target.as_ref() != Some(&wanted) {
            tracing::warn!(%wanted, "the board asks for a connection that it is not offered");
            return self.answer(FromTool::Refused { number, reason: RelayRefusal::NotAllowed });
        }
        // One thread at a time: a board that asks again and again while a name server is silent makes no more of them.
        if self.opener.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return self.answer(FromTool::Refused { number, reason: RelayRefusal::TimedOut });
        }
        let (tell, opened) = sync_channel(1);
        let opener = thread::Builder::new().name("relay".to_owned()).spawn(move || {
            // Whoever asked may have given up.
            let _ = tell.send(connect(&wanted));
        });
        match opener {
            Ok(opener) => {
                self.opener = Some(opener);
                let state = State::Opening { opened, give_up: Instant::now() + CONNECT_LIMIT };
                let (credit, to_broker) = (Credit::default(), VecDeque::new());
                self.connection = Some(Connection { number, state, credit, to_broker });
            }
            Err(error) => {
                tracing::warn!(%error, "no thread for a connection of the board");
                self.answer(FromTool::Refused { number, reason: RelayRefusal::NotReachable });
            }
        }
    }

    fn take_data(&mut self, bytes: &[u8]) {
        let Some(connection) = &mut self.connection else { return };
        if matches!(connection.state, State::Opening { .. }) || connection.credit.arrived(bytes.len()).is_err() {
            return self.break_off("the board sent more than it may");
        }
        connection.to_broker.extend(bytes);
        // At once, so that a close that follows finds nothing left.
        self.turn();
    }

    fn advance(&mut self, connection: &mut Connection) -> Next {
        let number = connection.number;
        match &mut connection.state {
            State::Opening { opened, give_up } => {
                let outcome = match opened.try_recv() {
                    Ok(outcome) => outcome,
                    Err(TryRecvError::Empty) if Instant::now() < *give_up => return Next::Goes,
                    Err(_) => Err(RelayRefusal::TimedOut),
                };
                match outcome {
                    Ok(stream) => {
                        connection.state = State::Open(stream);
                        self.counters.connections.fetch_add(1, Ordering::Relaxed);
                        self.answer(FromTool::Opened { number });
                        Next::Goes
                    }
                    Err(reason) => {
                        tracing::warn!(%reason, "a connection for the board could not be opened");
                        self.answer(FromTool::Refused { number, reason });
                        Next::Ended
                    }
                }
            }
            State::Open(stream) => {
                let moved = send(stream, &mut connection.to_broker).and_then(|sent| {
                    let arrived = receive(stream, &mut connection.credit)?;
                    Ok((sent, arrived))
                });
                match moved {
                    Ok((sent, arrived)) => self.tell(connection, sent, arrived),
                    Err(error) => {
                        tracing::debug!(%error, "the broker broke the board's connection off");
                        self.answer(FromTool::Closed { number });
                        Next::Ended
                    }
                }
            }
        }
    }

    /// Tells the board what was moved.
    fn tell(&mut self, connection: &mut Connection, sent: u32, arrived: Arrived) -> Next {
        let number = connection.number;
        if sent > 0 {
            connection.credit.taken(sent);
            self.counters.to_broker_bytes.fetch_add(sent.into(), Ordering::Relaxed);
            self.answer(FromTool::Taken { number, bytes: sent });
        }
        match arrived {
            Arrived::Nothing => Next::Goes,
            Arrived::Bytes(bytes) => {
                self.counters.from_broker_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                self.answer(FromTool::Data { number, bytes });
                Next::Goes
            }
            Arrived::End => {
                self.answer(FromTool::Closed { number });
                Next::Ended
            }
        }
    }

    fn break_off(&mut self, why: &str) {
        tracing::warn!(why, "the board's connection is broken off");
        self.end(true);
    }

    /// Ends the connection there is. What the board had sent was given to the operating system as it came.
    fn end(&mut self, tell: bool) {
        if let Some(connection) = self.connection.take() {
            self.answers.retain(|answer| answer.number() != connection.number);
            if tell {
                self.answer(FromTool::Closed { number: connection.number });
            }
        }
    }

    fn answer(&mut self, answer: FromTool) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.push_back(answer);
        } else {
            // A board that is owed so much does not listen; a lost byte breaks its TLS, and it begins anew.
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Finds the broker and connects, within the limit for each address.
fn connect(target: &RelayTarget) -> Result<TcpStream, RelayRefusal> {
    let end = Instant::now() + CONNECT_LIMIT;
    let addresses = (target.host.as_str(), target.port).to_socket_addrs().map_err(|_| RelayRefusal::NameUnknown)?;
    let mut refusal = RelayRefusal::NameUnknown;
    for address in addresses {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(RelayRefusal::TimedOut);
        }
        let connected = TcpStream::connect_timeout(&address, left).and_then(|stream| {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => refusal = RelayRefusal::TimedOut,
            Err(_) => refusal = RelayRefusal::NotReachable,
        }
    }
    Err(refusal)
}

/// Gives the operating system what it takes; how many bytes.
fn send(stream: &mut TcpStream, waiting: &mut VecDeque<u8>) -> io::Result<u32> {
    let mut sent = 0;
    while !waiting.is_empty() {
        match stream.write(waiting.as_slices().0) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => {
                waiting.drain(..len);
                // At most a window in all.
                sent += len as u32;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

enum Arrived {
    Nothing,
    Bytes(Vec<u8>),
    End,
}

/// Takes from the broker what the board has room for, one `Data` at most.
fn receive(stream: &mut TcpStream, credit: &mut Credit) -> io::Result<Arrived> {
    let room = credit.chunk_len(CHUNK_BYTES);
    if room == 0 {
        return Ok(Arrived::Nothing);
    }
    let mut bytes = vec![0; room];
    match stream.read(&mut bytes) {
        Ok(0) => Ok(Arrived::End),
        Ok(len) => {
            bytes.truncate(len);
            credit.sent(len);
            Ok(Arrived::Bytes(bytes))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(Arrived::Nothing)
        }
        Err(error) => Err(error),
    }
}
