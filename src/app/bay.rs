//! The task of one port. While nothing is ordered it watches the board; a job takes the line over and gives it back.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::{
    sync::{broadcast, broadcast::error::RecvError, mpsc, watch},
    time::{Duration, Instant, sleep, sleep_until, timeout},
};

use super::{
    desk::Desk,
    live::{Arrived, Path},
    office::Office,
    operator::ScreenOperator,
    recognise::{self, Recognised},
    station::{BoardFacts, What},
    update::Update,
};
use crate::{
    commission::{self, Finished, Order, Place, events::Event},
    domain::{JobId, Mac, Problem, Reading, ThingName},
    ports::{
        Cancel,
        board::{Access, Board, BoardError, Found, PortInfo, Stamped},
    },
};

/// Opening and identifying may take this long: the loader is tried after the firmware.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// A line that was given up is really closed within this.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Events of a job that may wait; progress beyond it is dropped.
const EVENTS: usize = 256;
/// The cloud is asked about an unknown identity for so long.
const CLOUD_LIMIT: Duration = Duration::from_secs(20);
/// How long a board that could not be opened is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// What a port can be asked.
#[derive(Debug)]
pub(super) enum Errand {
    /// Look at the board anew.
    Look,
    /// Run a job. The desk was taken for it.
    Job(Job, Cancel),
}

/// A job at a port.
#[derive(Debug, Clone)]
pub(super) enum Job {
    Commission(Box<Order>),
    Resume(JobId),
    Undo(JobId),
    Decommission(ThingName),
}

impl Job {
    fn doing(&self) -> &'static str {
        match self {
            Job::Commission(_) => "Commissioning",
            Job::Resume(_) => "Resuming the job",
            Job::Undo(_) => "Undoing the job",
            Job::Decommission(_) => "Decommissioning",
        }
    }
}

/// The task of one port.
pub(super) struct Bay {
    pub port: String,
    pub office: Arc<Office>,
    pub desk: Arc<Desk>,
    pub errands: mpsc::Receiver<Errand>,
    /// The port as the system lists it; `None` while it is not there.
    pub presence: watch::Receiver<Option<PortInfo>>,
    /// What was told last.
    pub told: Option<What>,
}

/// A board that is watched.
struct Watched {
    /// Keeps the line open.
    _board: Box<dyn Board>,
    readings: broadcast::Receiver<Stamped>,
}

