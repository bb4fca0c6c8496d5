//! Takes things and certificates out of the cloud, in the order that the service asks for. What is gone is success.

use crate::{
    domain::{
        CertificateId, ThingName,
        certificate::{Certificate, CertificateSummary, subject_job},
    },
    ports::cloud::{Cloud, CloudError},
};

/// A certificate's id and ARN: what is needed to retire it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct CertificateKey {
    pub id: CertificateId,
    pub arn: String,
}

impl From<&Certificate> for CertificateKey {
    fn from(certificate: &Certificate) -> Self {
        CertificateKey { id: certificate.id.clone(), arn: certificate.arn.clone() }
    }
}

impl From<&CertificateSummary> for CertificateKey {
    fn from(certificate: &CertificateSummary) -> Self {
        CertificateKey { id: certificate.id.clone(), arn: certificate.arn.clone() }
    }
}

impl CertificateKey {
    /// The certificate that an ARN names: `arn:aws:iot:region:account:cert/<id>`.
    pub fn from_arn(arn: &str) -> Option<Self> {
        let id = arn.rsplit_once("cert/")?.1.parse().ok()?;
        Some(CertificateKey { id, arn: arn.to_owned() })
    }
}

/// Detaches a certificate from everything, deactivates and deletes it.
pub(super) async fn certificate(cloud: &dyn Cloud, key: &CertificateKey) -> Result<(), CloudError> {
    // First, so that nobody connects with it any more, whatever fails later.
    gone_is_fine(cloud.set_active(&key.id, false).await)?;
    for thing in gone_is_fine(cloud.things_of(&key.arn).await)? {
        gone_is_fine(cloud.detach_principal(&thing, &key.arn).await)?;
    }
    for policy in gone_is_fine(cloud.policies_of(&key.arn).await)? {
        gone_is_fine(cloud.detach_policy(&policy, &key.arn).await)?;
    }
    gone_is_fine(cloud.delete_certificate(&key.id).await)
}

/// Takes a thing out of its groups and deletes it with its shadow. A certificate that a job of ours made is retired with
/// it; another's is detached only.
pub(super) async fn thing(cloud: &dyn Cloud, name: &ThingName) -> Result<(), CloudError> {
    for arn in gone_is_fine(cloud.principals_of(name).await)? {
        match ours(cloud, &arn).await? {
            Some(key) => certificate(cloud, &key).await?,
            None => gone_is_fine(cloud.detach_principal(name, &arn).await)?,
        }
    }
    for group in gone_is_fine(cloud.groups_of(name).await)? {
        gone_is_fine(cloud.remove_from_group(name, &group).await)?;
    }
    gone_is_fine(cloud.delete_shadow(name).await)?;
    gone_is_fine(cloud.delete_thing(name).await)
}

/// The certificate behind an ARN, if a job of ours made it.
pub(super) async fn ours(cloud: &dyn Cloud, arn: &str) -> Result<Option<CertificateKey>, CloudError> {
    let Some(key) = CertificateKey::from_arn(arn) else { return Ok(None) };
    let found = gone_is_fine(cloud.certificate(&key.id).await)?;
    Ok(found.and_then(|certificate| subject_job(&certificate.pem)).map(|_| key))
}

/// What does not exist needs no retiring.
pub(super) fn gone_is_fine<T: Default>(result: Result<T, CloudError>) -> Result<T, CloudError> {
    match result {
        Err(CloudError::NotFound { .. }) => Ok(T::default()),
        other => other,
    }
}
