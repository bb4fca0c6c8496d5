//! Things, types, groups and policies as the cloud knows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GroupName, JobId, PolicyName, ThingName, ThingTypeName};

/// Attribute that names the truck.
pub const TRUCK_ATTRIBUTE: &str = "deviceID";
/// Attribute that names the job which made the thing; leftovers are found by it.
pub const JOB_ATTRIBUTE: &str = "coldbenchJob";
/// Attribute that names the board's chip by its MAC address.
pub const MAC_ATTRIBUTE: &str = "boardMac";
/// Attribute that says when the job was sealed, UTC; a thing without it was never proven, so it may be a leftover.
pub const SEALED_ATTRIBUTE: &str = "coldbenchSealed";
/// Tag on thing types, groups and policies that names the job which made them.
pub const JOB_TAG: &str = "coldbench:job";

/// A thing in the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// Its name, which is also its board's client id.
    pub name: ThingName,
    /// Its type.
    pub thing_type: Option<ThingTypeName>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Grows with each change.
    pub version: i64,
}

impl Thing {
    /// The job that made it, if it is one of ours.
    pub fn job(&self) -> Option<JobId> {
        self.attributes.get(JOB_ATTRIBUTE)?.parse().ok()
    }
}

/// A policy to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Its name.
    pub name: PolicyName,
    /// Its document, JSON.
    pub document: String,
    /// The job that makes it, kept as a tag.
    pub job: JobId,
}

/// A thing group to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: GroupName,
    /// The job that makes it, kept as a tag.
    pub job: JobId,
}

/// A thing type to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewThingType {
    /// Its name.
    pub name: ThingTypeName,
    /// Attributes that the registry makes searchable, at most three.
    pub searchable_attributes: Vec<String>,
    /// The job that makes it, kept as a tag.
    pub job: JobId,
}

/// Where devices connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Host name, which the broker's certificate is made for.
    pub host: String,
    /// TCP port: 8883, or 443 with ALPN.
    pub port: u16,
}

/// Who the technician is to the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Number of the account.
    pub account: String,
    /// ARN of the caller.
    pub arn: String,
    /// Seconds the cloud's clock is ahead of this computer's; negative when behind. `None` when it was not told.
    pub clock_skew_secs: Option<i64>,
    /// When the login ends, UTC; `None` for a lasting key.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires: Option<time::OffsetDateTime>,
}
