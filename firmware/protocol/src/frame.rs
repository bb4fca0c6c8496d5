//! Channels, framing and checksum on the serial line.
//!
//! A frame on the line is `00 COBS(channel, payload, CRC-32) 00`. The checksum is CRC-32/ISO-HDLC over channel and
//! payload, little endian. COBS leaves no zero inside, so a zero always ends what came before: text that the boot
//! loader printed, half a frame of a board that was reset, or noise. The leading zero cuts that off, the trailing one
//! lets the receiver act at once.
//!
//! ```
//! use coldbench_protocol::frame::{Channel, Decoder, encode};
//!
//! let mut decoder = Decoder::new();
//! let frames = decoder.push(&encode(Channel::Log, b"probe found"));
//! assert_eq!(frames.len(), 1);
//! assert_eq!(frames[0].as_ref().map(|frame| frame.payload.as_slice()), Ok(b"probe found".as_slice()));
//! ```

use alloc::vec::Vec;
use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Serialize, de::DeserializeOwned};

use crate::message::{Answer, Call};

/// Longest frame between two zeros on the line, in bytes. More is dropped up to the next zero.
pub const MAX_FRAME_LEN: usize = 8192;

/// Longest payload that always fits in [`MAX_FRAME_LEN`]: COBS adds one byte in 254, channel and checksum five.
pub const MAX_PAYLOAD_LEN: usize = MAX_FRAME_LEN - MAX_FRAME_LEN.div_ceil(254) - OVERHEAD_LEN;

/// Channel and checksum.
const OVERHEAD_LEN: usize = 1 + CRC_LEN;
const CRC_LEN: usize = 4;
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Log text of the board, UTF-8.
    Log = 0,
    /// A [`Call`] towards the board or an [`Answer`] from it.
    Call = 1,
    /// A reading: the bytes of the one JSON string.
    Reading = 2,
    /// The byte tunnel: [`FromBoard`](crate::tunnel::FromBoard) or [`FromTool`](crate::tunnel::FromTool).
    Tunnel = 3,
}

impl TryFrom<u8> for Channel {
    type Error = FrameError;

    fn try_from(byte: u8) -> Result<Self, FrameError> {
        match byte {
            0 => Ok(Channel::Log),
            1 => Ok(Channel::Call),
            2 => Ok(Channel::Reading),
            3 => Ok(Channel::Tunnel),
            other => Err(FrameError::UnknownChannel(other)),
        }
    }
}

/// One whole frame whose checksum was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub channel: Channel,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Why bytes on the line are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// More than [`MAX_FRAME_LEN`] bytes without a zero.
    TooLong,
    /// Too short for channel and checksum, or not COBS: text of the boot loader looks like this.
    NotAFrame,
    /// The checksum is wrong: bytes were lost or changed on the way.
    Checksum,
    /// The checksum is right but the channel is not one of this version.
    UnknownChannel(u8),
    /// The frame is whole, but its payload is not the message that was expected.
    Message,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong => write!(f, "more than {MAX_FRAME_LEN} bytes without the end of a frame"),
            FrameError::NotAFrame => f.write_str("bytes that are no frame"),
            FrameError::Checksum => f.write_str("a frame with a wrong checksum"),
            FrameError::UnknownChannel(channel) => write!(f, "a frame of the unknown channel {channel}"),
            FrameError::Message => f.write_str("a frame whose message cannot be read"),
        }
    }
}

impl core::error::Error for FrameError {}

/// Puts a payload on the line. A payload longer than [`MAX_PAYLOAD_LEN`] is sent whole, but the receiver drops it.
pub fn encode(channel: Channel, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len().saturating_add(OVERHEAD_LEN));
    body.push(channel as u8);
    body.extend_from_slice(payload);
    body.extend_from_slice(&CRC.checksum(&body).to_le_bytes());
    cobs::encode_vec_including_sentinels(&body)
}

/// Puts a request on the line.
///
/// # Errors
/// [`FrameError::TooLong`] when the request does not fit in a frame.
pub fn encode_call(call: &Call) -> Result<Vec<u8>, FrameError> {
    encode_message(Channel::Call, call)
}

/// Puts an answer on the line.
///
/// # Errors
/// [`FrameError::TooLong`] when the answer does not fit in a frame.
pub fn encode_answer(answer: &Answer) -> Result<Vec<u8>, FrameError> {
    encode_message(Channel::Call, answer)
}

/// Reads the payload of a [`Channel::Call`] frame on the board's side.
///
/// # Errors
/// [`FrameError::Message`] when the bytes are not exactly one request.
pub fn decode_call(payload: &[u8]) -> Result<Call, FrameError> {
    decode_message(payload)
}

