//! Frames to and from the tool, on either of the two ways.

use alloc::{collections::VecDeque, vec::Vec};

use coldbench_protocol::{
    Answer, Call, Refusal,
    frame::{self, Channel, Decoder},
};
use esp_hal::time::{Duration, Instant};

use crate::wire::Wire;

/// Bytes that wait for a slow line. The longest answer fits behind a few readings.
const QUEUE_LEN: usize = frame::MAX_FRAME_LEN + 4096;

/// When nothing leaves for this long, nobody is there; what waits is dropped, so that whoever comes hears news first.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest time the last answer gets to leave before a reset.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// One way to the tool.
pub struct Link<W> {
    wire: W,
    decoder: Decoder,
    outgoing: VecDeque<u8>,
    /// When a byte left last, or there was none to send.
    moved: Instant,
    /// How often something was dropped because it did not leave.
    dropped: u32,
    /// Somebody has taken a byte since the last drop.
    heard: bool,
}

impl<W: Wire> Link<W> {
    /// A link on which nothing was said yet.
    pub fn new(wire: W) -> Self {
        Link {
            wire,
            decoder: Decoder::new(),
            outgoing: VecDeque::with_capacity(QUEUE_LEN),
            moved: Instant::now(),
            dropped: 0,
            heard: false,
        }
    }

    /// What the tool asked since the last time. What cannot be decoded is refused right here.
    pub fn calls(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        let mut bytes = [0; 256];
        // The tool waits for its answer, so more than one round means that the line brings noise: that can wait.
        let count = self.wire.receive(&mut bytes);
        for frame in self.decoder.push(bytes.get(..count).unwrap_or_default()).into_iter().flatten() {
            if frame.channel != Channel::Call {
                continue;
            }
            match (frame::decode_call(&frame.payload), frame::call_number(&frame.payload)) {
                (Ok(call), _) => calls.push(call),
                (Err(_), Some(number)) => self.answer(&Answer { number, result: Err(Refusal::NotUnderstood) }),
                (Err(_), None) => (),
            }
        }
        calls
    }

    /// Queues an answer. One too long for a frame becomes a refusal, so that the tool does not wait in vain.
    pub fn answer(&mut self, answer: &Answer) {
        let encoded = frame::encode_answer(answer).or_else(|_| {
            let result = Err(Refusal::Unsupported("the answer is too long".into()));
            frame::encode_answer(&Answer { number: answer.number, result })
        });
        if let Ok(encoded) = encoded {
            self.queue(&encoded);
        }
    }

    /// Queues something that needs no answer.
    pub fn send(&mut self, channel: Channel, payload: &[u8]) {
        self.queue(&frame::encode(channel, payload));
    }

    /// How often something was dropped since this was told last; told only when there is somebody to hear it.
    pub fn take_dropped(&mut self) -> Option<u32> {
        (self.heard && self.dropped > 0).then(|| core::mem::take(&mut self.dropped))
    }

    /// Puts on the line what it takes now. Never waits.
    pub fn pump(&mut self) {
        while !self.outgoing.is_empty() {
            let (ready, _) = self.outgoing.as_slices();
            match self.wire.send(ready) {
                0 if self.moved.elapsed() < PATIENCE => return,
                0 => {
                    self.outgoing.clear();
                    self.count_drop();
                }
                sent => {
                    self.outgoing.drain(..sent);
                    self.moved = Instant::now();
                    self.heard = true;
                }
            }
        }
        self.moved = Instant::now();
    }

    /// Waits until everything has left, but not for ever.
    pub fn flush(&mut self) {
        let started = Instant::now();
        while started.elapsed() < FLUSH_LIMIT && !(self.outgoing.is_empty() && self.wire.is_idle()) {
            self.pump();
        }
    }

    fn queue(&mut self, frame: &[u8]) {
        if self.outgoing.len() + frame.len() <= QUEUE_LEN {
            self.outgoing.extend(frame);
        } else {
            self.count_drop();
        }
    }

    fn count_drop(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
        self.heard = false;
    }
}
