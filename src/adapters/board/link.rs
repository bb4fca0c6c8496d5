//! The link to a running firmware: frames on the line, numbered requests, readings, the board's log.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use coldbench_protocol::{
    Answer, Call, Hello, Refusal, Request, Response,
    frame::{Channel, Decoder, Frame, decode_answer, encode_call},
    tunnel::FromBoard,
};
use espflash::connection::Port;
use serialport::{ClearBuffer, SerialPort};
use time::OffsetDateTime;

use super::{rate::Raised, relay::Relay, worker::Voices};
use crate::ports::board::{BoardError, RelayTarget, Stamped};

/// Speed at which a firmware speaks, and the ROM loader after its start.
pub(super) const LINK_BAUD: u32 = 115_200;

/// How long a read of the line waits: the thread that owns the line hears a request at the latest after this.
const READ_WAIT: Duration = Duration::from_millis(20);
/// The same while a connection of the board is carried: what the broker says must not wait for long.
const RELAY_WAIT: Duration = Duration::from_millis(4);
/// A line that takes no bytes for this long is dead.
const WRITE_WAIT: Duration = Duration::from_secs(5);
/// How often a board that does not answer is asked for its hello.
const HELLO_INTERVAL: Duration = Duration::from_millis(250);
/// How much of the board's log is kept.
const LOG_LEN: usize = 4096;

/// The line to a running firmware.
pub(super) struct Link {
    pub(super) port: Port,
    /// The line runs faster than usual.
    pub(super) raised: Option<Raised>,
    decoder: Decoder,
    /// What arrived since the last zero, to keep text that is no frame, such as that of the boot loader.
    unframed: Vec<u8>,
    log: VecDeque<u8>,
    voices: Voices,
    relay: Relay,
    /// The board started anew and does not know of the offer.
    must_offer: bool,
    answers: VecDeque<Answer>,
    hello: Option<Hello>,
    next_number: u16,
    frames: u64,
}

impl Link {
    /// Takes the line, without an offer to carry connections.
    pub(super) fn new(port: Port, voices: Voices) -> Self {
        Link {
            port,
            raised: None,
            decoder: Decoder::new(),
            unframed: Vec::new(),
            log: VecDeque::new(),
            relay: Relay::new(voices.relayed.clone()),
            must_offer: false,
            voices,
            answers: VecDeque::new(),
            hello: None,
            next_number: 1,
            frames: 0,
        }
    }

    /// Gives the line back, for the loader, which starts at the usual rate.
    pub(super) fn into_port(mut self) -> Port {
        if self.raised.is_some() {
            // A line that is gone is noticed by whoever uses it next.
            let _ = self.speak_at(LINK_BAUD);
        }
        self.port
    }

    /// Takes what has arrived; waits a little for it.
    pub(super) fn listen(&mut self) -> Result<(), BoardError> {
        self.listen_for(READ_WAIT)
    }

    /// Takes what has arrived; waits so long for it.
    pub(super) fn listen_for(&mut self, wait: Duration) -> Result<(), BoardError> {
        self.relay()?;
        let wait = if self.relay.is_busy() { wait.min(RELAY_WAIT) } else { wait };
        let mut bytes = [0; 4096];
        self.port.set_timeout(wait).map_err(|_| BoardError::Unplugged)?;
        match self.port.read(&mut bytes) {
            Ok(0) => Err(BoardError::Unplugged),
            Ok(len) => {
                let frames = self.frames;
                bytes[..len].split_inclusive(|byte| *byte == 0).for_each(|piece| self.take(piece));
                self.judge_rate(true, self.frames > frames)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
                self.judge_rate(false, false)
            }
            Err(_) => Err(BoardError::Unplugged),
        }
    }

    /// Goes back to the usual rate when the board cannot be understood at the raised one: it may have started anew, and
    /// its greeting was not understood either.
    fn judge_rate(&mut self, anything: bool, understood: bool) -> Result<(), BoardError> {
        if self.raised.as_mut().is_some_and(|raised| raised.judge(anything, understood)) {
            self.speak_at(LINK_BAUD)?;
            self.take_start();
        }
        Ok(())
    }

