//! What reaches the world outside.

pub mod board;
pub mod checks;
pub mod files;
pub mod image;
pub mod ledger;
mod ports_list;
