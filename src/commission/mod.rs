//! The job: plan, steps, engine and events. Knows ports and nothing else.

pub mod events;
