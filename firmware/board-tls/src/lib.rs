//! The board's TLS line to its broker: mutual TLS 1.2 or 1.3 with the installed identity, by mbedTLS.
//!
//! [`Tls::connect`] turns a line (a socket, or the tunnel through the tool) into a [`TlsStream`], on which
//! [`coldbench_sensor::session`] speaks MQTT. The same code runs on the chip and in the tests on the host.
//!
//! # Invariants
//! - The server is always checked: against the installed CA, its host name, and the dates of its certificates. While
//!   the clock is not set there is no connection.
//! - Every cause has an error of its own, because each has a remedy of its own.
//! - The private key is handed to the library in memory and wiped there when the line ends; it goes nowhere else.
#![no_std]

extern crate alloc;

mod alert;
mod calendar;
mod engine;
mod error;
mod identity;
mod last_words;
mod stream;

pub use engine::{HANDSHAKE_LIMIT_MILLIS, Newest, Tls};
pub use error::TlsError;
pub use stream::TlsStream;
