//! The way through this computer, for a board that is proven without a network of its own.
//!
//! With `auto` it is offered at once where the site profile names no network. Where it names one, the board gets
//! [`PATIENCE`] to arrive over it: a depot's Wi-Fi that is there is what should be proven. A board whose own network is
//! up never uses the offer, so an offer that comes too early costs nothing but that.

use std::{future::pending, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use crate::{
    commission::{order::RelayChoice, plan::StepName, run::Run, step::Halt},
    domain::{Network, thing::Endpoint},
    ports::board::{Board, RelayTarget},
};

/// How long a board with a network may take to be seen over it.
const PATIENCE: Duration = Duration::from_secs(30);
/// For taking the offer back when the step ends; the line may be gone.
const WITHDRAW_LIMIT: Duration = Duration::from_secs(10);

/// Which way a board reached its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerWay {
    /// Over a network of its own.
    #[default]
    OwnNetwork,
    /// Through this computer.
    ThisComputer,
}

/// The offer to one board.
pub(super) struct Relay<'a> {
    run: &'a Run,
    board: &'a dyn Board,
    target: RelayTarget,
    offer_at: Option<Instant>,
    is_offered: bool,
    bytes_before: u64,
}

impl<'a> Relay<'a> {
    pub(super) fn new(run: &'a Run, board: &'a dyn Board, endpoint: &Endpoint) -> Self {
        let offer_at = match run.order.relay {
            RelayChoice::Never => None,
            _ if run.order.relays_at_once(&run.kit.site) => Some(Instant::now()),
            RelayChoice::Auto | RelayChoice::Always => Some(Instant::now() + PATIENCE),
        };
        let target = RelayTarget { host: endpoint.host.clone(), port: endpoint.port };
        let bytes_before = board.relay_traffic().to_broker_bytes;
        Relay { run, board, target, offer_at, is_offered: false, bytes_before }
    }

    /// Waits until the offer is due; for ever when it never is, or was made.
    pub(super) async fn due(&self) {
        match self.offer_at {
            Some(moment) if !self.is_offered => sleep_until(moment).await,
            _ => pending().await,
        }
    }

    pub(super) async fn offer(&mut self) -> Result<(), Halt> {
        self.is_offered = true;
        self.board.offer_relay(Some(self.target.clone())).await?;
        let message = format!("The board may reach {} through this computer", self.target);
        self.run.teller.note(StepName::Prove.as_str(), message).await;
        Ok(())
    }

    /// Which way the board took since this began.
    pub(super) fn way(&self) -> BrokerWay {
        match self.board.relay_traffic().to_broker_bytes > self.bytes_before {
            true => BrokerWay::ThisComputer,
            false => BrokerWay::OwnNetwork,
        }
    }

    /// Whether a network was to be proven that was not seen.
    pub(super) fn stands_in(&self) -> bool {
        self.way() == BrokerWay::ThisComputer && self.run.kit.site.board_network() != Network::None
    }

    /// Takes the offer back. When that fails the line is gone, and the offer with it.
    pub(super) async fn withdraw(self) {
        if !self.is_offered {
            return;
        }
        match tokio::time::timeout(WITHDRAW_LIMIT, self.board.offer_relay(None)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the offer to connect through this computer was not taken back"),
            Err(_) => tracing::warn!("the board did not hear that it may no longer connect through this computer"),
        }
    }
}
