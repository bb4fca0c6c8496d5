//! Certificates as the cloud knows them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::CertificateId;

/// A certificate in the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of its DER.
    pub id: CertificateId,
    /// Its ARN, which policies and things are attached to.
    pub arn: String,
    /// The certificate, PEM.
    pub pem: String,
    /// Whether it may be used.
    pub status: CertificateStatus,
}

/// A certificate in a list: without its PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSummary {
    /// SHA-256 of its DER.
    pub id: CertificateId,
    /// Its ARN.
    pub arn: String,
    /// Whether it may be used.
    pub status: CertificateStatus,
    /// When it was registered.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created: Option<OffsetDateTime>,
}

/// Whether a certificate may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CertificateStatus {
    /// Connections are accepted.
    Active,
    /// Connections are refused; can be activated or deleted.
    Inactive,
    /// Any other state (revoked, pending transfer…): not ours to change.
    Other,
}
