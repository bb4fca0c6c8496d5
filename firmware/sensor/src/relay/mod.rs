//! A line to the broker through the computer that the board is plugged into, as the board keeps it.
//!
//! [`Relay`] is the state of it, without input or output: the link hands it what the tool says
//! ([`on_message`](Relay::on_message)) and sends what it has to say ([`poll_to_send`](Relay::poll_to_send));
//! the network opens a [`RelayStream`] over it, a line like any other. Link and network share the relay through
//! [`Shared`](crate::shared::Shared).
//!
//! # Invariants
//! - A line is opened only while the tool offers one, and there is one at a time.
//! - Each way at most [`WINDOW_BYTES`] wait. Nothing that the tool sends makes the board panic or keep more.
//! - A line that ended by an error never gives the bytes that came before it as if it went on.

use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::{
    fmt,
    task::{Context, Poll, Waker},
};

use coldbench_protocol::tunnel::{Credit, FromBoard, FromTool, MAX_HOST_BYTES, Overdrawn, RelayRefusal, WINDOW_BYTES};
use embedded_io_async::ErrorKind;

mod stream;
#[cfg(test)]
mod tests;

pub use stream::RelayStream;

/// The tool is told of used bytes when they are so many: seldom enough to cost little, early enough to stay fluent.
const TELL_TAKEN_BYTES: u32 = WINDOW_BYTES / 4;

/// Why there is no line through the computer, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayError {
    /// The tool offers no line.
    NotOffered,
    /// There is a line already.
    Busy,
    /// The broker's host name is longer than a host name can be.
    HostTooLong,
    /// The tool did not open the line.
    Refused(RelayRefusal),
    /// The tool took its offer back.
    Withdrawn,
    /// The broker, or the tool, closed the line.
    Closed,
    /// What the tool sent breaks the rules of the tunnel.
    Broken,
}

impl fmt::Display for RelayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayError::NotOffered => f.write_str("the computer offers no connection"),
            RelayError::Busy => f.write_str("there is a connection through the computer already"),
            RelayError::HostTooLong => f.write_str("the broker's host name is too long"),
            RelayError::Refused(why) => why.fmt(f),
            RelayError::Withdrawn => f.write_str("the computer offers no connection any more"),
            RelayError::Closed => f.write_str("the connection through the computer was closed"),
            RelayError::Broken => f.write_str("the computer broke the rules of the tunnel"),
        }
    }
}

impl core::error::Error for RelayError {}

impl embedded_io_async::Error for RelayError {
    fn kind(&self) -> ErrorKind {
        match self {
            RelayError::NotOffered | RelayError::Busy => ErrorKind::NotConnected,
            RelayError::HostTooLong => ErrorKind::InvalidInput,
            RelayError::Refused(RelayRefusal::NotAllowed) => ErrorKind::PermissionDenied,
            RelayError::Refused(RelayRefusal::NotReachable) => ErrorKind::ConnectionRefused,
            RelayError::Refused(RelayRefusal::NameUnknown) => ErrorKind::AddrNotAvailable,
            RelayError::Refused(RelayRefusal::TimedOut) => ErrorKind::TimedOut,
            RelayError::Withdrawn => ErrorKind::ConnectionAborted,
            RelayError::Closed => ErrorKind::BrokenPipe,
            RelayError::Broken => ErrorKind::InvalidData,
        }
    }
}

/// The board's end of the tunnel.
#[derive(Default)]
pub struct Relay {
    offered: bool,
    /// The number of the last line.
    number: u16,
    state: State,
    credit: Credit,
    /// From the broker, not yet read.
    arrived: VecDeque<u8>,
    /// For the broker, not yet on the link.
    leaving: VecDeque<u8>,
    /// Bytes read that the tool was not told of.
    untold_bytes: u32,
    /// A line that is over and that the tool has to be told of.
    closing: Option<u16>,
    dropped: u32,
    /// Whoever waits for the link to have something to send, for an offer, to read, and to open or write.
    link: Option<Waker>,
    offer: Option<Waker>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Default)]
enum State {
    /// No line, or one that is over: then why, and bytes that arrived before an orderly end may still be read.
    #[default]
    None,
    /// The tool is to be asked for this host and port.
    Wanted(String, u16),
    /// The tool was asked.
    Asked,
    Open,
    Over(RelayError),
}

