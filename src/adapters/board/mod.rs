//! Boards on serial lines: the running firmware's link, and the chip's loader through espflash.
//!
//! Each open board has a thread of its own that owns the line; the methods here send it jobs and wait for the answer.

mod flash;
#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod flash_tests;
mod link;
mod loader;
mod rate;
#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod rate_tests;
mod relay;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod relay_tests;
#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
mod worker;

use std::{
    io,
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use coldbench_protocol::{Hello, Request, Response};
use espflash::connection::Port;
use serialport::UsbPortInfo;
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::sleep,
};

use self::{
    link::LINK_BAUD,
    relay::Counters,
    worker::{Job, Reply, Voices, Worker},
};
use super::ports_list;
use crate::{
    domain::image::Image,
    ports::{
        Cancel,
        board::{
            Board, BoardError, Boards, FlashPhase, FlashProgress, FlashReport, Found, OpenOptions, PortInfo,
            RelayTarget, RelayTraffic, Stamped,
        },
    },
};

/// Jobs that wait for the thread. A board's jobs come one after another.
const JOBS: usize = 4;
/// Readings kept for a slow receiver; at one in 5 s more than five minutes.
const READINGS: usize = 64;
/// Lines of the firmware's log kept for a slow receiver; the newest are what is asked for.
const LOG_LINES: usize = 32;
/// Steps of progress that wait for the receiver.
const PROGRESS: usize = 32;
/// A loader that brings flashing no further for this long has stopped, though it may still say something now and then.
/// Each single wait of the flasher is shorter.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// A port that was just closed is free within this.
const CLOSING_WAIT: Duration = Duration::from_millis(500);

/// The serial ports of this computer.
#[derive(Debug, Clone, Default)]
pub struct SerialBoards {
    named: Vec<String>,
    listed: Arc<ports_list::Listed>,
}

impl SerialBoards {
    /// Ports are found by the operating system; `named` adds paths that it does not list, such as pseudo-terminals.
    pub fn new(named: Vec<String>) -> Self {
        SerialBoards { named, listed: Arc::default() }
    }
}

#[async_trait]
impl Boards for SerialBoards {
    async fn ports(&self) -> Vec<PortInfo> {
        let (named, listed) = (self.named.clone(), self.listed.clone());
        tokio::task::spawn_blocking(move || ports_list::ports(&listed, &named)).await.unwrap_or_default()
    }

    async fn open(&self, port: &str, options: OpenOptions) -> Result<Box<dyn Board>, BoardError> {
        let (jobs, waiting) = mpsc::channel(JOBS);
        let (readings, _) = broadcast::channel(READINGS);
        let (reply, opened) = oneshot::channel();
        let (log, _) = broadcast::channel(LOG_LINES);
        let relayed = Arc::<Counters>::default();
        let board = SerialBoard {
            port: port.to_owned(),
            jobs,
            readings: readings.downgrade(),
            log: log.downgrade(),
            relayed: relayed.clone(),
        };
        let name = port.to_owned();
        thread::Builder::new()
            .name(format!("board {}", port.rsplit('/').next().unwrap_or(port)))
            .spawn(move || match open(&name) {
                Ok((line, usb)) => {
                    // Whoever opened may be gone: then there is no job and the thread ends.
                    let _ = reply.send(Ok(()));
                    Worker::new(line, usb, options, Voices { readings, log, relayed }).run(waiting);
                }
                Err(error) => drop(reply.send(Err(error))),
            })
            .map_err(|error| BoardError::Open { port: port.to_owned(), why: error.to_string() })?;
        opened.await.unwrap_or(Err(BoardError::Unplugged))?;
        Ok(Box::new(board))
    }
}

/// One open board.
struct SerialBoard {
    port: String,
    jobs: mpsc::Sender<Job>,
    /// The line itself holds the other end.
    readings: broadcast::WeakSender<Stamped>,
    log: broadcast::WeakSender<String>,
    relayed: Arc<Counters>,
}

impl SerialBoard {
    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, BoardError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| BoardError::Unplugged)?;
        answer.await.unwrap_or(Err(BoardError::Unplugged))
    }
}

