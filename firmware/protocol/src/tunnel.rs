//! The byte tunnel: one connection of the board, carried by the tool.
//!
//! A board without a network of its own reaches its broker through the computer that it is plugged into: it asks for a
//! connection, the tool opens it and forwards bytes both ways. What is inside (TLS, end to end between board and
//! broker) is none of the tool's business.
//!
//! There is one connection at a time. Each has a number of its own, so that what still arrives of an earlier one is
//! known and dropped. Each end may send at most [`WINDOW_BYTES`] that the other has not yet passed on, so neither ever
//! holds more than that; [`Credit`] keeps the account. Both ends close a connection whose account does not add up.
//!
//! ```text
//! board                                tool
//!   Open{7, "broker", 8883}   ->
//!                             <-       Opened{7}
//!   Data{7, …}                ->
//!                             <-       Taken{7, bytes}
//!                             <-       Data{7, …}
//!   Taken{7, bytes}           ->
//!   Close{7}                  ->
//! ```

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::frame::{self, Channel, FrameError};

/// How many bytes an end may have sent that the other has not yet passed on.
pub const WINDOW_BYTES: u32 = 4096;

/// Most bytes in one `Data`.
pub const CHUNK_BYTES: usize = 1024;

/// Longest host name (RFC 1035), in bytes.
pub const MAX_HOST_BYTES: usize = 253;

/// What the board says in the tunnel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromBoard {
    /// Open a connection; an earlier one is over. Answered by [`FromTool::Opened`] or [`FromTool::Refused`].
    Open {
        /// The number of the new connection.
        number: u16,
        /// Host name of the broker, at most [`MAX_HOST_BYTES`].
        host: String,
        /// TCP port of the broker.
        port: u16,
    },
    /// Bytes for the broker, at most [`CHUNK_BYTES`].
    Data {
        /// The connection.
        number: u16,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The board has used so many bytes of what it was sent; so many more may be sent.
    Taken {
        /// The connection.
        number: u16,
        /// How many.
        bytes: u32,
    },
    /// The connection is over, after what was sent before.
    Close {
        /// The connection.
        number: u16,
    },
}

/// What the tool says in the tunnel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromTool {
    /// The connection is there.
    Opened {
        /// The connection.
        number: u16,
    },
    /// There will be no connection.
    Refused {
        /// The connection.
        number: u16,
        /// Why.
        reason: RelayRefusal,
    },
    /// Bytes from the broker, at most [`CHUNK_BYTES`].
    Data {
        /// The connection.
        number: u16,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The broker was given so many bytes of what the board sent; so many more may be sent.
    Taken {
        /// The connection.
        number: u16,
        /// How many.
        bytes: u32,
    },
    /// The connection is over, after what was sent before.
    Closed {
        /// The connection.
        number: u16,
    },
}

/// Why the tool does not open a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelayRefusal {
    /// The tool offers no connection, or not to this host and port.
    NotAllowed,
    /// The host does not take the connection.
    NotReachable,
    /// The host name is not known.
    NameUnknown,
    /// The host did not answer in time.
    TimedOut,
}

impl fmt::Display for RelayRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RelayRefusal::NotAllowed => "the computer does not allow this connection",
            RelayRefusal::NotReachable => "the broker does not take the connection",
            RelayRefusal::NameUnknown => "the broker's host name is not known",
            RelayRefusal::TimedOut => "the broker did not answer in time",
        })
    }
}

impl FromBoard {
    /// The connection that it is about.
    pub fn number(&self) -> u16 {
        match self {
            FromBoard::Open { number, .. }
            | FromBoard::Data { number, .. }
            | FromBoard::Taken { number, .. }
            | FromBoard::Close { number } => *number,
        }
    }

    /// Puts it on the line.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when it does not fit in a frame.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode_message(Channel::Tunnel, self)
    }

    /// Reads the payload of a [`Channel::Tunnel`] frame on the tool's side.
    ///
    /// # Errors
    /// [`FrameError::Message`] when the bytes are not exactly one message of the board.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        frame::decode_message(payload)
    }
}

impl FromTool {
    /// The connection that it is about.
    pub fn number(&self) -> u16 {
        match self {
            FromTool::Opened { number }
            | FromTool::Refused { number, .. }
            | FromTool::Data { number, .. }
            | FromTool::Taken { number, .. }
            | FromTool::Closed { number } => *number,
        }
    }

    /// Puts it on the line.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] when it does not fit in a frame.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode_message(Channel::Tunnel, self)
    }

    /// Reads the payload of a [`Channel::Tunnel`] frame on the board's side.
    ///
    /// # Errors
    /// [`FrameError::Message`] when the bytes are not exactly one message of the tool.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        frame::decode_message(payload)
    }
}

/// Lengths instead of bytes: what passes through the tunnel belongs in no log.
impl fmt::Debug for FromBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FromBoard::Open { number, host, port } => write!(f, "Open({number}, {host}:{port})"),
            FromBoard::Data { number, bytes } => write!(f, "Data({number}, {} bytes)", bytes.len()),
            FromBoard::Taken { number, bytes } => write!(f, "Taken({number}, {bytes} bytes)"),
            FromBoard::Close { number } => write!(f, "Close({number})"),
        }
    }
}

