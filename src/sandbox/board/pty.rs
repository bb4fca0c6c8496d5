//! A pseudo-terminal with a link to it: what stands for the board's serial device on Unix.

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

use super::line::{CLIENT_POLL, Heard, PIECE};

/// The link, and the device it leads to. While the board is unplugged, there is no device and the link is gone.
#[derive(Debug)]
pub(super) struct Pty {
    link: PathBuf,
    device: Option<Device>,
}

#[derive(Debug)]
struct Device {
    master: OwnedFd,
    slave_path: PathBuf,
    had_client: bool,
}

impl Pty {
    /// Makes the device and the link.
    pub(super) fn open(link: &Path) -> io::Result<Self> {
        let mut pty = Pty { link: link.to_owned(), device: None };
        pty.plug()?;
        Ok(pty)
    }

    /// Makes the device anew.
    pub(super) fn plug(&mut self) -> io::Result<()> {
        if self.device.is_none() {
            let device = Device::open()?;
            remove_link(&self.link)?;
            symlink(&device.slave_path, &self.link)?;
            self.device = Some(device);
        }
        Ok(())
    }

    /// Takes the device away: whoever has it open gets an error.
    pub(super) fn unplug(&mut self) {
        if self.device.take().is_some() {
            // A link that cannot be removed points nowhere, which opens as badly as no link.
            let _ = remove_link(&self.link);
        }
    }

    /// Waits for bytes, at most this long.
    pub(super) fn hear(&mut self, timeout: Duration) -> io::Result<Heard> {
        let Some(device) = &mut self.device else {
            thread::sleep(timeout);
            return Ok(Heard::NoClient);
        };
        let heard = device.read(timeout)?;
        if heard == Heard::NoClient {
            if std::mem::take(&mut device.had_client) && !device.forget_client() {
                self.unplug();
                self.plug()?;
            }
            thread::sleep(timeout.min(CLIENT_POLL));
        }
        Ok(heard)
    }

    /// Whether a client has opened the device since the last one left.
    pub(super) fn has_client(&self) -> bool {
        self.device.as_ref().is_some_and(|device| device.had_client)
    }

    /// `false` when the client did not take it.
    pub(super) fn write(&self, bytes: &[u8], patience: Duration) -> bool {
        self.device.as_ref().is_some_and(|device| device.write(bytes, patience))
    }
}

impl Drop for Pty {
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

impl Device {
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
        Ok(Device { master, slave_path, had_client: false })
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

fn remove_link(link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