#[async_trait]
impl Board for SerialBoard {
    fn port(&self) -> &str {
        &self.port
    }

    async fn identify(&self) -> Result<Found, BoardError> {
        self.ask(Job::Identify).await
    }

    async fn flash(
        &self,
        image: &Image,
        held_baud: Option<u32>,
        progress: &(dyn Fn(FlashProgress) + Send + Sync),
        cancel: &Cancel,
    ) -> Result<FlashReport, BoardError> {
        let (steps, mut coming) = mpsc::channel(PROGRESS);
        // Also when this future is dropped the thread stops after the slice it is at.
        let stop = StopOnDrop(Cancel::default());
        let inner = stop.0.clone();
        let image_copy = Box::new(image.clone());
        let done = self.ask(|reply| Job::Flash { image: image_copy, held_baud, progress: steps, cancel: inner, reply });
        tokio::pin!(done);
        let mut cancelled = false;
        let mut stalled = pin!(sleep(STALL_LIMIT));
        let report = loop {
            tokio::select! {
                Some(step) = coming.recv() => {
                    stalled.as_mut().reset(tokio::time::Instant::now() + STALL_LIMIT);
                    progress(step);
                }
                () = &mut stalled => {
                    let why = format!("the loader got no further for {} s", STALL_LIMIT.as_secs());
                    return Err(BoardError::Flash { why });
                }
                () = cancel.cancelled(), if !cancelled => {
                    stop.0.cancel();
                    cancelled = true;
                }
                outcome = &mut done => break outcome?,
            }
        };
        while let Ok(step) = coming.try_recv() {
            progress(step);
        }
        let part = image.parts.last().map(|part| part.name.clone()).unwrap_or_default();
        let total_bytes = image.size();
        progress(FlashProgress { part, phase: FlashPhase::Verify, done_bytes: total_bytes, total_bytes });
        Ok(report)
    }

    async fn boot(&self, within: Duration) -> Result<Hello, BoardError> {
        self.ask(|reply| Job::Boot { within, reply }).await
    }

    async fn call(&self, request: Request) -> Result<Response, BoardError> {
        let request = Box::new(request);
        self.ask(|reply| Job::Call { request, reply }).await
    }

    async fn offer_relay(&self, target: Option<RelayTarget>) -> Result<(), BoardError> {
        self.ask(|reply| Job::OfferRelay { target, reply }).await
    }

    fn relay_traffic(&self) -> RelayTraffic {
        self.relayed.traffic()
    }

    fn readings(&self) -> broadcast::Receiver<Stamped> {
        listen(&self.readings)
    }

    fn log(&self) -> broadcast::Receiver<String> {
        listen(&self.log)
    }
}

/// A line that is gone brings nothing more: a receiver that has ended.
fn listen<T: Clone>(voice: &broadcast::WeakSender<T>) -> broadcast::Receiver<T> {
    voice.upgrade().map_or_else(|| broadcast::channel(1).1, |voice| voice.subscribe())
}

struct StopOnDrop(Cancel);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Opens a port and locks it against other programs (`TIOCEXCL` and `flock`).
fn open(name: &str) -> Result<(Port, UsbPortInfo), BoardError> {
    let end = Instant::now() + CLOSING_WAIT;
    let builder = serialport::new(name, LINK_BAUD);
    loop {
        match Port::open(&builder) {
            Ok(port) => return Ok((port, ports_list::usb_info(name))),
            Err(error) => match open_error(name, &error) {
                BoardError::Busy { .. } if Instant::now() < end => thread::sleep(Duration::from_millis(50)),
                error => return Err(error),
            },
        }
    }
}

fn open_error(name: &str, error: &serialport::Error) -> BoardError {
    let port = name.to_owned();
    match error.kind() {
        serialport::ErrorKind::Io(io::ErrorKind::NotFound) => BoardError::NoPort { port },
        serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) => BoardError::NoPermission { port },
        // On Unix this kind is a held lock; on Windows also a missing port.
        serialport::ErrorKind::NoDevice if cfg!(unix) => BoardError::Busy { port },
        serialport::ErrorKind::NoDevice => BoardError::NoPort { port },
        _ => BoardError::Open { port, why: error.to_string() },
    }
}
