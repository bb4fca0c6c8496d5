//! The board's end of the serial line: a pseudo-terminal that paces bytes as a UART would.

use std::{
    fs::{self, OpenOptions},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{OpenOptionsExt, symlink},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::termios::{BaudRate, FlushArg, SetArg, cfmakeraw, cfsetspeed, tcflush, tcgetattr, tcsetattr},
    unistd::{read, ttyname, write},
};

#[cfg(target_os = "linux")]
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
#[cfg(not(target_os = "linux"))]
use nix::{fcntl::FdFlag, pty::openpty};

/// Bytes that go over the line at once; small, so that pacing is smooth.
const PIECE: usize = 1024;
/// Start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u32 = 10;
/// How often a line without a client is looked at: a closed pseudo-terminal cannot be waited for.
const CLIENT_POLL: Duration = Duration::from_millis(25);
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

/// The board's end. While it is unplugged, there is no device and the link is gone.
#[derive(Debug)]
pub(super) struct Line {
    link: PathBuf,
    pty: Option<Pty>,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pty {
    master: OwnedFd,
    slave_path: PathBuf,
    had_client: bool,
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
    pub(super) fn open(link: &Path, limit_baud: Option<u32>, baud: u32) -> io::Result<Self> {
        let now = Instant::now();
        let pace = limit_baud.map(|limit_baud| Pace { limit_baud, baud, received_at: now, sent_at: now });
        let mut line = Line { link: link.to_owned(), pty: None, pace };
        line.plug()?;
        Ok(line)
    }

    /// Makes the device anew, as a USB bridge that was plugged in.
    pub(super) fn plug(&mut self) -> io::Result<()> {
        if self.pty.is_none() {
            let pty = Pty::open()?;
            remove_link(&self.link)?;
            symlink(&pty.slave_path, &self.link)?;
            self.pty = Some(pty);
        }
        Ok(())
    }

    /// Takes the device away: whoever has it open gets an error.
    pub(super) fn unplug(&mut self) {
        if self.pty.take().is_some() {
            // A link that cannot be removed points nowhere, which opens as badly as no link.
            let _ = remove_link(&self.link);
        }
    }

    /// The rate that the board speaks at from now on.
    pub(super) fn set_baud(&mut self, baud: u32) {
        if let Some(pace) = &mut self.pace {
            pace.baud = baud;
        }
    }

    /// Waits for bytes, at most this long.
    pub(super) fn hear(&mut self, timeout: Duration) -> io::Result<Heard> {
        let Some(pty) = &mut self.pty else {
            thread::sleep(timeout);
            return Ok(Heard::NoClient);
        };
        match pty.read(timeout)? {
            Heard::Bytes(bytes) => {
                if let Some(pace) = &mut self.pace {
                    pace.receive(bytes.len());
                }
                Ok(Heard::Bytes(bytes))
            }
            Heard::Silence => {
                if let Some(pace) = &mut self.pace {
                    pace.received_at = Instant::now();
                }
                Ok(Heard::Silence)
            }
            Heard::NoClient => {
                if std::mem::take(&mut pty.had_client) && !pty.forget_client() {
                    self.unplug();
                    self.plug()?;
                }
                thread::sleep(timeout.min(CLIENT_POLL));
                Ok(Heard::NoClient)
            }
        }
    }

    /// Sends bytes. What a client does not take within `patience` is lost, as it is on a UART.
    pub(super) fn say(&mut self, bytes: &[u8], patience: Duration) {
        let Some(pty) = &self.pty else { return };
        if !pty.had_client {
            return;
        }
        for piece in bytes.chunks(PIECE) {
            if let Some(pace) = &mut self.pace {
                pace.send(piece.len());
            }
            if !pty.write(piece, patience) {
                return;
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// The two ends. No program that is started may inherit them: it would keep an unplugged line alive.
#[cfg(target_os = "linux")]
fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let flags = OFlag::O_NOCTTY.bits();
    let slave = OpenOptions::new().read(true).write(true).custom_flags(flags).open(ptsname_r(&master)?)?;
    Ok((master.into(), slave.into()))
}

/// The two ends. No program that is started may inherit them: it would keep an unplugged line alive.
#[cfg(not(target_os = "linux"))]
fn open_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = openpty(None, None)?;
    for end in [&pair.master, &pair.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    Ok((pair.master, pair.slave))
}

impl Pty {
    fn open() -> io::Result<Self> {
        let (master, slave) = open_pair()?;
        // Raw from the start: with echo on, the board would hear its own greeting.
        let mut settings = tcgetattr(&slave)?;
        cfmakeraw(&mut settings);
        cfsetspeed(&mut settings, BaudRate::B115200)?;
        tcsetattr(&slave, SetArg::TCSANOW, &settings)?;
        let flags = OFlag::from_bits_truncate(fcntl(&master, FcntlArg::F_GETFL)?);
        fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let slave_path = ttyname(&slave)?;
        Ok(Pty { master, slave_path, had_client: false })
    }

    fn read(&mut self, timeout: Duration) -> io::Result<Heard> {
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => {
                self.had_client = true;
                return Ok(Heard::Silence);
            }
            Ok(_) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut bytes = vec![0; PIECE];
        match read(&self.master, &mut bytes) {
            Ok(0) | Err(Errno::EIO) => Ok(Heard::NoClient),
            Ok(len) => {
                self.had_client = true;
                bytes.truncate(len);
                Ok(Heard::Bytes(bytes))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Heard::Silence),
            Err(errno) => Err(errno.into()),
        }
    }

    /// `false` when the client did not take it.
    fn write(&self, mut bytes: &[u8], patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !bytes.is_empty() {
            match write(&self.master, bytes) {
                Ok(len) => bytes = &bytes[len..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLOUT)];
                    // Not longer than a moment: on some systems a full line polls as writable.
                    let _ = poll(&mut fds, PollTimeout::try_from(left.min(CLIENT_POLL)).unwrap_or(PollTimeout::ZERO));
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Drops what the last client did not read. `false` when that client, killed, left the device locked.
    fn forget_client(&self) -> bool {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits())
            .open(&self.slave_path);
        match opened {
            Ok(slave) => tcflush(&slave, FlushArg::TCIFLUSH).is_ok(),
            Err(_) => false,
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

fn remove_link(link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
