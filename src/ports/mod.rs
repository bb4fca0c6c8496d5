//! What a job needs from the world, in domain words. Adapters and nothing else implement these.
//!
//! Every error turns into a [`Problem`](crate::domain::Problem) with a stable code and an advice. Every operation
//! ends: adapters put a time limit on each wait.

pub mod board;
pub mod broker;
pub mod cloud;
pub mod keys;
pub mod ledger;
pub mod operator;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Tells a running operation to end at its next safe point. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    inner: Arc<(AtomicBool, Notify)>,
}

impl Cancel {
    /// Asks for the end.
    pub fn cancel(&self) {
        self.inner.0.store(true, Ordering::SeqCst);
        self.inner.1.notify_waiters();
    }

    /// Whether the end was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.inner.0.load(Ordering::SeqCst)
    }

    /// Waits until the end is asked for.
    pub async fn cancelled(&self) {
        let notified = self.inner.1.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }
}
