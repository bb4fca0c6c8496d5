//! What reaches the world outside.

pub mod broker;
pub mod cloud;
pub mod host_key;
pub mod tls;
