//! What reaches the world outside.

pub mod board;
pub mod image;
pub mod ledger;
mod ports_list;
