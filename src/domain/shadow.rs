//! The device shadow: what the board reports, what is desired of it, and where they differ.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A shadow document (AWS IoT, "Device Shadow service documents").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Shadow {
    /// The three parts of the state.
    #[serde(default)]
    pub state: ShadowState,
    /// Grows with each change; an update that names an older one is refused with a conflict.
    #[serde(default)]
    pub version: u64,
    /// When the document was sent, seconds since 1970.
    #[serde(default)]
    pub timestamp: u64,
    /// When each field was last changed, as the service tells it.
    #[serde(default)]
    pub metadata: Value,
}

/// The three parts of a shadow's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct ShadowState {
    /// What the board says of itself.
    #[serde(default)]
    pub reported: Map<String, Value>,
    /// What is wanted of it.
    #[serde(default)]
    pub desired: Map<String, Value>,
    /// Desired fields that are not reported so.
    #[serde(default)]
    pub delta: Map<String, Value>,
}
