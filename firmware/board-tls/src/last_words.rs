//! A line that still gives what the other side said last.
//!
//! A server that turns the board away sends an alert and closes, often while the board is still sending. Then it is the
//! write that fails first, and the reason lies unread. So a write to a closed line counts as done here, and the next
//! read tells the reason, or that the line is closed. On the way the reason is read, as far as it can be.

use embedded_io_async::{Error as _, ErrorKind, ErrorType, Read, Write};

use crate::alert::AlertReader;

/// The line, whether the other side has closed it, and what it said last.
pub(crate) struct LastWords<L> {
    line: L,
    closed: bool,
    alerts: AlertReader,
}

impl<L> LastWords<L> {
    pub(crate) fn of(line: L) -> Self {
        LastWords { line, closed: false, alerts: AlertReader::default() }
    }

    /// The number of the server's alert, if one came that can be read.
    pub(crate) fn alert(&self) -> Option<u8> {
        self.alerts.number()
    }
}

impl<L: ErrorType> ErrorType for LastWords<L> {
    type Error = L::Error;
}

impl<L: Read> Read for LastWords<L> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, L::Error> {
        let len = self.line.read(bytes).await?;
        self.alerts.hear(bytes.get(..len).unwrap_or_default());
        Ok(len)
    }
}

impl<L: Write> Write for LastWords<L> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, L::Error> {
        if self.closed {
            return Ok(bytes.len());
        }
        match self.line.write(bytes).await {
            Err(error) if is_closed(error.kind()) => {
                self.closed = true;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    async fn flush(&mut self) -> Result<(), L::Error> {
        if self.closed {
            return Ok(());
        }
        match self.line.flush().await {
            Err(error) if is_closed(error.kind()) => {
                self.closed = true;
                Ok(())
            }
            flushed => flushed,
        }
    }
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}
