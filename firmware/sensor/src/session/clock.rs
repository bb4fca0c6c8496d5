//! The time the session needs, given from outside.

use core::future::Future;

/// A clock that only goes forward: tokio's on the host, embassy's on the chip.
pub trait Clock {
    /// Milliseconds since any fixed moment.
    fn now_millis(&self) -> u64;

    /// Waits until [`now_millis`](Self::now_millis) has reached `deadline_millis`; a deadline in the past ends at
    /// once. Dropping the wait cancels it.
    fn sleep_until(&self, deadline_millis: u64) -> impl Future<Output = ()>;
}
