//! What reaches the world outside.

pub mod ledger;