impl Relay {
    /// A relay without an offer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tool offers a line, or not any more: then a line there is breaks.
    pub fn offer(&mut self, offered: bool) {
        self.offered = offered;
        if offered {
            wake(&mut self.offer);
        } else {
            self.end(RelayError::Withdrawn, true);
        }
    }

    /// Whether the tool offers a line.
    pub fn is_offered(&self) -> bool {
        self.offered
    }

    /// Ready when the tool offers a line. One task at a time waits for it.
    pub fn poll_offered(&mut self, context: &mut Context<'_>) -> Poll<()> {
        wait_unless(self.offered.then_some(()), &mut self.offer, context)
    }

    /// How many messages were dropped, because they belonged to an earlier line or to none.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Takes what the tool says.
    pub fn on_message(&mut self, message: FromTool) {
        if message.number() != self.number {
            return self.drop_message();
        }
        match (&self.state, message) {
            (State::Asked, FromTool::Opened { .. }) => {
                self.state = State::Open;
                wake(&mut self.writer);
            }
            (State::Asked, FromTool::Refused { reason, .. }) => self.end(RelayError::Refused(reason), false),
            (State::Open, FromTool::Data { bytes, .. }) => {
                if self.credit.arrived(bytes.len()) == Err(Overdrawn) {
                    return self.end(RelayError::Broken, true);
                }
                self.arrived.extend(bytes);
                wake(&mut self.reader);
            }
            (State::Open, FromTool::Taken { bytes, .. }) => {
                if self.credit.granted(bytes) == Err(Overdrawn) {
                    return self.end(RelayError::Broken, true);
                }
                wake(&mut self.link);
            }
            (State::Asked | State::Open, FromTool::Closed { .. }) => self.end(RelayError::Closed, false),
            _ => self.drop_message(),
        }
    }

    /// What to send to the tool next, if anything.
    pub fn to_send(&mut self) -> Option<FromBoard> {
        let number = self.number;
        if let Some(number) = self.closing.take() {
            return Some(FromBoard::Close { number });
        }
        if let State::Wanted(host, port) = &mut self.state {
            let message = FromBoard::Open { number, host: core::mem::take(host), port: *port };
            self.state = State::Asked;
            return Some(message);
        }
        if !matches!(self.state, State::Open) {
            return None;
        }
        if self.must_tell_taken() {
            let bytes = core::mem::take(&mut self.untold_bytes);
            self.credit.taken(bytes);
            return Some(FromBoard::Taken { number, bytes });
        }
        let len = self.credit.chunk_len(self.leaving.len());
        if len == 0 {
            return None;
        }
        let bytes: Vec<u8> = self.leaving.drain(..len).collect();
        self.credit.sent(len);
        wake(&mut self.writer);
        Some(FromBoard::Data { number, bytes })
    }

    /// What to send to the tool next, when there is something. One task at a time waits for it.
    pub fn poll_to_send(&mut self, context: &mut Context<'_>) -> Poll<FromBoard> {
        let message = self.to_send();
        wait_unless(message, &mut self.link, context)
    }

    /// Wants a line; its number names it from now on. [`poll_opened`](Self::poll_opened) tells when it is there.
    ///
    /// # Errors
    /// There is no offer, or a line already, or `host` is too long.
    pub fn open(&mut self, host: &str, port: u16) -> Result<u16, RelayError> {
        match self.state {
            _ if !self.offered => return Err(RelayError::NotOffered),
            _ if host.len() > MAX_HOST_BYTES => return Err(RelayError::HostTooLong),
            State::Wanted(..) | State::Asked | State::Open => return Err(RelayError::Busy),
            State::None | State::Over(_) => {}
        }
        self.number = self.number.wrapping_add(1);
        self.credit = Credit::default();
        self.arrived.clear();
        self.leaving.clear();
        self.untold_bytes = 0;
        self.state = State::Wanted(host.into(), port);
        wake(&mut self.link);
        Ok(self.number)
    }

