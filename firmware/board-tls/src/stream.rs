//! A TLS line that stands.

use embedded_io_async::{ErrorType, Read, Write};
use mbedtls_rs::{Session, SessionError, TlsVersion};

use crate::{error::TlsError, last_words::LastWords};

/// A TLS line that stands. Dropping it says no farewell; [`TlsStream::close`] does.
pub struct TlsStream<'a, L: Read + Write>(Session<'a, LastWords<L>>);

impl<'a, L: Read + Write> TlsStream<'a, L> {
    pub(crate) fn new(session: Session<'a, LastWords<L>>) -> Self {
        TlsStream(session)
    }

    /// Whether it is TLS 1.3; else it is 1.2.
    pub fn is_tls13(&self) -> bool {
        self.0.tls_version() == Some(TlsVersion::Tls1_3)
    }

    /// Says farewell to the server.
    ///
    /// # Errors
    /// The farewell did not leave.
    pub async fn close(mut self) -> Result<(), TlsError> {
        self.0.close().await.map_err(|error| self.failure(error))
    }
}

impl<L: Read + Write> TlsStream<'_, L> {
    fn failure(&mut self, error: SessionError) -> TlsError {
        TlsError::of(error, self.0.stream().alert())
    }
}

impl<L: Read + Write> ErrorType for TlsStream<'_, L> {
    type Error = TlsError;
}

impl<L: Read + Write> Read for TlsStream<'_, L> {
    /// Cancel safe: what has arrived of a record stays in the library.
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, TlsError> {
        self.0.read(bytes).await.map_err(|error| self.failure(error))
    }
}

impl<L: Read + Write> Write for TlsStream<'_, L> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, TlsError> {
        self.0.write(bytes).await.map_err(|error| self.failure(error))
    }

    async fn flush(&mut self) -> Result<(), TlsError> {
        self.0.flush().await.map_err(|error| self.failure(error))
    }
}
