//! What reaches the world outside.

pub mod board;
pub mod broker;
pub mod checks;
pub mod cloud;
pub mod files;
pub mod host_key;
pub mod image;
pub mod image_signature;
pub mod ledger;
pub mod log;
mod ports_list;
pub mod tls;