/// Number of a request whose body cannot be decoded, so that a newer tool gets its refusal instead of silence.
pub fn call_number(payload: &[u8]) -> Option<u16> {
    postcard::take_from_bytes(payload).ok().map(|(number, _)| number)
}

/// Reads the payload of a [`Channel::Call`] frame on the tool's side.
///
/// # Errors
/// [`FrameError::Message`] when the bytes are not exactly one answer.
pub fn decode_answer(payload: &[u8]) -> Result<Answer, FrameError> {
    decode_message(payload)
}

pub(crate) fn encode_message(channel: Channel, message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let payload = postcard::to_allocvec(message).map_err(|_| FrameError::Message)?;
    if payload.len() > MAX_PAYLOAD_LEN {
        return Err(FrameError::TooLong);
    }
    Ok(encode(channel, &payload))
}

pub(crate) fn decode_message<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Message),
    }
}

/// Finds the frames in what arrives on the line, in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes since the last zero, at most [`MAX_FRAME_LEN`].
    pending: Vec<u8>,
    /// More than that arrived: everything up to the next zero is dropped.
    overrun: bool,
    dropped: u32,
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the line and gives every frame that ends in them, and an error for everything that ended and
    /// was no frame.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Result<Frame, FrameError>> {
        let mut found = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == 0).peekable();
        while let Some(piece) = pieces.next() {
            self.collect(piece);
            let ended = pieces.peek().is_some();
            if ended {
                found.extend(self.finish());
            }
        }
        found
    }

    /// How often something ended that was no frame, since the start.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    fn collect(&mut self, piece: &[u8]) {
        if self.overrun || self.pending.len().saturating_add(piece.len()) > MAX_FRAME_LEN {
            self.overrun = true;
            self.pending.clear();
        } else {
            self.pending.extend_from_slice(piece);
        }
    }

    /// What the bytes between two zeros were; `None` when there were none.
    fn finish(&mut self) -> Option<Result<Frame, FrameError>> {
        let result = if self.overrun {
            Err(FrameError::TooLong)
        } else if self.pending.is_empty() {
            return None;
        } else {
            parse(&self.pending)
        };
        self.overrun = false;
        self.pending.clear();
        if result.is_err() {
            self.dropped = self.dropped.saturating_add(1);
        }
        Some(result)
    }
}

