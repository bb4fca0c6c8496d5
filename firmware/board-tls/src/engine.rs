//! The library, and how a line becomes a TLS line.

use alloc::boxed::Box;
use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use coldbench_sensor::{identity::Connection, session::Clock};
use embedded_io_async::{Read, Write};
use mbedtls_rs::Session;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use zeroize::Zeroizing;

use crate::{calendar, error::TlsError, identity, last_words::LastWords, stream::TlsStream};

/// How long a handshake may take, in milliseconds.
pub const HANDSHAKE_LIMIT_MILLIS: u64 = 30_000;

/// The newest TLS that the board offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newest {
    /// TLS 1.3, and 1.2 with a server that does not speak it.
    #[default]
    Tls13,
    /// TLS 1.2. For a server that refused the board's certificate in TLS 1.3: the reason, which the library keeps to
    /// itself there, can be read here.
    Tls12,
}

impl Newest {
    /// What to offer after a line failed; `reason_is_hidden` when the server refused the certificate and nothing says why.
    pub fn after(self, reason_is_hidden: bool) -> Self {
        match self {
            Self::Tls13 if reason_is_hidden => Self::Tls12,
            _ => Self::Tls13,
        }
    }
}

/// The library, started.
pub struct Tls(mbedtls_rs::Tls<'static>);

impl Tls {
    /// Starts the library with its random numbers: a generator that this seed of true random numbers starts.
    /// `None` when it was started before; there is one in a program.
    pub fn start(seed: Zeroizing<[u8; 32]>) -> Option<Self> {
        calendar::hook();
        let random = Box::leak(Box::new(ChaCha20Rng::from_seed(*seed)));
        mbedtls_rs::Tls::new(random).ok().map(Tls)
    }

    /// Makes a TLS line of this line: shows the identity, and checks the server against the installed CA, its host
    /// name and the date. `unix_millis` is UTC in milliseconds since 1970; `None` while the clock is not set.
    ///
    /// The line's `read` and `write` must be cancel safe.
    ///
    /// # Errors
    /// Every cause has its own; the line is dropped.
    pub async fn connect<'a, L: Read + Write>(
        &'a self,
        line: L,
        connection: &Connection,
        unix_millis: Option<u64>,
        newest: Newest,
        clock: &impl Clock,
    ) -> Result<TlsStream<'a, L>, TlsError> {
        calendar::set(unix_millis.ok_or(TlsError::ClockNotSet)?);
        let refused = |error| TlsError::of(error, None);
        let mut session = Session::new(self.0.reference(), LastWords::of(line), &identity::config(connection, newest)?)
            .map_err(refused)?;
        session.set_server_name(&identity::host_name(connection)?).map_err(refused)?;
        let deadline_millis = clock.now_millis().saturating_add(HANDSHAKE_LIMIT_MILLIS);
        let outcome = {
            let mut handshake = pin!(async {
                session.connect().await?;
                session.flush().await
            });
            let mut limit = pin!(clock.sleep_until(deadline_millis));
            poll_fn(|context| {
                if let Poll::Ready(outcome) = handshake.as_mut().poll(context) {
                    return Poll::Ready(Some(outcome));
                }
                limit.as_mut().poll(context).map(|()| None)
            })
            .await
        };
        match outcome {
            Some(Ok(())) => Ok(TlsStream::new(session)),
            Some(Err(error)) => {
                let verify_flags = session.tls_verification_details();
                Err(TlsError::of_handshake(error, verify_flags, session.stream().alert()))
            }
            None => Err(TlsError::TimedOut),
        }
    }
}
