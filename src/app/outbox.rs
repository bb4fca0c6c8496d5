//! The way from the core to a screen: bounded, and with a bell that is rung once for many updates.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::mpsc;

use super::update::Update;

/// Updates that may wait for a screen. A job tells some forty that must not be lost, so this is never full of them.
const QUEUE: usize = 2048;
/// What may be lost is only taken while this much of the queue is free.
const RESERVE: usize = QUEUE / 4;

/// Wakes a screen. It may be called from any thread and must not block.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// The core's end.
#[derive(Clone)]
pub(super) struct Outbox {
    updates: mpsc::Sender<Update>,
    bell: Arc<Bell>,
}

/// The screen's end.
pub struct Updates {
    updates: mpsc::Receiver<Update>,
    bell: Arc<Bell>,
}

struct Bell {
    waker: Waker,
    rung: AtomicBool,
    dropped: AtomicU64,
}

/// Both ends.
pub(super) fn outbox(waker: Waker) -> (Outbox, Updates) {
    let (sender, updates) = mpsc::channel(QUEUE);
    let bell = Arc::new(Bell { waker, rung: AtomicBool::new(false), dropped: AtomicU64::new(0) });
    (Outbox { updates: sender, bell: bell.clone() }, Updates { updates, bell })
}

impl Outbox {
    /// Tells what must not be lost. A screen that is gone is told nothing.
    pub async fn tell(&self, update: Update) {
        if self.updates.send(update).await.is_ok() {
            self.bell.ring();
        }
    }

    /// Tells what may be lost when the screen is slow.
    pub fn offer(&self, update: Update) {
        if self.updates.capacity() > RESERVE && self.updates.try_send(update).is_ok() {
            self.bell.ring();
        } else {
            self.count_dropped(1);
        }
    }

    /// Counts what was lost before it came here.
    pub fn count_dropped(&self, number: u64) {
        self.bell.dropped.fetch_add(number, Ordering::Relaxed);
    }

    /// What was lost in all.
    pub fn dropped(&self) -> u64 {
        self.bell.dropped.load(Ordering::Relaxed)
    }
}

impl Bell {
    /// After the send, so that who is woken finds something; not again until it was looked at.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            (self.waker)();
        }
    }
}

impl Updates {
    /// The next update that is there. Never waits.
    pub fn try_next(&mut self) -> Option<Update> {
        // Before the look, so that what comes after it rings again.
        self.bell.rung.store(false, Ordering::Release);
        self.updates.try_recv().ok()
    }

    /// The next update; `None` when the core has ended.
    pub async fn next(&mut self) -> Option<Update> {
        self.bell.rung.store(false, Ordering::Release);
        self.updates.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_updates_ring_once_and_what_may_be_lost_leaves_room() {
        let rings = Arc::new(AtomicU64::new(0));
        let counter = rings.clone();
        let waker = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        let (outbox, mut updates) = outbox(Box::new(waker));
        for _ in 0..QUEUE {
            outbox.offer(Update::Answered { port: "A".to_owned() });
        }
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        assert_eq!(outbox.dropped(), RESERVE as u64);
        assert!(updates.try_next().is_some());
        outbox.offer(Update::Answered { port: "A".to_owned() });
        assert_eq!(rings.load(Ordering::SeqCst), 2);
    }
}
