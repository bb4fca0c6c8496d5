//! The thread that owns one line.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use coldbench_protocol::{Hello, Request, Response};
use espflash::connection::Port;
use serialport::{SerialPort, UsbPortInfo};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    flash::{self, Task},
    link::{LINK_BAUD, Link},
    loader::{Fault, Loader, Wires, enter},
    relay::Counters,
};
use crate::{
    domain::image::Image,
    ports::{
        Cancel,
        board::{BoardError, FlashProgress, FlashReport, Found, OpenOptions, RelayTarget, Reset, Stamped},
    },
};

/// How long a board is asked who it is before its loader is tried.
const IDENTIFY_WAIT: Duration = Duration::from_millis(1500);
/// How long a firmware may take to say that it goes into the loader.
const TO_LOADER_WAIT: Duration = Duration::from_millis(700);
/// What the chip needs at least from there to the loader; after it the loader is asked until it answers.
const LOADER_START: Duration = Duration::from_millis(50);

/// Requests that belong together come within this of each other.
const BURST: Duration = Duration::from_secs(3);
/// How long a request may wait while the line only brings readings.
const IDLE_WAIT: Duration = Duration::from_millis(200);

/// USB vendor of the chip's own USB connection.
const ESPRESSIF_VID: u16 = 0x303A;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, BoardError>>;

/// What is asked of the thread.
pub(super) enum Job {
    /// [`Board::identify`](crate::ports::board::Board::identify).
    Identify(Reply<Found>),
    /// [`Board::flash`](crate::ports::board::Board::flash).
    Flash {
        image: Box<Image>,
        held_baud: Option<u32>,
        progress: mpsc::Sender<FlashProgress>,
        cancel: Cancel,
        reply: Reply<FlashReport>,
    },
    /// [`Board::boot`](crate::ports::board::Board::boot).
    Boot { within: Duration, reply: Reply<Hello> },
    /// [`Board::call`](crate::ports::board::Board::call).
    Call { request: Box<Request>, reply: Reply<Response> },
    /// [`Board::offer_relay`](crate::ports::board::Board::offer_relay).
    OfferRelay { target: Option<RelayTarget>, reply: Reply<()> },
}

/// Where the line tells what it carries besides answers. They end with the line, so that listeners hear of it.
#[derive(Clone)]
pub(super) struct Voices {
    /// Readings of the board.
    pub(super) readings: broadcast::Sender<Stamped>,
    /// Lines of the firmware's log.
    pub(super) log: broadcast::Sender<String>,
    /// What went through the tunnel.
    pub(super) relayed: Arc<Counters>,
}

/// Owns the line and does one job after another; listens in between.
pub(super) struct Worker {
    /// `None` after the line was lost.
    link: Option<Link>,
    /// Lent to the line; gone with it.
    voices: Option<Voices>,
    usb: UsbPortInfo,
    wires: Wires,
    options: OpenOptions,
    /// `true` while the loader is what answered last.
    in_loader: bool,
}

impl Worker {
    /// Takes an open port.
    pub(super) fn new(mut port: Port, usb: UsbPortInfo, options: OpenOptions, voices: Voices) -> Self {
        // A pseudo-terminal has no such lines, and then no reset wires either.
        let wired = options.reset == Reset::Auto && port.read_clear_to_send().is_ok();
        let wires = if wired { Wires::Present } else { Wires::Absent };
        let link = Some(Link::new(port, voices.clone()));
        Worker { link, voices: Some(voices), usb, wires, options, in_loader: false }
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, jobs: mpsc::Receiver<Job>) {
        self.serve(jobs);
        if let (Some(link), false) = (&mut self.link, self.in_loader) {
            link.withdraw_relay();
        }
    }

    fn serve(&mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut worked = Instant::now();
        loop {
            match jobs.try_recv() {
                Ok(job) => {
                    self.work(job);
                    worked = Instant::now();
                }
                Err(mpsc::error::TryRecvError::Disconnected) => return,
                Err(mpsc::error::TryRecvError::Empty) => match &mut self.link {
                    Some(link) if !self.in_loader => {
                        // Requests come in bursts: between them a request may wait a little, and the processor rests.
                        let is_idle = worked.elapsed() > BURST;
                        let heard = if is_idle { link.listen_for(IDLE_WAIT) } else { link.listen() };
                        if heard.is_err() {
                            self.lose();
                        }
                    }
                    // Nothing to listen to: wait for a job.
                    _ => match jobs.blocking_recv() {
                        Some(job) => {
                            self.work(job);
                            worked = Instant::now();
                        }
                        None => return,
                    },
                },
            }
        }
    }

    fn work(&mut self, job: Job) {
        // Whoever asked may be gone by now: then the answer is for nobody.
        match job {
            Job::Identify(reply) => drop(reply.send(self.identify())),
            Job::Call { request, reply } => drop(reply.send(self.call(&request))),
            Job::OfferRelay { target, reply } => drop(reply.send(self.offer_relay(target))),
            Job::Boot { within, reply } => drop(reply.send(self.boot(within))),
            Job::Flash { image, held_baud, progress, cancel, reply } => {
                let outcome = self.flash(&image, held_baud, &progress, &cancel);
                drop(reply.send(outcome));
            }
        }
    }

