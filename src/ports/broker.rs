//! The message broker, seen by the tool: it listens in, under a client id of its own.

use async_trait::async_trait;
use thiserror::Error;
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::domain::Problem;

/// Listens to topics with the technician's login.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Subscribes; returns when the broker has granted every topic. Dropping the observation ends it.
    async fn observe(&self, topics: &[String]) -> Result<Observation, BrokerError>;
    /// Waits until ended observations have taken back what they needed in the cloud. Ends by itself within a minute;
    /// to be called before the program ends.
    async fn close(&self) {}
}

/// Messages as they arrive. Bounded: when the receiver is slow, the newest are dropped and counted.
#[derive(Debug)]
pub struct Observation {
    /// The messages. Ends with an error when the connection is lost for good.
    pub messages: mpsc::Receiver<Result<Message, BrokerError>>,
}

/// A message of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its payload, as sent.
    pub payload: Vec<u8>,
    /// When it arrived here.
    pub received: OffsetDateTime,
}

/// What went wrong with the broker.
#[derive(Debug, Clone, Error)]
pub enum BrokerError {
    /// Not reachable on any way tried.
    #[error("The message broker cannot be reached")]
    Unreachable {
        /// Ways tried and why each failed, for support.
        why: String,
    },
    /// It refused the connection.
    #[error("The message broker refused the connection")]
    Refused {
        /// What it said.
        why: String,
    },
    /// It refused a topic.
    #[error("The message broker refused the topic {topic}")]
    Denied {
        /// The topic.
        topic: String,
    },
    /// The connection ended.
    #[error("The connection to the message broker was lost")]
    Lost {
        /// Why, for support.
        why: String,
    },
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        let (code, advice) = match &error {
            BrokerError::Unreachable { .. } => {
                ("broker.unreachable", "Check that ports 8883 or 443 are open in this network")
            }
            BrokerError::Refused { .. } => {
                ("broker.refused", "Check the policy of your login, and that the clock is right")
            }
            BrokerError::Denied { .. } => {
                ("broker.denied", "Ask the account's owner to allow this topic for your login")
            }
            BrokerError::Lost { .. } => ("broker.lost", "Check the network connection, then resume the job"),
        };
        Problem::new(code, error.to_string(), advice)
    }
}
