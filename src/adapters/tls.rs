//! The one TLS provider of the program, and the roots that a broker's certificate is held against.

use std::{ffi::CStr, fs, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use thiserror::Error;

use crate::domain::{Problem, site::Site};

/// Amazon Root CA 1 (RSA 2048): what a board checks AWS IoT's broker against when the site names no other CA.
pub const AMAZON_ROOT_CA_1: &str = include_str!("../../assets/cloud/amazon-root-ca-1.pem");
/// Amazon Root CA 3 (P-256), the smaller one that AWS recommends for constrained devices.
pub const AMAZON_ROOT_CA_3: &str = include_str!("../../assets/cloud/amazon-root-ca-3.pem");

/// Makes aws-lc-rs the TLS provider of the whole process. Once is enough; more does no harm.
pub fn install_provider() {
    // An error says that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The CA that boards of a site check the broker against, PEM: the site's own, or Amazon's root.
pub fn broker_ca_pem(site: &Site) -> Result<String, TlsError> {
    let Some(path) = &site.ca_file else { return Ok(AMAZON_ROOT_CA_1.to_owned()) };
    let pem = fs::read_to_string(path).map_err(|error| TlsError::CaFile { why: format!("{path:?}: {error}") })?;
    match CertificateDer::pem_slice_iter(pem.as_bytes()).next() {
        Some(Ok(_)) => Ok(pem),
        _ => Err(TlsError::CaFile { why: format!("{path:?} holds no certificate in PEM") }),
    }
}

/// A certificate with its key, with which a client says who it is.
pub struct ClientIdentity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

/// TLS settings towards the broker: the computer's roots, Amazon's, and the site's own.
pub fn broker_config(
    site: &Site,
    identity: Option<ClientIdentity>,
    alpn: &[&CStr],
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let own = broker_ca_pem(site)?;
    for pem in [own.as_str(), AMAZON_ROOT_CA_1, AMAZON_ROOT_CA_3] {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Settings { why: error.to_string() })?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(vec![identity.certificate], identity.key)
            .map_err(|error| TlsError::Settings { why: error.to_string() })?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// TLS settings towards a web server: the computer's roots only.
pub fn web_config() -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Settings { why: error.to_string() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// What went wrong with TLS before a connection was tried.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The CA file cannot be used.
    #[error("The CA file of the site profile cannot be used ({why})")]
    CaFile {
        /// Which, and why.
        why: String,
    },
    /// The settings do not fit together.
    #[error("The TLS settings are refused ({why})")]
    Settings {
        /// Why, for support.
        why: String,
    },
}

impl From<TlsError> for Problem {
    fn from(error: TlsError) -> Self {
        let (code, advice) = match &error {
            TlsError::CaFile { .. } => ("tls.ca-file", "Name a PEM file as `ca_file` in the site profile"),
            TlsError::Settings { .. } => ("tls.settings", "Check `ca_file` in the site profile"),
        };
        Problem::new(code, error.to_string(), advice)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use coldbench_sensor::identity::application_protocols;

    use super::*;

    #[test]
    fn amazons_roots_are_trusted_without_a_ca_file() {
        let config = broker_config(&Site::default(), None, application_protocols(443)).unwrap();
        assert_eq!(config.alpn_protocols, [b"x-amzn-mqtt-ca".to_vec()]);
        let config = broker_config(&Site::default(), None, application_protocols(8883)).unwrap();
        assert!(config.alpn_protocols.is_empty());
        for pem in [AMAZON_ROOT_CA_1, AMAZON_ROOT_CA_3] {
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
            assert!(certificate.subject().to_string().contains("O=Amazon, CN=Amazon Root CA"));
            certificate.verify_signature(None).unwrap();
        }
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, "not a certificate").unwrap();
        let site = Site { ca_file: Some(path), ..Site::default() };
        let problem = Problem::from(broker_ca_pem(&site).unwrap_err());
        assert_eq!(problem.code, "tls.ca-file");
        assert!(problem.sentence.contains("ca.pem"), "{problem}");
    }
}
