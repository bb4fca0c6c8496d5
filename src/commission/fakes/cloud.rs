//! A registry with the rules of AWS IoT that the job has to respect.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Fault, Hit, World, lock};
use crate::{
    domain::{
        CertificateId, GroupName, JobId, PolicyName, ThingName, ThingTypeName,
        certificate::{Certificate, CertificateStatus, CertificateSummary, certificate_id},
        shadow::Shadow,
        thing::{Endpoint, Login, NewGroup, NewPolicy, NewThingType, Thing},
    },
    ports::cloud::{Cloud, CloudError},
};

#[derive(Default)]
pub struct CloudState {
    pub things: BTreeMap<ThingName, Thing>,
    pub certificates: BTreeMap<CertificateId, Certificate>,
    /// Each with the job that made it.
    pub policies: BTreeMap<PolicyName, JobId>,
    /// Each with the job that made it.
    pub groups: BTreeMap<GroupName, JobId>,
    pub types: BTreeSet<ThingTypeName>,
    pub attached: BTreeSet<(ThingName, String)>,
    pub granted: BTreeSet<(PolicyName, String)>,
    pub members: BTreeSet<(ThingName, GroupName)>,
    pub shadows: BTreeMap<ThingName, Shadow>,
    pub skew_secs: i64,
}

impl CloudState {
    /// Whether a board may connect: active, attached to its thing, with a policy.
    pub fn accepts(&self, id: &CertificateId, thing: &str) -> bool {
        self.certificates.get(id).is_some_and(|certificate| {
            certificate.status == CertificateStatus::Active
                && self.attached.iter().any(|(name, arn)| name.as_str() == thing && *arn == certificate.arn)
                && self.granted.iter().any(|(_, arn)| *arn == certificate.arn)
        })
    }

    /// The board reports a field; what is desired of it comes back.
    pub fn report(&mut self, thing: &str, field: &str, value: Value) -> Option<u16> {
        let shadow = self.shadows.entry(thing.parse().unwrap()).or_default();
        let wish = shadow.state.desired.get(field).and_then(Value::as_u64).unwrap_or(value.as_u64().unwrap());
        shadow.state.reported.insert(field.into(), json!(wish));
        shadow.state.delta.remove(field);
        u16::try_from(wish).ok()
    }

    pub fn report_reading(&mut self, thing: &str, summary: Value) {
        let shadow = self.shadows.entry(thing.parse().unwrap()).or_default();
        shadow.state.reported.insert("reading".into(), summary);
    }

    /// Nothing but thing types, which are shared and stay.
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
            && self.certificates.is_empty()
            && self.attached.is_empty()
            && self.granted.is_empty()
            && self.members.is_empty()
    }

    pub fn active_certificates(&self) -> usize {
        self.certificates.values().filter(|certificate| certificate.status == CertificateStatus::Active).count()
    }
}

/// Signs certificates.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: rcgen::Issuer::new(params, key), pem }
    }

    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    fn sign(&self, csr_pem: &str) -> String {
        let mut request = rcgen::CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        request.params.serial_number = Some(rcgen::SerialNumber::from(ulid::Ulid::new().to_bytes().to_vec()));
        request.signed_by(&self.issuer).unwrap().pem()
    }
}

pub struct FakeCloud(pub Arc<World>);

impl FakeCloud {
    async fn op<T>(
        &self,
        operation: &'static str,
        effect: impl FnOnce(&mut CloudState) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        let hit = |Hit(fault)| match fault {
            Fault::LoseReply => CloudError::Timeout { operation },
            _ => CloudError::Unreachable { operation, why: "fault".into() },
        };
        self.0.before(operation).await.map_err(hit)?;
        let result = effect(&mut lock(&self.0.cloud));
        self.0.after(operation).await.map_err(hit)?;
        result
    }
}

fn conflict<T>(operation: &'static str) -> Result<T, CloudError> {
    Err(CloudError::Conflict { operation, why: "rule".into() })
}

#[async_trait]
impl Cloud for FakeCloud {
    async fn login(&self) -> Result<Login, CloudError> {
        self.op("Login", |cloud| {
            let skew = Some(cloud.skew_secs);
            Ok(Login { account: "123456789012".into(), arn: String::new(), clock_skew_secs: skew, expires: None })
        })
        .await
    }

    async fn endpoint(&self) -> Result<Endpoint, CloudError> {
        self.op("Endpoint", |_| Ok(Endpoint { host: "a-ats.iot.eu-central-1.amazonaws.com".into(), port: 8883 })).await
    }

    async fn ensure_thing_type(&self, new: &NewThingType) -> Result<bool, CloudError> {
        self.op("CreateThingType", |cloud| Ok(cloud.types.insert(new.name.clone()))).await
    }

