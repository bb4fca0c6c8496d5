//! The board's end of the serial line, which paces bytes as a UART would: a pseudo-terminal, or a named serial port that
//! is crossed with another one.

use std::{
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
use super::pty::Pty;
use super::{com::Com, rom::RESET_BAUD};

/// Bytes that go over the line at once; small, so that pacing is smooth.
pub(super) const PIECE: usize = 1024;
/// Start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u32 = 10;
/// How often a line without a client is looked at: a closed pseudo-terminal cannot be waited for.
#[cfg(unix)]
pub(super) const CLIENT_POLL: Duration = Duration::from_millis(25);
/// Pauses shorter than this are made up for later; the scheduler cannot keep them.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// What is on the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing within the time-out.
    Silence,
    /// No client has the port open.
    NoClient,
}

/// The board's end. While it is unplugged, there is no device.
#[derive(Debug)]
pub(super) struct Line {
    end: End,
    pace: Option<Pace>,
}

/// What stands for the wire.
#[derive(Debug)]
enum End {
    /// A pseudo-terminal, made and taken away with a link to it.
    #[cfg(unix)]
    Pty(Pty),
    /// A serial port of this computer.
    Com(Com),
}

/// Throughput of a UART at a given rate. Both directions have a clock of their own.
#[derive(Debug)]
struct Pace {
    limit_baud: u32,
    baud: u32,
    received_at: Instant,
    sent_at: Instant,
}

impl Line {
    /// Makes the device and a link to it. Without `limit_baud` bytes travel as fast as the machine can.
    #[cfg(unix)]
    pub(super) fn open(link: &Path, limit_baud: Option<u32>) -> io::Result<Self> {
        Ok(Line::new(End::Pty(Pty::open(link)?), limit_baud))
    }

    /// This system has no pseudo-terminals.
    #[cfg(not(unix))]
    pub(super) fn open(_link: &Path, _limit_baud: Option<u32>) -> io::Result<Self> {
        let why = "this system has no pseudo-terminals: name two crossed serial ports with --line BOARD=TOOL";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Takes a serial port of this computer, which somebody has crossed with another one.
    pub(super) fn on_port(name: &str, limit_baud: Option<u32>) -> io::Result<Self> {
        Ok(Line::new(End::Com(Com::open(name)?), limit_baud))
    }

    fn new(end: End, limit_baud: Option<u32>) -> Self {
        let now = Instant::now();
        let pace = limit_baud.map(|limit_baud| Pace { limit_baud, baud: RESET_BAUD, received_at: now, sent_at: now });
        Line { end, pace }
    }

    /// Makes the device anew, as a USB bridge that was plugged in.
    pub(super) fn plug(&mut self) -> io::Result<()> {
        match &mut self.end {
            #[cfg(unix)]
            End::Pty(pty) => pty.plug(),
            End::Com(com) => com.plug(),
        }
    }

    /// Takes the device away: whoever has it open gets an error, where the line can tell.
    pub(super) fn unplug(&mut self) {
        match &mut self.end {
            #[cfg(unix)]
            End::Pty(pty) => pty.unplug(),
            End::Com(com) => com.unplug(),
        }
    }

    /// The rate that the board speaks at from now on.
    pub(super) fn set_baud(&mut self, baud: u32) {
        if let Some(pace) = &mut self.pace {
            pace.baud = baud;
        }
        match &mut self.end {
            // The rate of a pseudo-terminal is not looked at.
            #[cfg(unix)]
            End::Pty(_) => {}
            End::Com(com) => com.set_baud(baud),
        }
    }

    /// Waits for bytes, at most this long.
    pub(super) fn hear(&mut self, timeout: Duration) -> io::Result<Heard> {
        let heard = match &mut self.end {
            #[cfg(unix)]
            End::Pty(pty) => pty.hear(timeout),
            End::Com(com) => com.hear(timeout),
        }?;
        if let Some(pace) = &mut self.pace {
            match &heard {
                Heard::Bytes(bytes) => pace.receive(bytes.len()),
                Heard::Silence => pace.received_at = Instant::now(),
                Heard::NoClient => {}
            }
        }
        Ok(heard)
    }

    /// Sends bytes. What a client does not take within `patience` is lost, as it is on a UART.
    pub(super) fn say(&mut self, bytes: &[u8], patience: Duration) {
        for piece in bytes.chunks(PIECE) {
            let Line { end, pace } = self;
            let mut pace = || {
                if let Some(pace) = pace {
                    pace.send(piece.len());
                }
            };
            let taken = match end {
                #[cfg(unix)]
                End::Pty(pty) => {
                    pty.has_client() && {
                        pace();
                        pty.write(piece, patience)
                    }
                }
                End::Com(com) => {
                    pace();
                    com.write(piece, patience)
                }
            };
            if !taken {
                return;
            }
        }
    }
}

impl Pace {
    /// Waits until this many bytes have arrived. A client sends on as soon as it has its answer, so time that passed
    /// since the last answer counts.
    fn receive(&mut self, len: usize) {
        let begun = self.received_at.max(self.sent_at.min(Instant::now()));
        self.received_at = begun + self.duration(len);
        pause_until(self.received_at);
    }

    /// Waits until this many bytes have left.
    fn send(&mut self, len: usize) {
        self.sent_at = self.sent_at.max(Instant::now()) + self.duration(len);
        pause_until(self.sent_at);
    }

    fn duration(&self, len: usize) -> Duration {
        let bits = len as u64 * u64::from(BITS_PER_BYTE);
        Duration::from_nanos(bits * 1_000_000_000 / u64::from(self.limit_baud.min(self.baud).max(1)))
    }
}

fn pause_until(moment: Instant) {
    let left = moment.saturating_duration_since(Instant::now());
    if left >= SHORTEST_PAUSE {
        thread::sleep(left);
    }
}
