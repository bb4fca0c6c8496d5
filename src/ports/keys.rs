//! Keys made on this computer: for a board that shall not make its own, and for sealing records.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::domain::{Problem, Subject};

/// Makes keys on this computer, for boards that are ordered with a key from here.
pub trait HostKeys: Send + Sync {
    /// Makes a P-256 key and a certificate signing request for this subject.
    fn make(&self, subject: &Subject) -> Result<HostKey, KeyError>;
}

/// A key made on this computer. It lives in memory only, is wiped when dropped, and is never shown.
#[derive(Clone)]
pub struct HostKey {
    /// The private key, PKCS#8 PEM.
    pub key_pem: Zeroizing<String>,
    /// The certificate signing request, PEM.
    pub csr_pem: String,
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostKey").finish_non_exhaustive()
    }
}

/// Signs records, so that a later change shows.
pub trait Sealer: Send + Sync {
    /// Signs these bytes with the key of this ledger.
    fn seal(&self, bytes: &[u8]) -> Result<Signature, KeyError>;
}

/// A signature with all that is needed to check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// How it was made: `ECDSA-P256-SHA256`, as ASN.1 DER.
    pub algorithm: String,
    /// The public key, PEM.
    pub public_key_pem: String,
    /// The signature, hex.
    pub signature_hex: String,
}

/// What went wrong with a key of this computer. Never holds a key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// No key could be made.
    #[error("No key could be made on this computer: {why}")]
    Make {
        /// Why.
        why: String,
    },
    /// The key that seals records cannot be read or kept.
    #[error("The key {path} that signs records cannot be used: {why}")]
    Keep {
        /// Its file.
        path: String,
        /// Why.
        why: String,
    },
    /// Signing failed.
    #[error("The record could not be signed: {why}")]
    Sign {
        /// Why.
        why: String,
    },
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let (code, advice) = match &error {
            KeyError::Make { .. } => ("key.make", "Let the board make its own"),
            KeyError::Keep { .. } => ("key.keep", "Check that the ledger's folder may be read and written"),
            KeyError::Sign { .. } => ("key.sign", "Resume the job; if it fails again, ask support with this code"),
        };
        let problem = Problem::new(code, error.to_string(), advice);
        match error {
            KeyError::Make { .. } => problem.in_terminal("leave out --host-key"),
            _ => problem,
        }
    }
}
