//! The job: plan, steps, engine and events. Knows ports and nothing else.
//!
//! A job is ten steps, each with a check (is it done already?), a run and an undo. The engine writes the intent of a
//! step into the ledger before the step's first effect and its output after the last; a later step reads the outputs of
//! earlier ones from there and from nowhere else. So a job that was broken off — by a cancel, a crash or a cut cable —
//! goes on in a new process as it would have in the old one. Cancelling drops the running step, which is the same as a
//! crash in the same place; there is one way back, and it is the tested one.

pub mod decommission;
mod engine;
pub mod events;
mod order;
pub mod plan;
mod retire;
mod run;
mod step;
pub mod steps;
pub mod sweep;
mod undo;

#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod tests;

pub use engine::{commission, resume};
pub use order::{Bench, CalibrationChoice, Finished, Kit, Order, Place, RelayChoice};
pub use steps::flash::held_baud_key;
pub use undo::undo;
