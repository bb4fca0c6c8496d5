//! The core that both front ends share: what can be ordered, and what comes of it.
//!
//! A window sends a [`Command`](command::Command) and draws an [`AppState`](state::AppState), which changes by
//! [`Update`](update::Update)s alone. The [`core`] stands between: one task per port, so that boards do not wait for
//! each other.

pub mod command;
pub mod flash;
pub mod live;
pub mod proof;
pub mod run;
pub mod settings;
pub mod state;
pub mod station;
pub mod trace;
pub mod typical;
pub mod update;
pub mod workshop;
pub mod world;