    fn identify(&mut self) -> Result<Found, BoardError> {
        if !self.in_loader {
            let link = self.link()?;
            link.clear()?;
            if let Some(hello) = link.hello(IDENTIFY_WAIT)? {
                return Ok(Found::Running { hello: hello.into() });
            }
        }
        let loader = self.with_port(|port, worker| {
            let baud = port.baud_rate().unwrap_or(LINK_BAUD);
            let wires = if worker.in_loader { &Wires::Absent } else { &worker.wires };
            match enter(port, &worker.usb, wires, baud).and_then(|port| Loader::connect(port, &worker.usb, None)) {
                Ok(loader) => {
                    let chip = loader.chip.clone();
                    (loader.park(), Ok(chip))
                }
                Err(Fault { error, port }) => (port, Err(error)),
            }
        });
        self.in_loader = loader.is_ok();
        Ok(Found::Loader { chip: loader? })
    }

    fn flash(
        &mut self,
        image: &Image,
        held_baud: Option<u32>,
        progress: &mpsc::Sender<FlashProgress>,
        cancel: &Cancel,
    ) -> Result<FlashReport, BoardError> {
        if cancel.is_cancelled() {
            return Err(BoardError::Cancelled { half_written: false });
        }
        if !self.in_loader {
            let link = self.link()?;
            match link.call_once(&Request::RebootToLoader, TO_LOADER_WAIT) {
                Ok(_) => {
                    thread::sleep(LOADER_START);
                    self.in_loader = true;
                }
                Err(BoardError::Unplugged) => return Err(BoardError::Unplugged),
                Err(error) => tracing::debug!(%error, "no firmware takes the request for the loader"),
            }
        }
        let report = self.with_port(|port, worker| {
            let task = Task {
                image,
                options: worker.options,
                held_baud,
                usb: &worker.usb,
                wires: &worker.wires,
                in_loader: worker.in_loader,
                // A slow reader loses steps of the way, never the end, which the answer tells.
                progress: &|step| drop(progress.try_send(step)),
                cancel,
            };
            flash::flash(port, &task)
        });
        self.in_loader = report.is_err();
        report
    }

    fn boot(&mut self, within: Duration) -> Result<Hello, BoardError> {
        if self.in_loader {
            let left = self.with_port(|port, worker| {
                let baud = port.baud_rate().unwrap_or(LINK_BAUD);
                let entered = enter(port, &worker.usb, &Wires::Absent, baud);
                match entered.and_then(|port| Loader::connect(port, &worker.usb, None)) {
                    Ok(loader) => (loader.leave(&worker.wires), Ok(())),
                    Err(Fault { error, port }) => (port, Err(error)),
                }
            });
            // A loader that is silent by now may have been left by the operator's button.
            if let Err(error @ BoardError::Unplugged) = left {
                return Err(error);
            }
            self.in_loader = false;
        }
        let link = self.link()?;
        match link.hello(within)? {
            Some(hello) => Ok(hello),
            None => Err(BoardError::NoHello { seconds: within.as_secs(), log: link.log() }),
        }
    }

    fn call(&mut self, request: &Request) -> Result<Response, BoardError> {
        self.running()?.call(request)
    }

    fn offer_relay(&mut self, target: Option<RelayTarget>) -> Result<(), BoardError> {
        // Bytes on the chip's own USB have no rate.
        let has_rate = self.usb.vid != ESPRESSIF_VID;
        let link = self.running()?;
        // A frame may be lost at the change, so it comes while nothing is carried.
        if target.is_some() && has_rate {
            link.raise_rate()?;
            return link.offer_relay(target);
        }
        link.offer_relay(target)?;
        link.lower_rate()
    }

    /// The line to a firmware; the operator may have pressed the button since the loader answered.
    fn running(&mut self) -> Result<&mut Link, BoardError> {
        let was_in_loader = std::mem::take(&mut self.in_loader);
        let link = self.link()?;
        if was_in_loader {
            link.forget()?;
        }
        Ok(link)
    }

    /// The line is gone: whoever listens is told by the end of it.
    fn lose(&mut self) {
        (self.link, self.voices) = (None, None);
    }

    fn link(&mut self) -> Result<&mut Link, BoardError> {
        self.link.as_mut().ok_or(BoardError::Unplugged)
    }

    /// Lends the line to the loader's side and takes it back.
    fn with_port<T>(
        &mut self,
        work: impl FnOnce(Port, &Self) -> (Port, Result<T, BoardError>),
    ) -> Result<T, BoardError> {
        let port = self.link.take().ok_or(BoardError::Unplugged)?.into_port();
        let (port, outcome) = work(port, self);
        match (&outcome, &self.voices) {
            (Err(BoardError::Unplugged), _) | (_, None) => self.lose(),
            (_, Some(voices)) => self.link = Some(Link::new(port, voices.clone())),
        }
        outcome
    }
}
