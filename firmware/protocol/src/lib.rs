//! What the truck board and the tool say to each other, and how it is put on the line.
//!
//! - [`message`]: the requests and answers, and the vocabulary they share (calibration, settings, raw sensors).
//! - [`tunnel`]: a connection of the board that the tool carries.
//! - [`frame`]: channels, framing (COBS) and checksum (CRC-32) on the serial line.
//!
//! # Invariants
//! - A decoder never panics and never allocates more than [`frame::MAX_FRAME_LEN`], whatever bytes arrive.
//! - Enum variants are only appended, never reordered: postcard writes the index of a variant.
//! - A private key crosses this line only towards the board, and only when the host was asked to make it.
#![no_std]
#![forbid(unsafe_code)]
// Nothing here may panic, whatever bytes arrive.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
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

pub mod frame;
pub mod message;
pub mod tunnel;

pub use message::*;