    /// Asks once more where no answer comes and asking twice does no harm.
    pub(super) fn call(&mut self, request: &Request) -> Result<Response, BoardError> {
        let tries = if may_be_asked_twice(request) { 2 } else { 1 };
        let mut outcome = Err(BoardError::NoAnswer { request: name(request) });
        for _ in 0..tries {
            outcome = self.call_once(request, time_limit(request));
            if !matches!(outcome, Err(BoardError::NoAnswer { .. } | BoardError::Garbage { .. })) {
                break;
            }
        }
        outcome
    }

    /// Asks and waits for the answer with the same number.
    pub(super) fn call_once(&mut self, request: &Request, within: Duration) -> Result<Response, BoardError> {
        let (frames, dropped) = (self.frames, self.decoder.dropped());
        let number = self.send(request)?;
        let end = Instant::now() + within;
        while Instant::now() < end {
            self.listen()?;
            while let Some(answer) = self.answers.pop_front() {
                if answer.number == number {
                    return answer.result.map_err(BoardError::Refused);
                }
            }
        }
        let dropped = self.decoder.dropped() - dropped;
        if dropped > 0 && frames == self.frames {
            return Err(BoardError::Garbage { dropped: dropped.into() });
        }
        Err(BoardError::NoAnswer { request: name(request) })
    }

    /// Waits for a hello, said unasked after a start or in answer to being asked.
    pub(super) fn hello(&mut self, within: Duration) -> Result<Option<Hello>, BoardError> {
        let end = Instant::now() + within;
        let mut ask_at = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(None);
            }
            if now >= ask_at {
                self.send(&Request::Hello)?;
                ask_at = now + HELLO_INTERVAL;
            }
            self.listen()?;
            self.answers.clear();
            if let Some(hello) = self.hello.take() {
                return Ok(Some(hello));
            }
        }
    }

    /// Offers to carry the board's connections to `target`, or to no target any more.
    pub(super) fn offer_relay(&mut self, target: Option<RelayTarget>) -> Result<(), BoardError> {
        self.relay.offer(target);
        let request = Request::Relay(self.relay.is_offered());
        match self.call(&request)? {
            Response::Done => Ok(()),
            _ => Err(BoardError::UnexpectedAnswer { request: name(&request) }),
        }
    }

    /// The line is about to be closed: tells the board that nobody carries its connection any more.
    pub(super) fn withdraw_relay(&mut self) {
        if self.relay.is_offered() {
            self.relay.offer(None);
            // A line that is gone carries nothing anyway.
            let _ = self.send(&Request::Relay(false));
        }
        if self.raised.is_some() {
            let _ = self.send(&Request::SetLineRate(LINK_BAUD));
        }
    }

    /// Forgets what arrived before the board was started anew.
    pub(super) fn forget(&mut self) -> Result<(), BoardError> {
        self.speak_at(LINK_BAUD)?;
        self.hello = None;
        self.answers.clear();
        Ok(())
    }

    /// Throws away what is in the operating system's buffer.
    pub(super) fn clear(&mut self) -> Result<(), BoardError> {
        self.port.clear(ClearBuffer::Input).map_err(|_| BoardError::Unplugged)
    }

    /// The last the board wrote, as text.
    pub(super) fn log(&self) -> String {
        let bytes: Vec<u8> = self.log.iter().chain(&self.unframed).copied().collect();
        readable(&bytes)
    }

    /// Moves what the tunnel carries, and repeats the offer to a board that started anew. Its answer is for nobody.
    fn relay(&mut self) -> Result<(), BoardError> {
        if std::mem::take(&mut self.must_offer) {
            self.send(&Request::Relay(true))?;
        }
        self.relay.turn();
        while let Some(answer) = self.relay.next_answer() {
            match answer.encode() {
                Ok(line) => self.write(&line)?,
                Err(error) => tracing::warn!(%error, "what the broker sent does not fit in a frame"),
            }
        }
        Ok(())
    }

    fn send(&mut self, request: &Request) -> Result<u16, BoardError> {
        let number = self.next_number;
        // 0 is the number of what the board says unasked.
        self.next_number = self.next_number.checked_add(1).unwrap_or(1);
        let line = encode_call(&Call { number, request: request.clone() })
            .map_err(|_| BoardError::Refused(Refusal::Invalid("it is too long for the line".into())))?;
        self.write(&line)?;
        Ok(number)
    }

    fn write(&mut self, line: &[u8]) -> Result<(), BoardError> {
        self.port.set_timeout(WRITE_WAIT).map_err(|_| BoardError::Unplugged)?;
        self.port.write_all(line).map_err(|_| BoardError::Unplugged)
    }

    /// Takes bytes of which at most the last is zero.
    fn take(&mut self, piece: &[u8]) {
        self.unframed.extend(piece.iter().filter(|byte| **byte != 0));
        if self.unframed.len() > LOG_LEN {
            self.unframed.drain(..self.unframed.len() - LOG_LEN);
        }
        for found in self.decoder.push(piece) {
            let unframed = std::mem::take(&mut self.unframed);
            match found {
                Ok(frame) => self.take_frame(frame),
                Err(_) => self.keep_log(&unframed),
            }
        }
    }

    fn take_frame(&mut self, frame: Frame) {
        self.frames += 1;
        match frame.channel {
            Channel::Log => {
                // Nobody listens: the line is for nobody but the log below.
                let _ = self.voices.log.send(readable(&frame.payload).trim_end().to_owned());
                self.keep_log(&frame.payload);
            }
            Channel::Reading => {
                let stamped = Stamped { payload: frame.payload, received: OffsetDateTime::now_utc() };
                // Nobody listens: the reading is for nobody.
                let _ = self.voices.readings.send(stamped);
            }
            Channel::Call => match decode_answer(&frame.payload) {
                Ok(answer) => {
                    if let Ok(Response::Hello(hello)) = &answer.result {
                        self.hello = Some(hello.clone());
                    }
                    if answer.number == 0 {
                        self.take_start();
                    } else {
                        self.answers.push_back(answer);
                    }
                    // Late answers to requests that were given up.
                    if self.answers.len() > 8 {
                        self.answers.pop_front();
                    }
                }
                Err(error) => tracing::debug!(%error, "an answer cannot be read"),
            },
            Channel::Tunnel => match FromBoard::decode(&frame.payload) {
                Ok(message) => self.relay.on_message(message),
                Err(error) => tracing::debug!(%error, "a message of the tunnel cannot be read"),
            },
        }
    }

    /// The board says unasked who it is: it has started, and what it held in memory is gone.
    fn take_start(&mut self) {
        self.relay.forget();
        self.must_offer = self.relay.is_offered();
    }

    fn keep_log(&mut self, bytes: &[u8]) {
        let text = readable(bytes);
        tracing::debug!(text = text.trim_end(), "the board writes");
        self.log.extend(text.bytes());
        if !text.ends_with('\n') {
            self.log.push_back(b'\n');
        }
        let excess = self.log.len().saturating_sub(LOG_LEN);
        self.log.drain(..excess);
    }
}

