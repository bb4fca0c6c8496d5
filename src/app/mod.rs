//! The core that both front ends share: what can be ordered, and what comes of it.
//!
//! A window sends a [`Command`](command::Command) and draws an [`AppState`](state::AppState), which changes by
//! [`Update`](update::Update)s alone. The [`core`] stands between: one task per port, so that boards do not wait for
//! each other.

mod bay;
mod bundle;
pub mod command;
pub mod core;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod core_tests;
mod desk;
mod desk_work;
pub mod flash;
mod follow;
pub mod hand_over;
pub mod live;
mod office;
mod operator;
pub mod outbox;
pub mod proof;
pub mod readings_file;
mod recognise;
pub mod run;
pub mod sensing;
pub mod settings;
pub mod sound;
pub mod state;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod state_tests;
pub mod station;
pub mod trace;
pub mod truck;
pub mod typical;
pub mod update;
pub mod workshop;
pub mod world;