impl Bay {
    /// Works until the core ends.
    pub async fn run(mut self) {
        let mut line: Option<Watched> = None;
        let mut look_at = Some(Instant::now());
        let mut patience = RETRY.0;
        loop {
            let info = self.presence.borrow_and_update().clone();
            match &info {
                None => {
                    self.give_up(&mut line).await;
                    (look_at, self.told) = (None, None);
                }
                Some(info) if line.is_none() => {
                    if let Some(barred) = What::barred(info) {
                        self.tell(barred, None).await;
                        look_at = None;
                    } else if look_at.is_none_or(|at| at <= Instant::now()) {
                        line = self.look().await;
                        (look_at, patience) = match line {
                            Some(_) => (None, RETRY.0),
                            None => (Some(Instant::now() + patience), (patience * 2).min(RETRY.1)),
                        };
                    }
                }
                Some(_) => {}
            }
            tokio::select! {
                errand = self.errands.recv() => {
                    self.give_up(&mut line).await;
                    match errand {
                        None => return,
                        Some(Errand::Look) => self.told = None,
                        Some(Errand::Job(job, cancel)) => self.work(job, cancel).await,
                    }
                    (look_at, patience) = (Some(Instant::now()), RETRY.0);
                }
                changed = self.presence.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Plugged in again, or free at last: looked at without delay.
                    (look_at, patience) = (Some(Instant::now()), RETRY.0);
                }
                reading = next_reading(&mut line) => match reading {
                    Ok(stamped) => self.tell_reading(stamped),
                    Err(RecvError::Lagged(lost)) => self.office.outbox.count_dropped(lost),
                    Err(RecvError::Closed) => {
                        self.give_up(&mut line).await;
                        self.tell(What::Looking, None).await;
                        look_at = Some(Instant::now() + RETRY.0);
                    }
                },
                () = until(look_at) => {}
            }
        }
    }

    /// Opens the line and finds out what is on it. Not to be broken off: an open line cannot be closed midway.
    async fn look(&mut self) -> Option<Watched> {
        if !matches!(self.told, Some(What::CannotOpen(_))) {
            self.tell(What::Looking, None).await;
        }
        self.desk.hold_line(true);
        let looked = timeout(LOOK_LIMIT, async {
            let board = self.office.world.boards().open(&self.port, self.office.open).await?;
            let readings = board.readings();
            let found = board.identify().await?;
            Ok::<_, BoardError>((Watched { _board: board, readings }, found))
        });
        match looked.await.unwrap_or(Err(BoardError::Silent)) {
            Ok((watched, found)) => {
                self.recognise(&found).await;
                Some(watched)
            }
            Err(error) => {
                self.desk.hold_line(false);
                self.desk.know(None, None);
                // A port that vanished is told by the list of ports.
                if !matches!(error, BoardError::NoPort { .. } | BoardError::Unplugged) {
                    self.tell(What::CannotOpen(error.into()), None).await;
                }
                None
            }
        }
    }

    async fn recognise(&mut self, found: &Found) {
        let facts = BoardFacts::from(found);
        let mac = facts.mac;
        let recognised = match self.recorded(found, mac) {
            Ok(recognised) => recognised,
            Err(problem) => {
                self.fail("Reading the record", problem).await;
                recognise::recognise(found, None)
            }
        };
        match recognised {
            Recognised::Known(is) => {
                self.desk.know(Some(mac), thing_of(&is));
                self.tell(is, Some(facts)).await;
            }
            Recognised::AskCloud(name) => {
                self.desk.know(Some(mac), Some(name.clone()));
                self.tell(by_record_only(&name), Some(facts.clone())).await;
                self.ask_cloud(name, facts);
            }
        }
    }

    fn recorded(&self, found: &Found, mac: Mac) -> Result<Recognised, Problem> {
        let ledger = self.office.ledger()?.ledger;
        let jobs = ledger.jobs()?;
        let Some(last) = recognise::last_job(&jobs, mac) else { return Ok(recognise::recognise(found, None)) };
        let steps = ledger.steps(&last.job)?;
        Ok(recognise::recognise(found, Some((last, &steps))))
    }

    /// Whose board is it? Without an answer in time it stays what it was told to be.
    fn ask_cloud(&self, name: String, facts: BoardFacts) {
        let (office, port, presence) = (self.office.clone(), self.port.clone(), self.presence.clone());
        let desk = self.desk.clone();
        tokio::spawn(async move {
            let Ok(thing) = name.parse::<ThingName>() else { return };
            let asked =
                timeout(CLOUD_LIMIT, async { Ok::<_, Problem>(office.cloud().await?.cloud.thing(&thing).await?) });
            let Ok(Ok(answer)) = asked.await else { return };
            // The board may have been changed, or taken by a job, meanwhile.
            if presence.borrow().is_some() && desk.has_board(facts.mac) && !desk.is_taken() {
                let is = recognise::by_cloud(&name, facts.mac, answer.as_ref());
                office.outbox.tell(Update::Recognised { port, is, board: Some(facts) }).await;
            }
        });
    }

    /// Closes the line and waits until it is closed.
    async fn give_up(&self, line: &mut Option<Watched>) {
        if line.take().is_none() {
            return;
        }
        let closed = timeout(CLOSE_LIMIT, async {
            while self.is_held().await {
                sleep(Duration::from_millis(50)).await;
            }
        });
        if closed.await.is_err() {
            tracing::warn!(port = self.port, "the line is still open");
        }
        self.desk.hold_line(false);
    }

    async fn is_held(&self) -> bool {
        let ports = self.office.world.boards().ports().await;
        ports.iter().any(|info| info.port == self.port && info.access == Access::Busy)
    }

    /// Runs a job and tells its events.
    async fn work(&mut self, job: Job, cancel: Cancel) {
        let doing = job.doing();
        if let Err(problem) = self.run_job(job, cancel).await {
            self.fail(doing, problem).await;
        }
        self.desk.give_back();
        self.told = None;
        if let Err(problem) = self.office.tell_jobs().await {
            self.fail("Reading the record", problem).await;
        }
    }

    async fn run_job(&self, job: Job, cancel: Cancel) -> Result<Finished, Problem> {
        let (port, desk, outbox) = (self.port.clone(), self.desk.clone(), self.office.outbox.clone());
        let bench = self.office.bench(Arc::new(ScreenOperator { port, desk, outbox })).await?;
        let (sender, events) = mpsc::channel(EVENTS);
        let is_here = self.presence.borrow().is_some();
        let place = is_here.then(|| Place { port: self.port.clone(), open: self.office.open });
        let work = async {
            Ok(match job {
                Job::Commission(order) => {
                    commission::commission(&bench, *order, self.office.kit()?, sender, cancel).await
                }
                Job::Resume(job) => {
                    commission::resume(&bench, &job, Some(self.port.clone()), self.office.kit()?, sender, cancel).await
                }
                Job::Undo(job) => commission::undo(&bench, &job, place, sender, cancel).await,
                Job::Decommission(thing) => {
                    commission::decommission::decommission(&bench, &thing, place, sender, cancel).await
                }
            })
        };
        let (finished, ()) = tokio::join!(work, forward(&self.office, Some(&self.port), events));
        finished
    }

    fn tell_reading(&self, stamped: Stamped) {
        match Reading::parse(&stamped.payload) {
            Ok(reading) => {
                let arrived =
                    Arrived { path: Path::Usb, reading, payload: stamped.payload, received: stamped.received };
                self.office.outbox.offer(Update::Reading { port: self.port.clone(), arrived: Box::new(arrived) });
            }
            Err(problem) => {
                tracing::debug!(port = self.port, %problem, "a payload is no reading");
                self.office.outbox.count_dropped(1);
            }
        }
    }

    /// Tells what is on the port, once.
    async fn tell(&mut self, is: What, board: Option<BoardFacts>) {
        if self.told.as_ref() != Some(&is) {
            self.told = Some(is.clone());
            self.office.outbox.tell(Update::Recognised { port: self.port.clone(), is, board }).await;
        }
    }

    async fn fail(&self, doing: &'static str, problem: Problem) {
        self.office.outbox.tell(Update::Failed { port: Some(self.port.clone()), doing, problem }).await;
    }
}