fn parse(line: &[u8]) -> Result<Frame, FrameError> {
    let body = cobs::decode_vec(line).map_err(|_| FrameError::NotAFrame)?;
    let (content, checksum) = body.split_last_chunk::<CRC_LEN>().ok_or(FrameError::NotAFrame)?;
    let (channel, payload) = content.split_first().ok_or(FrameError::NotAFrame)?;
    if CRC.checksum(content) != u32::from_le_bytes(*checksum) {
        return Err(FrameError::Checksum);
    }
    Ok(Frame { channel: Channel::try_from(*channel)?, payload: payload.to_vec() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use alloc::{string::String, vec};

    use proptest::prelude::*;

    use super::*;
    use crate::message::{Refusal, Request, Response, Subject};

    fn channel() -> impl Strategy<Value = Channel> {
        prop_oneof![Just(Channel::Log), Just(Channel::Call), Just(Channel::Reading), Just(Channel::Tunnel)]
    }

    fn good(found: Vec<Result<Frame, FrameError>>) -> Vec<Frame> {
        found.into_iter().filter_map(Result::ok).collect()
    }

    #[test]
    fn known_bytes_on_the_line() {
        // CRC-32/ISO-HDLC of "\x02123456789" computed with zlib.
        let body_crc = 0xCA82_95C3_u32.to_le_bytes();
        let line = encode(Channel::Reading, b"123456789");
        assert_eq!(line.first(), Some(&0));
        assert_eq!(line.last(), Some(&0));
        assert_eq!(line[1], 15, "one COBS block of 14 bytes");
        assert_eq!(&line[2..12], b"\x02123456789");
        assert_eq!(&line[12..16], &body_crc);
        assert_eq!(line.len(), 17);
    }

    #[test]
    fn boot_text_before_a_frame_is_one_drop() {
        let mut decoder = Decoder::new();
        let mut line = b"ESP-ROM:esp32c3-api1-20210207\r\nrst:0x1 (POWERON)\r\n".to_vec();
        line.extend(encode(Channel::Log, b"up"));
        let found = decoder.push(&line);
        assert_eq!(found.len(), 2);
        assert!(found[0].is_err());
        assert_eq!(found[1], Ok(Frame { channel: Channel::Log, payload: b"up".to_vec() }));
        assert_eq!(decoder.dropped(), 1);
    }

    #[test]
    fn endless_noise_is_bounded_and_named() {
        let mut decoder = Decoder::new();
        for _ in 0..10 {
            assert_eq!(decoder.push(&[0xAA; 4096]), vec![]);
            assert!(decoder.pending.len() <= MAX_FRAME_LEN);
        }
        assert_eq!(decoder.push(&[0]), vec![Err(FrameError::TooLong)]);
        assert_eq!(good(decoder.push(&encode(Channel::Call, b"x"))).len(), 1);
    }

    #[test]
    fn longest_payload_passes_and_a_longer_message_is_refused() {
        let mut decoder = Decoder::new();
        let payload = vec![1; MAX_PAYLOAD_LEN];
        assert_eq!(good(decoder.push(&encode(Channel::Log, &payload)))[0].payload, payload);
        let refusal = Refusal::Storage(String::from_utf8(vec![b'a'; MAX_FRAME_LEN]).unwrap());
        assert_eq!(encode_answer(&Answer { number: 1, result: Err(refusal) }), Err(FrameError::TooLong));
    }

    #[test]
    fn unknown_channel_is_named() {
        let mut body = vec![9, 1, 2];
        body.extend_from_slice(&CRC.checksum(&body).to_le_bytes());
        let found = Decoder::new().push(&cobs::encode_vec_including_sentinels(&body));
        assert_eq!(found, vec![Err(FrameError::UnknownChannel(9))]);
    }

    #[test]
    fn calls_and_answers_pass_and_extra_bytes_are_refused() {
        let subject = Subject { common_name: "truckSensor01".into(), organizational_unit: "job-1".into() };
        let call = Call { number: 700, request: Request::MakeKey(subject) };
        let frames = good(Decoder::new().push(&encode_call(&call).unwrap()));
        assert_eq!(frames[0].channel, Channel::Call);
        assert_eq!(decode_call(&frames[0].payload), Ok(call));

        let answer = Answer { number: 700, result: Ok(Response::Done) };
        let mut payload = good(Decoder::new().push(&encode_answer(&answer).unwrap())).remove(0).payload;
        assert_eq!(decode_answer(&payload), Ok(answer));
        payload.push(0);
        assert_eq!(decode_answer(&payload), Err(FrameError::Message));
    }

    #[test]
    fn number_of_a_newer_request_can_be_read() {
        let mut payload = postcard::to_allocvec(&700_u16).unwrap();
        payload.push(120);
        assert_eq!(decode_call(&payload), Err(FrameError::Message));
        assert_eq!(call_number(&payload), Some(700));
        assert_eq!(call_number(&[]), None);
    }

    proptest! {
        #[test]
        fn round_trip_split_anywhere(
            sent in prop::collection::vec((channel(), prop::collection::vec(any::<u8>(), 0..600)), 0..5),
            pieces in prop::collection::vec(1_usize..300, 1..20),
        ) {
            let line: Vec<u8> = sent.iter().flat_map(|(channel, payload)| encode(*channel, payload)).collect();
            let mut decoder = Decoder::new();
            let mut found = Vec::new();
            let mut rest = line.as_slice();
            for len in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*len).min(rest.len()));
                found.extend(decoder.push(piece));
                rest = more;
            }
            prop_assert_eq!(decoder.dropped(), 0);
            let expected: Vec<_> =
                sent.into_iter().map(|(channel, payload)| Ok(Frame { channel, payload })).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn noise_before_and_after_costs_no_frame(
            before in prop::collection::vec(any::<u8>(), 0..300),
            payload in prop::collection::vec(any::<u8>(), 0..300),
            after in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut line = before;
            line.extend(encode(Channel::Reading, &payload));
            line.extend(after);
            line.extend(encode(Channel::Log, b"end"));
            let frames = good(Decoder::new().push(&line));
            let reading = Frame { channel: Channel::Reading, payload };
            prop_assert!(frames.contains(&reading));
            prop_assert_eq!(frames.last(), Some(&Frame { channel: Channel::Log, payload: b"end".to_vec() }));
        }

        #[test]
        fn any_bytes_never_panic_and_every_drop_is_counted(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let mut decoder = Decoder::new();
            let found = decoder.push(&bytes);
            prop_assert_eq!(found.iter().filter(|one| one.is_err()).count(), decoder.dropped() as usize);
            let _ = (decode_call(&bytes), decode_answer(&bytes), call_number(&bytes));
        }

        #[test]
        fn one_changed_bit_is_never_accepted(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            place in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let sent = Frame { channel: Channel::Call, payload };
            let mut line = encode(sent.channel, &sent.payload);
            let place = place.index(line.len());
            line[place] ^= 1 << bit;
            line.push(0);
            for frame in good(Decoder::new().push(&line)) {
                prop_assert_eq!(&frame, &sent, "only a lost outer zero leaves the frame whole");
            }
        }
    }
}
