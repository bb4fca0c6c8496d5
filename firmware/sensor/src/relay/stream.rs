//! The line through the computer as `embedded-io-async` sees it.

use core::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
};

use embedded_io_async::{ErrorType, Read, Write};

use super::{Relay, RelayError};
use crate::shared::Shared;

/// An open line through the computer. Dropping it closes the line; flush first, so that nothing written is lost.
///
/// Its `read` is cancel safe: dropped before it is ready, it has taken nothing. The `poll_` methods are for those who
/// put another interface on top.
pub struct RelayStream<'a, R: Shared<Relay>> {
    relay: &'a R,
    number: u16,
}

impl<'a, R: Shared<Relay>> RelayStream<'a, R> {
    /// Opens a line to the broker. The tool gives up after some seconds, but it may be gone: the caller sets a limit.
    ///
    /// # Errors
    /// There is no offer, another line is open, or the tool does not open this one.
    pub async fn open(relay: &'a R, host: &str, port: u16) -> Result<Self, RelayError> {
        let number = relay.with(|relay| relay.open(host, port))?;
        // From here on, dropping this future closes the line.
        let stream = RelayStream { relay, number };
        poll_fn(|context| relay.with(|relay| relay.poll_opened(number, context))).await?;
        Ok(stream)
    }

    /// As [`Relay::poll_read`].
    pub fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, RelayError>> {
        self.relay.with(|relay| relay.poll_read(self.number, context, buffer))
    }

    /// As [`Relay::poll_write`].
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, RelayError>> {
        self.relay.with(|relay| relay.poll_write(self.number, context, bytes))
    }

    /// As [`Relay::poll_flush`].
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<Result<(), RelayError>> {
        self.relay.with(|relay| relay.poll_flush(self.number, context))
    }
}

impl<R: Shared<Relay>> ErrorType for RelayStream<'_, R> {
    type Error = RelayError;
}

impl<R: Shared<Relay>> Read for RelayStream<'_, R> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, RelayError> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }
}

impl<R: Shared<Relay>> Write for RelayStream<'_, R> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, RelayError> {
        poll_fn(|context| self.poll_write(context, bytes)).await
    }

    async fn flush(&mut self) -> Result<(), RelayError> {
        poll_fn(|context| self.poll_flush(context)).await
    }
}

impl<R: Shared<Relay>> Drop for RelayStream<'_, R> {
    fn drop(&mut self) {
        self.relay.with(|relay| relay.close(self.number));
    }
}

impl<R: Shared<Relay>> fmt::Debug for RelayStream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayStream({})", self.number)
    }
}
