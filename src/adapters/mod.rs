//! What reaches the world outside.

pub mod board;
pub mod broker;
pub mod cloud;
pub mod host_key;
pub mod image;
mod ports_list;
pub mod tls;