/// Lengths instead of bytes: what passes through the tunnel belongs in no log.
impl fmt::Debug for FromTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FromTool::Opened { number } => write!(f, "Opened({number})"),
            FromTool::Refused { number, reason } => write!(f, "Refused({number}, {reason:?})"),
            FromTool::Data { number, bytes } => write!(f, "Data({number}, {} bytes)", bytes.len()),
            FromTool::Taken { number, bytes } => write!(f, "Taken({number}, {bytes} bytes)"),
            FromTool::Closed { number } => write!(f, "Closed({number})"),
        }
    }
}

/// One end's account of a connection: how much it may send, and how much may still arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    may_send: u32,
    may_arrive: u32,
}

/// The other end sent or granted more than the window allows: the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdrawn;

impl Default for Credit {
    /// A new connection: a whole window each way.
    fn default() -> Self {
        Credit { may_send: WINDOW_BYTES, may_arrive: WINDOW_BYTES }
    }
}

impl Credit {
    /// How many of `waiting` bytes may be sent now, in one `Data`.
    pub fn chunk_len(&self, waiting: usize) -> usize {
        waiting.min(CHUNK_BYTES).min(self.may_send as usize)
    }

    /// So many bytes were sent: at most what [`chunk_len`](Self::chunk_len) said.
    pub fn sent(&mut self, bytes: usize) {
        self.may_send = self.may_send.saturating_sub(count(bytes));
    }

    /// The other end took so many.
    ///
    /// # Errors
    /// It took more than it was sent.
    pub fn granted(&mut self, bytes: u32) -> Result<(), Overdrawn> {
        let may_send = self.may_send.checked_add(bytes).filter(|sum| *sum <= WINDOW_BYTES).ok_or(Overdrawn)?;
        self.may_send = may_send;
        Ok(())
    }

    /// So many arrived.
    ///
    /// # Errors
    /// It is more than may arrive.
    pub fn arrived(&mut self, bytes: usize) -> Result<(), Overdrawn> {
        self.may_arrive = self.may_arrive.checked_sub(count(bytes)).ok_or(Overdrawn)?;
        Ok(())
    }

    /// So many of those that arrived were passed on, and the other end is told so.
    pub fn taken(&mut self, bytes: u32) {
        self.may_arrive = self.may_arrive.saturating_add(bytes).min(WINDOW_BYTES);
    }
}

fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use alloc::{format, vec};

    use proptest::prelude::*;

    use super::*;
    use crate::frame::Decoder;

    fn payload(line: &[u8]) -> Vec<u8> {
        let frame = Decoder::new().push(line).remove(0).unwrap();
        assert_eq!(frame.channel, Channel::Tunnel);
        frame.payload
    }

    #[test]
    fn messages_pass_both_ways_and_extra_bytes_are_refused() {
        for message in [
            FromBoard::Open { number: 7, host: "broker.example".into(), port: 8883 },
            FromBoard::Data { number: 7, bytes: vec![0x5a; CHUNK_BYTES] },
            FromBoard::Taken { number: 7, bytes: 4096 },
            FromBoard::Close { number: u16::MAX },
        ] {
            let mut payload = payload(&message.encode().unwrap());
            assert_eq!(FromBoard::decode(&payload), Ok(message));
            payload.push(0);
            assert_eq!(FromBoard::decode(&payload), Err(FrameError::Message));
        }
        for message in [
            FromTool::Opened { number: 7 },
            FromTool::Refused { number: 7, reason: RelayRefusal::TimedOut },
            FromTool::Data { number: 7, bytes: vec![0; CHUNK_BYTES] },
            FromTool::Taken { number: 7, bytes: 1 },
            FromTool::Closed { number: 7 },
        ] {
            assert_eq!(FromTool::decode(&payload(&message.encode().unwrap())), Ok(message));
        }
    }

    #[test]
    fn known_bytes_of_an_opening() {
        let line = FromBoard::Open { number: 300, host: "b".into(), port: 8883 }.encode().unwrap();
        assert_eq!(payload(&line), [0, 0xac, 0x02, 1, b'b', 0xb3, 0x45]);
    }

    #[test]
    fn what_passes_through_is_not_in_the_debug_text() {
        let text = format!("{:?}", FromBoard::Data { number: 3, bytes: b"secret".to_vec() });
        assert_eq!(text, "Data(3, 6 bytes)");
    }

    #[test]
    fn nobody_sends_grants_or_takes_more_than_the_window() {
        let mut credit = Credit::default();
        assert_eq!(credit.granted(1), Err(Overdrawn));
        let mut sent = 0;
        while credit.chunk_len(10_000) > 0 {
            sent += credit.chunk_len(10_000);
            credit.sent(credit.chunk_len(10_000));
        }
        assert_eq!(sent, WINDOW_BYTES as usize);
        assert_eq!(credit.granted(WINDOW_BYTES), Ok(()));
        assert_eq!(credit.granted(u32::MAX), Err(Overdrawn));

        assert_eq!(credit.arrived(WINDOW_BYTES as usize), Ok(()));
        assert_eq!(credit.arrived(1), Err(Overdrawn));
        credit.taken(10);
        assert_eq!(credit.arrived(10), Ok(()));
        credit.taken(u32::MAX);
        assert_eq!(credit.arrived(WINDOW_BYTES as usize + 1), Err(Overdrawn));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = (FromBoard::decode(&bytes), FromTool::decode(&bytes));
        }
    }
}
