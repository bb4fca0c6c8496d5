//! What a job works with, what was ordered, and how it ended.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{JobId, Mac, Network, Problem, ThingName, TruckId, calibration::References, image::Image, site::Site},
    ports::{
        board::{Boards, OpenOptions},
        broker::Broker,
        cloud::Cloud,
        keys::{HostKeys, Sealer},
        ledger::Ledger,
        operator::Operator,
    },
};

use super::events::JobOutcome;

/// The world a job works with. Cheap to clone.
#[derive(Clone)]
pub struct Bench {
    /// The serial ports.
    pub boards: Arc<dyn Boards>,
    /// The registry of things.
    pub cloud: Arc<dyn Cloud>,
    /// The message broker.
    pub broker: Arc<dyn Broker>,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The person at the bench.
    pub operator: Arc<dyn Operator>,
    /// Makes keys on this computer; `None` where orders with `host_key` are refused.
    pub host_keys: Option<Arc<dyn HostKeys>>,
    /// Signs records.
    pub sealer: Arc<dyn Sealer>,
}

/// What is ordered. It goes into the ledger as it is; no secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The port the board is on.
    pub port: String,
    /// The truck.
    pub truck: TruckId,
    /// Name of the thing; made from the site's template when absent.
    pub thing: Option<ThingName>,
    /// The key is made on this computer instead of the board.
    pub host_key: bool,
    /// How the board is calibrated.
    pub calibration: CalibrationChoice,
    /// Whether the board may reach its broker through this computer while it is proven.
    #[serde(default)]
    pub relay: RelayChoice,
}

impl Order {
    /// Whether the board is offered the way through this computer as soon as it is proven.
    pub fn relays_at_once(&self, site: &Site) -> bool {
        match self.relay {
            RelayChoice::Auto => site.board_network() == Network::None,
            RelayChoice::Always => true,
            RelayChoice::Never => false,
        }
    }

    /// Name of the thing: as ordered, or from the site's template with the truck's id.
    ///
    /// # Errors
    /// `input.thing` when template and truck make a name that AWS IoT refuses.
    pub fn thing_name(&self, site: &Site) -> Result<ThingName, Problem> {
        match &self.thing {
            Some(name) => Ok(name.clone()),
            None => {
                site.thing_name.replace("{truck}", self.truck.as_str()).parse().map_err(|problem: Problem| Problem {
                    advice: "Give the thing a name of its own, or change `thing_name` in the site profile".to_owned(),
                    terminal: Some("--thing NAME".to_owned()),
                    ..problem
                })
            }
        }
    }
}

/// Whether a board may reach its broker through this computer while it is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayChoice {
    /// When the site gives it no network of its own, or when that network does not bring it to the broker.
    #[default]
    Auto,
    /// From the start; a network of its own that is up still goes first.
    Always,
    /// Not at all: the board must have a network of its own.
    Never,
}

/// How a board is calibrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "calibration", content = "references")]
pub enum CalibrationChoice {
    /// With these reference values, without a question.
    Given(References),
    /// By asking the person at the bench.
    Prompt,
    /// As an earlier job on the same board had calibrated it.
    Earlier(JobId),
    /// Not now: the board keeps the calibration it has.
    Skip,
}

/// What a job needs besides the order. It is given anew when a job is resumed, because it holds the network's
/// passphrase and the image, which the ledger does not.
#[derive(Clone)]
pub struct Kit {
    /// How the line is used.
    pub open: OpenOptions,
    /// The site profile.
    pub site: Site,
    /// The firmware.
    pub image: Image,
    /// The policy's document, JSON. `${account}`, `${region}` and `${readings_topic}` are filled in.
    pub policy_document: String,
    /// CA of the broker's certificate, PEM, for the board.
    pub ca_pem: String,
}

/// Where a board is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The port.
    pub port: String,
    /// How the line is used.
    pub open: OpenOptions,
}

/// How a job ended. The same is told by the last event.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The job.
    pub job: JobId,
    /// How it ended.
    pub outcome: JobOutcome,
    /// The thing.
    pub thing: Option<ThingName>,
    /// The truck.
    pub truck: Option<TruckId>,
    /// The board.
    pub mac: Option<Mac>,
    /// Why it did not pass.
    pub problem: Option<Problem>,
    /// What could not be undone, each with its id.
    pub leftovers: Vec<String>,
}
