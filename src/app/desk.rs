//! What the core and the task of one port share: whether a job runs, how it is cancelled, what it asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::{
    domain::Mac,
    ports::{Cancel, operator::Reply},
};

/// One port's desk.
#[derive(Default)]
pub(super) struct Desk {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    job: Option<Cancel>,
    answer: Option<oneshot::Sender<Reply>>,
    holds_line: bool,
    mac: Option<Mac>,
    thing: Option<String>,
}

impl Desk {
    /// Takes the desk for a job; `None` while another has it.
    pub fn take(&self) -> Option<Cancel> {
        let mut inner = self.inner();
        match inner.job {
            Some(_) => None,
            None => Some(inner.job.insert(Cancel::default()).clone()),
        }
    }

    /// Gives it back.
    pub fn give_back(&self) {
        let mut inner = self.inner();
        (inner.job, inner.answer) = (None, None);
    }

    /// Whether a job has it.
    pub fn is_taken(&self) -> bool {
        self.inner().job.is_some()
    }

    /// Asks the job to end; `false` when there is none.
    pub fn cancel(&self) -> bool {
        let mut inner = self.inner();
        // A question that stands is answered by nobody then.
        inner.answer = None;
        inner.job.as_ref().map(Cancel::cancel).is_some()
    }

    /// Where the next answer goes.
    pub fn expect_answer(&self) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner();
        if inner.job.as_ref().is_some_and(|job| !job.is_cancelled()) {
            inner.answer = Some(sender);
        }
        receiver
    }

    /// Whether somebody is asked.
    pub fn is_asked(&self) -> bool {
        self.inner().answer.is_some()
    }

    /// Gives an answer; `false` when nothing was asked.
    pub fn answer(&self, reply: Reply) -> bool {
        let asked = self.inner().answer.take();
        asked.is_some_and(|asked| asked.send(reply).is_ok())
    }

    /// Says whether this program has the line open.
    pub fn hold_line(&self, holds: bool) {
        self.inner().holds_line = holds;
    }

    /// Whether this program has the line open, or is about to.
    pub fn holds_line(&self) -> bool {
        let inner = self.inner();
        inner.holds_line || inner.job.is_some()
    }

    /// Says which board is here.
    pub fn know(&self, mac: Option<Mac>, thing: Option<String>) {
        let mut inner = self.inner();
        (inner.mac, inner.thing) = (mac, thing);
    }

    /// Whether this board is here.
    pub fn has_board(&self, mac: Mac) -> bool {
        self.inner().mac == Some(mac)
    }

    /// Whether the board of this thing is here.
    pub fn has_thing(&self, thing: &str) -> bool {
        self.inner().thing.as_deref() == Some(thing)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
