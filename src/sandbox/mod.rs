//! The embedded stand-ins: a board behind a serial line, a cloud behind HTTP and MQTT.

#[cfg(unix)]
pub mod board;
pub mod cloud;
