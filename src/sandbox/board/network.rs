//! The board's own session with the broker.

use std::{io, sync::Arc};

use coldbench_sensor::identity::Connection;

use super::{ImitatedNetwork, control::Shared};

pub(super) enum FromNetwork {
    Up { unix_millis: u64 },
    Shadow(String),
    Log(String),
}

pub(super) struct Network;

impl Network {
    pub(super) fn start(_name: &str, _network: ImitatedNetwork, _shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Network)
    }
    pub(super) fn connect(&mut self, _connection: Option<Connection>) {}
    pub(super) fn publish(&mut self, _json: String) {}
    pub(super) fn report(&mut self, _json: String) {}
    pub(super) fn next(&mut self) -> Option<FromNetwork> {
        None
    }
}
