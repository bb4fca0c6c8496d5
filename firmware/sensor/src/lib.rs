//! What the truck board does, without its hardware.
//!
//! The real board and the imitated one run this same code; they differ only in what stands behind
//! [`hardware::Peripherals`] and [`hardware::Store`].
//!
//! - [`hardware`]: what the logic needs from the board, as traits.
//! - [`board`]: the whole board: sampling, readings, answers to the tool.
//! - [`identity`]: key, certificate signing request and installed certificate.
//! - [`ds18b20`], [`thermometers`], [`door`], [`supply`], [`clock`], [`schedule`]: one sensor each, the time, and when.
//! - [`calibration`], [`stability`]: fitting and checking corrections, and knowing when to measure for them.
//! - [`shadow`]: what the cloud may change.
//! - [`session`]: the conversation with the message broker, over a line that is given.
//! - [`relay`]: a line to the broker through the computer that the board is plugged into.
//! - [`alerts`], [`payload`]: what is wrong, and the reading as one JSON string.
//! - [`shared`]: one value for two tasks or threads.
//! - [`backlog`]: readings that wait for a connection, and how they get to the broker.
//! - [`flash`]: what is kept in flash memory, safe against a loss of power.
//! - [`one_wire`], [`position`]: what is said on the bus of the probes, and by the position receiver.
//!
//! # Invariants
//! - Nothing here waits: a conversion is started, and its result is fetched in a later poll.
//! - A reading is made once; the same bytes go over USB and MQTT.
//! - A private key has no `Debug`, no `Display` and no way into JSON.
#![no_std]
#![forbid(unsafe_code)]
// Nothing here may panic, whatever tool, broker and sensors say. Arithmetic wraps on the chip, so it is left out.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod alerts;
pub mod backlog;
pub mod board;
pub mod calibration;
pub mod clock;
pub mod door;
pub mod ds18b20;
pub mod flash;
pub mod hardware;
pub mod identity;
mod kept;
pub mod one_wire;
pub mod payload;
mod pem;
pub mod position;
pub mod relay;
mod report;
mod request;
pub mod schedule;
pub mod session;
pub mod shadow;
pub mod shared;
pub mod stability;
pub mod supply;
#[cfg(test)]
mod testing;
pub mod thermometers;