    async fn thing(&self, name: &ThingName) -> Result<Option<Thing>, CloudError> {
        self.op("DescribeThing", |cloud| Ok(cloud.things.get(name).cloned())).await
    }

    async fn create_thing(&self, thing: &Thing) -> Result<(), CloudError> {
        self.op("CreateThing", |cloud| match cloud.things.get(&thing.name) {
            Some(there) if there.attributes != thing.attributes => conflict("CreateThing"),
            _ => {
                cloud.things.insert(thing.name.clone(), thing.clone());
                Ok(())
            }
        })
        .await
    }

    async fn set_attributes(&self, thing: &Thing) -> Result<(), CloudError> {
        self.op("UpdateThing", |cloud| {
            cloud.things.insert(thing.name.clone(), thing.clone());
            Ok(())
        })
        .await
    }

    async fn delete_thing(&self, name: &ThingName) -> Result<(), CloudError> {
        self.op("DeleteThing", |cloud| {
            if cloud.attached.iter().any(|(thing, _)| thing == name) {
                return conflict("DeleteThing");
            }
            cloud.things.remove(name);
            Ok(())
        })
        .await
    }

    async fn things_of_jobs(&self, job: Option<&JobId>) -> Result<Vec<Thing>, CloudError> {
        self.op("ListThings", |cloud| {
            let of_jobs = cloud.things.values().filter(|thing| thing.job().is_some());
            Ok(of_jobs.filter(|thing| job.is_none() || thing.job().as_ref() == job).cloned().collect())
        })
        .await
    }

    async fn create_certificate(&self, csr_pem: &str) -> Result<Certificate, CloudError> {
        self.op("CreateCertificateFromCsr", |cloud| {
            let pem = self.0.authority.sign(csr_pem);
            let id = certificate_id(&pem).unwrap();
            let arn = format!("arn:aws:iot:eu-central-1:123456789012:cert/{id}");
            let certificate = Certificate { id: id.clone(), arn, pem, status: CertificateStatus::Active };
            cloud.certificates.insert(id, certificate.clone());
            Ok(certificate)
        })
        .await
    }

    async fn certificate(&self, id: &CertificateId) -> Result<Option<Certificate>, CloudError> {
        self.op("DescribeCertificate", |cloud| Ok(cloud.certificates.get(id).cloned())).await
    }

    async fn certificates(&self) -> Result<Vec<CertificateSummary>, CloudError> {
        self.op("ListCertificates", |cloud| {
            let summary = |certificate: &Certificate| CertificateSummary {
                id: certificate.id.clone(),
                arn: certificate.arn.clone(),
                status: certificate.status,
                created: Some(OffsetDateTime::now_utc()),
            };
            Ok(cloud.certificates.values().map(summary).collect())
        })
        .await
    }

    async fn set_active(&self, id: &CertificateId, active: bool) -> Result<(), CloudError> {
        self.op("UpdateCertificate", |cloud| match cloud.certificates.get_mut(id) {
            Some(certificate) => {
                certificate.status = if active { CertificateStatus::Active } else { CertificateStatus::Inactive };
                Ok(())
            }
            None => Err(CloudError::NotFound { operation: "UpdateCertificate", why: "gone".into() }),
        })
        .await
    }

    async fn delete_certificate(&self, id: &CertificateId) -> Result<(), CloudError> {
        self.op("DeleteCertificate", |cloud| {
            let Some(certificate) = cloud.certificates.get(id) else { return Ok(()) };
            let is_used = cloud.attached.iter().any(|(_, arn)| *arn == certificate.arn)
                || cloud.granted.iter().any(|(_, arn)| *arn == certificate.arn);
            if is_used || certificate.status == CertificateStatus::Active {
                return conflict("DeleteCertificate");
            }
            cloud.certificates.remove(id);
            Ok(())
        })
        .await
    }

    async fn ensure_policy(&self, new: &NewPolicy) -> Result<(), CloudError> {
        self.op("CreatePolicy", |cloud| {
            cloud.policies.entry(new.name.clone()).or_insert_with(|| new.job.clone());
            Ok(())
        })
        .await
    }

    async fn delete_policy(&self, name: &PolicyName) -> Result<(), CloudError> {
        self.op("DeletePolicy", |cloud| {
            if cloud.granted.iter().any(|(policy, _)| policy == name) {
                return conflict("DeletePolicy");
            }
            cloud.policies.remove(name);
            Ok(())
        })
        .await
    }

    async fn made_policy(&self, job: &JobId, name: &PolicyName) -> Result<bool, CloudError> {
        self.op("GetPolicy", |cloud| Ok(cloud.policies.get(name) == Some(job))).await
    }