/// Text without what would disturb a terminal.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

/// The request's name, for messages. Never its content.
fn name(request: &Request) -> &'static str {
    match request {
        Request::Hello => "hello",
        Request::MakeKey(_) => "make a key",
        Request::Install(_) => "install the identity",
        Request::ReadIdentity => "read the identity",
        Request::ReadSensors => "measure",
        Request::ReadCalibration => "read the calibration",
        Request::SetCalibration(_) => "store the calibration",
        Request::SetClock { .. } => "set the clock",
        Request::ReadSettings => "read the settings",
        Request::SetSettings(_) => "store the settings",
        Request::EraseCredentials => "erase the credentials",
        Request::Reboot => "restart",
        Request::RebootToLoader => "start the loader",
        Request::Relay(_) => "connect through this computer",
        Request::SetLineRate(_) => "change the line rate",
    }
}

/// How long the board may take. Making a key and a CSR takes seconds on the chip; flash is erased when storing.
fn time_limit(request: &Request) -> Duration {
    let seconds = match request {
        Request::MakeKey(_) => 20,
        Request::Install(_) | Request::EraseCredentials => 10,
        Request::SetCalibration(_) | Request::SetSettings(_) | Request::ReadSensors => 5,
        _ => 3,
    };
    Duration::from_secs(seconds)
}

/// A second key would replace the first, and a board that restarts must not restart again.
fn may_be_asked_twice(request: &Request) -> bool {
    !matches!(request, Request::MakeKey(_) | Request::Reboot | Request::RebootToLoader)
}