/// Tells the events of a job: all but progress for sure. Questions are told by the operator, who can take the answer.
pub(super) async fn forward(office: &Office, port: Option<&str>, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        let is_progress = matches!(event, Event::Progress { .. } | Event::Sensed { .. });
        let is_question = matches!(event, Event::Asked { .. });
        let update = Update::Job { port: port.map(str::to_owned), at: OffsetDateTime::now_utc(), event };
        match (is_question, is_progress) {
            (true, _) => {}
            (_, true) => office.outbox.offer(update),
            _ => office.outbox.tell(update).await,
        }
    }
}

fn thing_of(is: &What) -> Option<String> {
    match is {
        What::Commissioned { thing, .. } => Some(thing.to_string()),
        What::AnotherDepot { thing } | What::Unconfirmed { thing } => Some(thing.clone()),
        _ => None,
    }
}

/// A board whose identity only the board itself knows of.
fn by_record_only(name: &str) -> What {
    match name.parse() {
        Ok::<ThingName, _>(_) => What::Unconfirmed { thing: name.to_owned() },
        Err(_) => What::AnotherDepot { thing: name.to_owned() },
    }
}

async fn next_reading(line: &mut Option<Watched>) -> Result<Stamped, RecvError> {
    match line {
        Some(watched) => watched.readings.recv().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
