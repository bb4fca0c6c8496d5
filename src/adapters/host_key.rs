//! A key made on this computer, for boards that do not make their own (`--host-key`).

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    domain::Subject,
    ports::keys::{self, HostKeys, KeyError},
};

/// Makes the keys of boards with rcgen.
#[derive(Debug, Clone, Copy, Default)]
pub struct RcgenKeys;

impl HostKeys for RcgenKeys {
    fn make(&self, subject: &Subject) -> Result<keys::HostKey, KeyError> {
        let key = HostKey::generate()?;
        Ok(keys::HostKey { csr_pem: key.csr_pem(subject)?, key_pem: key.private_key_pem() })
    }
}

/// A P-256 private key in memory, never on disk. Its bytes are overwritten when it is dropped, and neither `Debug` nor
/// an error shows them.
pub struct HostKey {
    pair: KeyPair,
}

impl HostKey {
    /// Makes a key.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        Ok(HostKey { pair })
    }

    /// A certificate signing request, PEM.
    pub fn csr_pem(&self, subject: &Subject) -> Result<String, KeyError> {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationalUnitName, subject.organizational_unit.as_str());
        name.push(DnType::CommonName, subject.common_name.as_str());
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name;
        parameters.serialize_request(&self.pair).and_then(|csr| csr.pem()).map_err(failed)
    }

    /// The public key, DER `SubjectPublicKeyInfo` (RFC 5280).
    pub fn public_key_der(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// The private key, PKCS#8 PEM, as a board's installation takes it.
    pub fn private_key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.pair.serialize_pem())
    }

    /// The private key as TLS takes it.
    pub(super) fn private_key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialize_der()).into()
    }
}

impl Drop for HostKey {
    fn drop(&mut self) {
        self.pair.zeroize();
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey(P-256, kept secret)")
    }
}

fn failed(error: rcgen::Error) -> KeyError {
    KeyError::Make { why: error.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer, X509CertificationRequest};

    #[test]
    fn a_request_carries_the_subject_and_proves_the_key() {
        let key = HostKey::generate().unwrap();
        let unit = "job-01HF7YAT00000000000000000A".to_owned();
        let subject = Subject { common_name: "truckSensor-T001".to_owned(), organizational_unit: unit };
        let pem = key.csr_pem(&subject).unwrap();
        let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
        let (_, csr) = X509CertificationRequest::from_der(&block.contents).unwrap();
        csr.verify_signature().unwrap();
        let info = csr.certification_request_info;
        assert_eq!(info.subject.to_string(), "OU=job-01HF7YAT00000000000000000A, CN=truckSensor-T001");
        assert_eq!(info.subject_pki.raw, key.public_key_der());
    }

    #[test]
    fn debug_shows_nothing_of_the_key() {
        let key = HostKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "HostKey(P-256, kept secret)");
        assert!(key.private_key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
