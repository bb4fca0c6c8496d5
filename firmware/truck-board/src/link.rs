//! Frames to and from the tool, on either of the two ways.

use alloc::{collections::VecDeque, vec::Vec};

use coldbench_protocol::{
    Answer, Call, Refusal,
    frame::{self, Channel, Decoder},
    tunnel::{FromBoard, FromTool},
};
use esp_hal::time::{Duration, Instant};

use crate::wire::Wire;

/// Bytes that wait for a slow line. The longest answer fits behind a few readings.
const QUEUE_LEN: usize = frame::MAX_FRAME_LEN + 4096;

/// The tunnel leaves the rest of the queue to answers and readings.
const TUNNEL_LIMIT: usize = 2048;

/// When nothing leaves for this long, nobody is there; what waits is dropped, so that whoever comes hears news first.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest time the last answer gets to leave before a reset.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// At another rate than the usual, bytes that make no frame for this long mean that the tool speaks at the usual one.
const RATE_TRIAL: Duration = Duration::from_secs(2);

/// What the tool says.
pub enum Said {
    /// It asks.
    Call(Call),
    /// It says something in the tunnel to the broker.
    Tunnel(FromTool),
}

/// One way to the tool.
pub struct Link<W> {
    wire: W,
    /// Another rate than the usual, and since when nothing could be understood at it.
    raised: Option<Raised>,
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
            raised: None,
            decoder: Decoder::new(),
            outgoing: VecDeque::with_capacity(QUEUE_LEN),
            moved: Instant::now(),
            dropped: 0,
            heard: false,
        }
    }

    /// What the tool said since the last time. A call that cannot be decoded is refused right here.
    pub fn hear(&mut self) -> Vec<Said> {
        let mut heard = Vec::new();
        let mut bytes = [0; 256];
        // What does not fit now waits for the next round.
        let count = self.wire.receive(&mut bytes);
        let frames: Vec<_> = self.decoder.push(bytes.get(..count).unwrap_or_default()).into_iter().flatten().collect();
        self.judge_rate(count > 0, !frames.is_empty());
        for frame in frames {
            match frame.channel {
                Channel::Call => match (frame::decode_call(&frame.payload), frame::call_number(&frame.payload)) {
                    (Ok(call), _) => heard.push(Said::Call(call)),
                    (Err(_), Some(number)) => self.answer(&Answer { number, result: Err(Refusal::NotUnderstood) }),
                    (Err(_), None) => (),
                },
                Channel::Tunnel => heard.extend(FromTool::decode(&frame.payload).ok().map(Said::Tunnel)),
                Channel::Reading | Channel::Log => (),
            }
        }
        heard
    }

    /// Speaks at this rate in baud, once what waits has left.
    pub fn set_rate(&mut self, baud: u32) {
        self.flush();
        self.wire.set_rate(Some(baud));
        self.raised = Some(Raised { deaf_since: Some(Instant::now()) });
    }

    /// Goes back to the usual rate when the tool cannot be understood at the raised one.
    fn judge_rate(&mut self, anything: bool, understood: bool) {
        let Some(raised) = &mut self.raised else { return };
        if understood {
            raised.deaf_since = None;
        } else if anything && raised.deaf_since.is_none() {
            raised.deaf_since = Some(Instant::now());
        }
        if raised.deaf_since.is_some_and(|since| since.elapsed() >= RATE_TRIAL) {
            self.raised = None;
            self.wire.set_rate(None);
            self.decoder = Decoder::new();
        }
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

    /// Queues what the board says in the tunnel.
    pub fn tunnel(&mut self, message: &FromBoard) {
        match message.encode() {
            Ok(encoded) => self.queue(&encoded),
            Err(_) => self.count_drop(),
        }
    }

    /// Whether there is room for one more message of the tunnel, with answers still to come.
    pub fn has_room(&self) -> bool {
        self.outgoing.len() < TUNNEL_LIMIT
    }

    /// Whether something waits to leave.
    pub fn is_busy(&self) -> bool {
        !self.outgoing.is_empty()
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

/// The line runs at another rate than the usual.
struct Raised {
    /// Since when nothing could be understood.
    deaf_since: Option<Instant>,
}
