//! What reaches the world outside.

pub mod board;
pub mod checks;
pub mod files;
pub mod broker;
pub mod cloud;
pub mod host_key;
pub mod image;
pub mod ledger;
mod ports_list;
pub mod tls;
