//! The certificate authority: signs what boards ask for and vouches for the broker.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::CloudError;
use super::files;

/// The most a signing request may take, in characters of PEM.
const CSR_LIMIT_CHARS: usize = 4096;
/// When every device certificate of AWS IoT ends.
pub(super) const CERTIFICATE_END: OffsetDateTime = datetime!(2049-12-31 23:59:59 UTC);

/// The sandbox's own authority. Its key stays in the folder and in here.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate fresh from the press.
pub(super) struct Signed {
    /// SHA-256 of the DER, in lower-case hex: what AWS calls the certificate id.
    pub(super) id: String,
    pub(super) pem: String,
}

/// A certificate chain and its key, for the broker's side of TLS.
pub(super) type ServerIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    /// Loads the authority of the folder, or founds one there.
    pub(super) fn open(dir: &Path) -> Result<Self, CloudError> {
        let (key_file, certificate_file) = (dir.join("ca-key.pem"), dir.join("ca.pem"));
        if !key_file.exists() || !certificate_file.exists() {
            let key = KeyPair::generate().map_err(CloudError::Authority)?;
            let certificate = root_params().self_signed(&key).map_err(CloudError::Authority)?;
            files::write_private(&key_file, key.serialize_pem().as_bytes())?;
            files::write(&certificate_file, certificate.pem().as_bytes())?;
        }
        let pem = files::read_text(&certificate_file)?;
        let key = KeyPair::from_pem(&files::read_text(&key_file)?).map_err(CloudError::Authority)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(CloudError::Authority)?;
        Ok(Self { issuer, certificate: der_of(&pem).ok_or(CloudError::Damaged { path: certificate_file })? })
    }

    /// The root, for verifying clients.
    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Signs a request: subject and public key from the request, everything else as AWS does it.
    /// The error is the sentence the API answers with.
    pub(super) fn sign(&self, csr_pem: &str, serial: &[u8], now: OffsetDateTime) -> Result<Signed, String> {
        if csr_pem.len() > CSR_LIMIT_CHARS {
            return Err(format!("CSR is longer than {CSR_LIMIT_CHARS} characters"));
        }
        let (_, pem) = x509_parser::pem::parse_x509_pem(csr_pem.as_bytes()).map_err(|_| "CSR is not PEM")?;
        check_key(&pem.contents)?;
        let mut request = CertificateSigningRequestParams::from_der(&pem.contents.as_slice().into())
            .map_err(|source| format!("CSR is not valid: {source}"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = request.params.distinguished_name;
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.not_before = now - Duration::minutes(2);
        params.not_after = CERTIFICATE_END;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        request.params = params;
        let certificate =
            request.signed_by(&self.issuer).map_err(|source| format!("CSR cannot be signed: {source}"))?;
        Ok(Signed { id: certificate_id(certificate.der()), pem: certificate.pem() })
    }

    /// A fresh server certificate for `localhost` and 127.0.0.1.
    pub(super) fn server_identity(&self, now: OffsetDateTime) -> Result<ServerIdentity, CloudError> {
        let key = KeyPair::generate().map_err(CloudError::Authority)?;
        let mut params = CertificateParams::new(["localhost".to_owned()]).map_err(CloudError::Authority)?;
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.not_before = now - Duration::days(1);
        params.not_after = CERTIFICATE_END;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(CloudError::Authority)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![certificate.der().clone()], key))
    }
}

/// The id AWS gives a certificate.
pub(super) fn certificate_id(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// The binary form of a PEM certificate.
pub(super) fn der_of(pem: &str) -> Option<CertificateDer<'static>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    Some(pem.contents.into())
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Coldbench sandbox root");
    params.distinguished_name.push(DnType::OrganizationName, "Coldbench sandbox");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = datetime!(2020-01-01 00:00:00 UTC);
    params.not_after = CERTIFICATE_END;
    params
}

/// AWS takes RSA keys from 2048 bits and the NIST curves.
fn check_key(csr_der: &[u8]) -> Result<(), String> {
    let (_, csr) = x509_parser::certification_request::X509CertificationRequest::from_der(csr_der)
        .map_err(|_| "CSR cannot be read")?;
    match csr.certification_request_info.subject_pki.parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() >= 2048 => Ok(()),
        Ok(PublicKey::RSA(key)) => {
            Err(format!("CSR has an RSA key of {} bits; at least 2048 are needed", key.key_size()))
        }
        Ok(PublicKey::EC(_)) => Ok(()),
        _ => Err("CSR has a key of an unsupported kind".into()),
    }
}
