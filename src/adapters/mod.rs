//! What reaches the world outside.

pub mod board;
pub mod image;
mod ports_list;