    async fn policies_of(&self, certificate_arn: &str) -> Result<Vec<PolicyName>, CloudError> {
        self.op("ListAttachedPolicies", |cloud| {
            let of = cloud.granted.iter().filter(|(_, arn)| arn == certificate_arn);
            Ok(of.map(|(policy, _)| policy.clone()).collect())
        })
        .await
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<(), CloudError> {
        self.op("AttachPolicy", |cloud| {
            cloud.granted.insert((policy.clone(), certificate_arn.into()));
            Ok(())
        })
        .await
    }

    async fn detach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<(), CloudError> {
        self.op("DetachPolicy", |cloud| {
            cloud.granted.remove(&(policy.clone(), certificate_arn.into()));
            Ok(())
        })
        .await
    }

    async fn principals_of(&self, thing: &ThingName) -> Result<Vec<String>, CloudError> {
        self.op("ListThingPrincipals", |cloud| {
            let of = cloud.attached.iter().filter(|(name, _)| name == thing);
            Ok(of.map(|(_, arn)| arn.clone()).collect())
        })
        .await
    }

    async fn things_of(&self, certificate_arn: &str) -> Result<Vec<ThingName>, CloudError> {
        self.op("ListPrincipalThings", |cloud| {
            let of = cloud.attached.iter().filter(|(_, arn)| arn == certificate_arn);
            Ok(of.map(|(name, _)| name.clone()).collect())
        })
        .await
    }

    async fn attach_principal(&self, thing: &ThingName, certificate_arn: &str) -> Result<(), CloudError> {
        self.op("AttachThingPrincipal", |cloud| {
            cloud.attached.insert((thing.clone(), certificate_arn.into()));
            Ok(())
        })
        .await
    }

    async fn detach_principal(&self, thing: &ThingName, certificate_arn: &str) -> Result<(), CloudError> {
        self.op("DetachThingPrincipal", |cloud| {
            cloud.attached.remove(&(thing.clone(), certificate_arn.into()));
            Ok(())
        })
        .await
    }

    async fn ensure_group(&self, new: &NewGroup) -> Result<(), CloudError> {
        self.op("CreateThingGroup", |cloud| {
            cloud.groups.entry(new.name.clone()).or_insert_with(|| new.job.clone());
            Ok(())
        })
        .await
    }

    async fn made_group(&self, job: &JobId, name: &GroupName) -> Result<bool, CloudError> {
        self.op("DescribeThingGroup", |cloud| Ok(cloud.groups.get(name) == Some(job))).await
    }

    async fn groups_of(&self, thing: &ThingName) -> Result<Vec<GroupName>, CloudError> {
        self.op("ListThingGroupsForThing", |cloud| {
            let of = cloud.members.iter().filter(|(name, _)| name == thing);
            Ok(of.map(|(_, group)| group.clone()).collect())
        })
        .await
    }

    async fn add_to_group(&self, thing: &ThingName, group: &GroupName) -> Result<(), CloudError> {
        self.op("AddThingToThingGroup", |cloud| {
            cloud.members.insert((thing.clone(), group.clone()));
            Ok(())
        })
        .await
    }

    async fn remove_from_group(&self, thing: &ThingName, group: &GroupName) -> Result<(), CloudError> {
        self.op("RemoveThingFromThingGroup", |cloud| {
            cloud.members.remove(&(thing.clone(), group.clone()));
            Ok(())
        })
        .await
    }

    async fn delete_group(&self, group: &GroupName) -> Result<(), CloudError> {
        self.op("DeleteThingGroup", |cloud| {
            cloud.groups.remove(group);
            Ok(())
        })
        .await
    }

    async fn deprecate_thing_type(&self, _name: &ThingTypeName) -> Result<(), CloudError> {
        Ok(())
    }

    async fn shadow(&self, thing: &ThingName) -> Result<Option<Shadow>, CloudError> {
        self.op("GetThingShadow", |cloud| Ok(cloud.shadows.get(thing).cloned())).await
    }

    async fn set_desired(
        &self,
        thing: &ThingName,
        desired: &Value,
        _version: Option<u64>,
    ) -> Result<Shadow, CloudError> {
        self.op("UpdateThingShadow", |cloud| {
            let shadow = cloud.shadows.entry(thing.clone()).or_default();
            for (field, value) in desired.as_object().unwrap() {
                shadow.state.desired.insert(field.clone(), value.clone());
                if shadow.state.reported.get(field) != Some(value) {
                    shadow.state.delta.insert(field.clone(), value.clone());
                }
            }
            Ok(shadow.clone())
        })
        .await
    }

    async fn delete_shadow(&self, thing: &ThingName) -> Result<(), CloudError> {
        self.op("DeleteThingShadow", |cloud| {
            cloud.shadows.remove(thing);
            Ok(())
        })
        .await
    }
}