    /// Ready when the line is there.
    pub fn poll_opened(&mut self, number: u16, context: &mut Context<'_>) -> Poll<Result<(), RelayError>> {
        let opened = match self.state {
            State::Open if number == self.number => Some(Ok(())),
            State::Wanted(..) | State::Asked if number == self.number => None,
            State::Over(error) if number == self.number => Some(Err(error)),
            _ => Some(Err(RelayError::Closed)),
        };
        wait_unless(opened, &mut self.writer, context)
    }

    /// Reads what arrived into `buffer`; 0 bytes mean that the other side closed the line, or that `buffer` is empty.
    pub fn poll_read(
        &mut self,
        number: u16,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, RelayError>> {
        let read = if number != self.number {
            Some(Err(RelayError::Closed))
        } else if buffer.is_empty() {
            Some(Ok(0))
        } else if !self.arrived.is_empty() {
            Some(Ok(self.take_arrived(buffer)))
        } else {
            match self.state {
                State::Wanted(..) | State::Asked | State::Open => None,
                State::None | State::Over(RelayError::Closed) => Some(Ok(0)),
                State::Over(error) => Some(Err(error)),
            }
        };
        wait_unless(read, &mut self.reader, context)
    }

    /// Queues bytes for the broker; gives how many.
    pub fn poll_write(
        &mut self,
        number: u16,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, RelayError>> {
        let room = (WINDOW_BYTES as usize).saturating_sub(self.leaving.len());
        let len = bytes.len().min(room);
        let written = match self.check_open(number) {
            Ok(()) if bytes.is_empty() || len > 0 => Some(Ok(len)),
            Ok(()) => None,
            Err(error) => Some(Err(error)),
        };
        if let Some(Ok(1..)) = written {
            self.leaving.extend(bytes.iter().take(len));
            wake(&mut self.link);
        }
        wait_unless(written, &mut self.writer, context)
    }

    /// Ready when all that was written is on the link; a [`close`](Self::close) after that loses none of it.
    pub fn poll_flush(&mut self, number: u16, context: &mut Context<'_>) -> Poll<Result<(), RelayError>> {
        let flushed = match self.check_open(number) {
            Ok(()) => self.leaving.is_empty().then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        wait_unless(flushed, &mut self.writer, context)
    }

    /// The line is not used any more. What was written and not flushed is dropped.
    pub fn close(&mut self, number: u16) {
        if number == self.number {
            self.end(RelayError::Closed, true);
            self.arrived.clear();
        }
    }

    fn check_open(&self, number: u16) -> Result<(), RelayError> {
        match self.state {
            State::Open if number == self.number => Ok(()),
            State::Over(error) if number == self.number => Err(error),
            _ => Err(RelayError::Closed),
        }
    }

    fn must_tell_taken(&self) -> bool {
        self.untold_bytes >= TELL_TAKEN_BYTES || (self.untold_bytes > 0 && self.arrived.is_empty())
    }

    fn take_arrived(&mut self, buffer: &mut [u8]) -> usize {
        let len = buffer.len().min(self.arrived.len());
        for (place, byte) in buffer.iter_mut().zip(self.arrived.drain(..len)) {
            *place = byte;
        }
        // At most a window: nothing more arrives before the tool was told.
        self.untold_bytes += len as u32;
        wake(&mut self.link);
        len
    }

    /// Ends the line there is; `tell` when the tool does not know it from its own doing.
    fn end(&mut self, why: RelayError, tell: bool) {
        match self.state {
            State::None | State::Over(_) => return,
            // The tool was never asked.
            State::Wanted(..) => {}
            State::Asked | State::Open if tell => self.closing = Some(self.number),
            State::Asked | State::Open => {}
        }
        self.state = State::Over(why);
        self.leaving.clear();
        if why != RelayError::Closed {
            self.arrived.clear();
        }
        for waker in [&mut self.link, &mut self.reader, &mut self.writer] {
            wake(waker);
        }
    }

    fn drop_message(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("offered", &self.offered)
            .field("number", &self.number)
            .field("credit", &self.credit)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn wait_unless<T>(value: Option<T>, waker: &mut Option<Waker>, context: &mut Context<'_>) -> Poll<T> {
    match value {
        Some(value) => Poll::Ready(value),
        None => {
            *waker = Some(context.waker().clone());
            Poll::Pending
        }
    }
}
