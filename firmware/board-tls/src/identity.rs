//! The installed identity in the library's form.

use alloc::{ffi::CString, string::String, vec::Vec};

use coldbench_sensor::identity::Connection;
use mbedtls_rs::{
    AuthMode, Certificate, ClientSessionConfig, Credentials, PrivateKey, SessionConfig, TlsVersion, X509,
};
use pem_rfc7468::LineEnding;

use crate::{engine::Newest, error::TlsError};

/// The configuration of a client that shows this identity and checks the server; the host name is given apart. The
/// library copies the key, and wipes its copy.
pub(crate) fn config(connection: &Connection, newest: Newest) -> Result<SessionConfig<'static>, TlsError> {
    let certificate = chain(&connection.certificate_chain_der, "certificate")?;
    let private_key = PrivateKey::new(X509::DER(&connection.key_pkcs8_der), None)
        .map_err(|error| unusable(TlsError::of(error, None), "key"))?;
    let protocols = connection.application_protocols();
    Ok(SessionConfig::Client(ClientSessionConfig {
        ca_chain: Some(chain(&connection.ca_der, "CA")?),
        creds: Some(Credentials { certificate, private_key }),
        auth_mode: AuthMode::Required,
        min_version: TlsVersion::Tls1_2,
        alpn_protocols: (!protocols.is_empty()).then_some(protocols),
        max_version: match newest {
            Newest::Tls13 => None,
            Newest::Tls12 => Some(TlsVersion::Tls1_2),
        },
        ..ClientSessionConfig::new()
    }))
}

/// The host name as the library takes it.
pub(crate) fn host_name(connection: &Connection) -> Result<CString, TlsError> {
    CString::new(connection.endpoint.as_str()).map_err(|_| TlsError::Identity("host name"))
}

/// Several certificates in one; the library takes more than one only as text.
fn chain(certificates_der: &[Vec<u8>], part: &'static str) -> Result<Certificate<'static>, TlsError> {
    let mut text = String::new();
    for der in certificates_der {
        let pem =
            pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der).map_err(|_| TlsError::Identity(part))?;
        text.push_str(&pem);
    }
    let text = CString::new(text).map_err(|_| TlsError::Identity(part))?;
    Certificate::new(X509::PEM(&text)).map_err(|error| unusable(TlsError::of(error.into(), None), part))
}

/// A part that the library does not take is to blame, unless memory is.
fn unusable(error: TlsError, part: &'static str) -> TlsError {
    if error == TlsError::OutOfMemory { error } else { TlsError::Identity(part) }
}
