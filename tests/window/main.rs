//! The window as a person uses it: the real core, boards and cloud of the sandbox behind it, looked at by what its
//! controls are called.
//!
//! Every test has a sandbox of its own in a folder of its own. Nothing here waits for a time: each wait is for something
//! on the screen, with a deadline that only a program that hangs gets to.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]

mod calibrate;
mod depot;
mod job;
mod screens;
mod states;
mod trouble;
mod unplug;
mod words;
