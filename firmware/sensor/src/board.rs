//! The whole board: sampling, readings, answers to the tool.

use alloc::{string::String, vec::Vec};

use coldbench_protocol::{Hello, Refusal, Request, Response};

use crate::{
    hardware::{Peripherals, Store},
    identity::Connection,
};

/// Longest time a probe takes to convert with 12 bits, with a reserve (data sheet: 750 ms).
pub const CONVERSION_MILLIS: u64 = 800;

/// What the main loop has to pass on.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A reading was made. Send these bytes over USB; over MQTT only when `dated`.
    Reading {
        /// The one JSON string.
        json: String,
        /// The clock was set, so the reading carries a time.
        dated: bool,
    },
    /// Log text for the tool, one line.
    Log(String),
}

/// What the main loop has to do after an answer was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start anew.
    Reboot,
    /// Start the ROM loader.
    RebootToLoader,
    /// [`Board::connection`] changed: end the session and start one with the new identity, if there is one.
    ConnectionChanged,
    /// Interval or thresholds changed: publish [`Board::reported`].
    SettingsChanged,
}

/// Why a shadow document was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeltaError {
    /// It is no shadow document.
    Parse,
    /// The new settings could not be kept; the old ones stay.
    Store,
}

/// The logic of one board on its peripherals and its store.
pub struct Board<P, S> {
    peripherals: P,
    store: S,
}

impl<P: Peripherals, S: Store> Board<P, S> {
    /// Starts the board: loads what is kept; what is missing or damaged is replaced by its default.
    pub fn new(peripherals: P, store: S) -> Self {
        Board { peripherals, store }
    }

    /// To be called every 5 to 10 ms: samples door and supply, starts and fetches conversions, makes readings.
    pub fn poll(&mut self) -> Vec<Event> {
        unimplemented!()
    }

    /// Who the board is; sent unasked (as answer number 0) after each start.
    pub fn hello(&self) -> Hello {
        unimplemented!()
    }

    /// Answers one request. The effect, if any, is to be carried out after the answer was sent.
    pub fn answer(&mut self, _request: Request) -> (Result<Response, Refusal>, Option<Effect>) {
        unimplemented!()
    }

    /// Sets the clock, from the tool or from the network.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] outside the years 2020 to 2099.
    pub fn set_clock(&mut self, _unix_millis: u64) -> Result<(), Refusal> {
        unimplemented!()
    }

    /// UTC in milliseconds since 1970; `None` until the clock was set.
    pub fn unix_millis(&mut self) -> Option<u64> {
        unimplemented!()
    }

    /// What a session needs; `None` while no identity is installed.
    pub fn connection(&self) -> Option<Connection> {
        unimplemented!()
    }

    /// Applies a shadow document: one of `update/delta` or of `get/accepted`. Returns whether settings changed. Values
    /// out of bounds are left alone and named under `rejected` in [`Board::reported`]; publish that in either case.
    ///
    /// # Errors
    /// The settings stay as they were.
    pub fn delta(&mut self, _json: &str) -> Result<bool, DeltaError> {
        unimplemented!()
    }

    /// The document for `update`: `{"state":{"reported":{…}}}`, with a summary of the last reading.
    pub fn reported(&self) -> String {
        unimplemented!()
    }

    /// The peripherals, for whoever drives the board.
    pub fn peripherals(&mut self) -> &mut P {
        &mut self.peripherals
    }

    /// The store, for whoever drives the board.
    pub fn store(&mut self) -> &mut S {
        &mut self.store
    }
}
