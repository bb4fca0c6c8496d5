//! Certificates as the cloud knows them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::{
    certification_request::X509CertificationRequest,
    pem::{Pem, parse_x509_pem},
    prelude::FromDer,
};

use super::{CertificateId, JobId};

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

/// The job that a certificate's subject names as organizational unit; `None` when it is not one of ours or not a
/// certificate.
pub fn subject_job(certificate_pem: &str) -> Option<JobId> {
    let pem = parse_pem(certificate_pem, "CERTIFICATE")?;
    let certificate = pem.parse_x509().ok()?;
    let units = certificate.subject().iter_organizational_unit();
    units.filter_map(|unit| unit.as_str().ok()).find_map(JobId::from_organizational_unit)
}

/// The public key of a certificate as DER `SubjectPublicKeyInfo`; `None` when it is not a certificate.
pub fn public_key_der(certificate_pem: &str) -> Option<Vec<u8>> {
    let pem = parse_pem(certificate_pem, "CERTIFICATE")?;
    let certificate = pem.parse_x509().ok()?;
    Some(certificate.public_key().raw.to_vec())
}

/// The public key of a certificate signing request as DER `SubjectPublicKeyInfo`; `None` when it is not a request.
pub fn csr_public_key_der(csr_pem: &str) -> Option<Vec<u8>> {
    let pem = parse_pem(csr_pem, "CERTIFICATE REQUEST")?;
    let (_, request) = X509CertificationRequest::from_der(&pem.contents).ok()?;
    Some(request.certification_request_info.subject_pki.raw.to_vec())
}

/// The id that AWS IoT gives this certificate; `None` when it is not a certificate.
pub fn certificate_id(certificate_pem: &str) -> Option<CertificateId> {
    let pem = parse_pem(certificate_pem, "CERTIFICATE")?;
    pem.parse_x509().ok()?;
    Some(CertificateId::from_sha256(&Sha256::digest(&pem.contents).into()))
}

fn parse_pem(text: &str, label: &str) -> Option<Pem> {
    let (_, pem) = parse_x509_pem(text.as_bytes()).ok()?;
    (pem.label == label).then_some(pem)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;

    fn params(unit: &str) -> rcgen::CertificateParams {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "truckSensor01");
        params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, unit);
        params
    }

    #[test]
    fn a_certificate_tells_its_job_key_and_id() {
        let job = JobId::from(ulid::Ulid::from_parts(1_700_000_000_000, 7));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params(&job.organizational_unit()).self_signed(&key).unwrap();
        let csr = params("x").serialize_request(&key).unwrap().pem().unwrap();
        assert_eq!(subject_job(&certificate.pem()), Some(job));
        assert_eq!(public_key_der(&certificate.pem()), csr_public_key_der(&csr));
        assert!(csr_public_key_der(&csr).is_some());
        let id = certificate_id(&certificate.pem()).unwrap();
        assert_eq!(id, CertificateId::from_sha256(&Sha256::digest(certificate.der()).into()));
        assert_eq!(subject_job(&params("Depot 4").self_signed(&key).unwrap().pem()), None);
    }

    #[test]
    fn what_is_no_certificate_tells_nothing() {
        let key = rcgen::KeyPair::generate().unwrap();
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key.serialize_pem()] {
            assert_eq!((subject_job(text), public_key_der(text)), (None, None));
            assert_eq!((csr_public_key_der(text), certificate_id(text)), (None, None));
        }
    }
}
