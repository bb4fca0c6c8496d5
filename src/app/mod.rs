//! The core that both front ends share: what can be ordered, and what comes of it.

pub mod flash;
pub mod workshop;
pub mod world;
