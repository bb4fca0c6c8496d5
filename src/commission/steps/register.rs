//! register: thing type, thing, policy, group; then, with the board's key, the certificate. Runs beside the flash.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    claim::{self, ThingClaim},
    flash::FLASH_LIMIT,
    identify::Identify,
    key::{Key, KeyFacts, Origin},
    preflight::Preflight,
};
use crate::{
    commission::{
        events::Unit,
        plan::StepName,
        retire::{self, CertificateKey},
        run::Run,
        step::{Halt, Outcome, Step, halt},
    },
    domain::{
        CertificateId, GroupName, Mac, PolicyName, ThingName,
        certificate::{Certificate, CertificateStatus, public_key_der, subject_job},
        thing::{JOB_ATTRIBUTE, MAC_ATTRIBUTE, NewGroup, NewPolicy, NewThingType, TRUCK_ATTRIBUTE, Thing},
    },
    ports::cloud::CloudError,
};

/// Note: the thing is going to be created by this job.
pub(in crate::commission) const THING: &str = "thing";
/// Note: a certificate was asked for; it may be there even if no answer came.
pub(in crate::commission) const CERTIFICATE_ASKED: &str = "certificate_asked";
/// Note: the certificate of this job.
pub(in crate::commission) const CERTIFICATE: &str = "certificate";
/// Note: the policy that is being made sure of. Its tag says which job made it, also when the answer was lost.
pub(in crate::commission) const POLICY: &str = "policy";
/// Note: the group that is being made sure of. Its tag says which job made it, also when the answer was lost.
pub(in crate::commission) const GROUP: &str = "group";
/// Note: the thing type was created by this job.
pub(in crate::commission) const THING_TYPE: &str = "thing_type";
/// Note: the thing was put into a group by this job.
pub(in crate::commission) const MEMBER: &str = "member";

/// The cloud's part alone.
const CLOUD_LIMIT: Duration = Duration::from_secs(5 * 60);
/// By how much the clocks of cloud and computer may differ when certificates are looked up by time.
const CLOCK_RESERVE: time::Duration = time::Duration::minutes(10);
/// Parts of the work, for progress.
const PARTS: u64 = 5;

/// The step.
pub struct Register;

/// What the cloud now has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// The thing.
    pub thing: ThingName,
    /// Id of its certificate.
    pub certificate: CertificateId,
    /// ARN of its certificate.
    pub certificate_arn: String,
    /// The certificate, PEM. It holds no secret.
    pub certificate_pem: String,
    /// The policy attached to it.
    pub policy: PolicyName,
    /// The group of the thing.
    pub group: GroupName,
}

impl Step for Register {
    type Output = Registered;
    const NAME: StepName = StepName::Register;

    fn limit(_: &Run) -> Duration {
        // It waits for the key, and that waits for the flash.
        FLASH_LIMIT + CLOUD_LIMIT
    }

    fn intent(run: &Run) -> Value {
        let site = &run.kit.site;
        let thing = run.record().thing;
        json!({ "thing": thing, "type": site.thing_type, "policy": site.policy, "group": site.thing_group })
    }

    async fn check(run: &Run) -> Result<Option<Outcome<Registered>>, Halt> {
        let Some(earlier) = run.earlier::<Register>()? else { return Ok(None) };
        run.key_made().await?;
        let holds = has_key(&earlier.certificate_pem, &run.output::<Key>()?)
            && is_active(run, &earlier.certificate).await?
            && is_attached(run, &earlier).await?;
        Ok(holds.then(|| Outcome::skipped(earlier, "Thing, certificate, policy and group are there already")))
    }

    async fn run(run: &Run) -> Result<Outcome<Registered>, Halt> {
        let site = &run.kit.site;
        let cleared = run.output::<Preflight>()?;
        let thing = cleared.thing.clone();
        thing_type(run).await?;
        told(run, 1, "Thing type");
        let mac = run.output::<Identify>()?.found.mac();
        let is_new = create_thing(run, mac).await?;
        told(run, 2, "Thing");
        policy(run, cleared.policy_document).await?;
        told(run, 3, "Policy");
        group(run, &thing).await?;
        told(run, 4, "Group");

        run.key_made().await?;
        let certificate = certificate(run, &run.output::<Key>()?).await?;
        let cloud = &run.bench.cloud;
        cloud.attach_policy(&site.policy, &certificate.arn).await?;
        cloud.attach_principal(&thing, &certificate.arn).await?;
        told(run, PARTS, "Certificate");
        let output = Registered {
            thing: thing.clone(),
            certificate: certificate.id,
            certificate_arn: certificate.arn,
            certificate_pem: certificate.pem,
            policy: site.policy.clone(),
            group: site.thing_group.clone(),
        };
        let what = if is_new { "registered" } else { "was there and is kept" };
        Ok(Outcome::done(output, format!("Thing {thing} {what}, with its certificate")))
    }
}

fn told(run: &Run, done: u64, part: &str) {
    run.teller.progress(StepName::Register, (done, PARTS, Unit::Steps), part);
}

async fn thing_type(run: &Run) -> Result<(), Halt> {
    let new = NewThingType {
        name: run.kit.site.thing_type.clone(),
        searchable_attributes: [TRUCK_ATTRIBUTE, JOB_ATTRIBUTE, MAC_ATTRIBUTE].map(str::to_owned).to_vec(),
        job: run.job(),
    };
    if run.bench.cloud.ensure_thing_type(&new).await? {
        run.note(StepName::Register, THING_TYPE, &new.name)?;
    }
    Ok(())
}

/// Creates the thing, unless it is there. `true` when it is new.
async fn create_thing(run: &Run, mac: Mac) -> Result<bool, Halt> {
    // Preflight has looked, but minutes may have passed.
    if let ThingClaim::SameBoard = claim::thing(run, mac).await? {
        return Ok(false);
    }
    let name = claim::thing_name(run)?;
    let site = &run.kit.site;
    let mut attributes: BTreeMap<String, String> = site.attributes.clone();
    attributes.insert("powerRequirements".to_owned(), site.power.as_str().to_owned());
    attributes.insert(TRUCK_ATTRIBUTE.to_owned(), run.order.truck.to_string());
    attributes.insert(MAC_ATTRIBUTE.to_owned(), mac.to_string());
    attributes.insert(JOB_ATTRIBUTE.to_owned(), run.job().to_string());
    let thing = Thing { name: name.clone(), thing_type: Some(site.thing_type.clone()), attributes, version: 0 };
    // Before the effect: a lost answer must not leave a thing that nobody knows.
    run.note(StepName::Register, THING, &name)?;
    match run.bench.cloud.create_thing(&thing).await {
        Ok(()) => Ok(true),
        Err(CloudError::Conflict { .. }) => claim::taken(&name),
        Err(error) => Err(error.into()),
    }
}

async fn policy(run: &Run, document: String) -> Result<(), Halt> {
    let new = NewPolicy { name: run.kit.site.policy.clone(), document, job: run.job() };
    run.note(StepName::Register, POLICY, &new.name)?;
    run.bench.cloud.ensure_policy(&new).await?;
    Ok(())
}

async fn group(run: &Run, thing: &ThingName) -> Result<(), Halt> {
    let cloud = &run.bench.cloud;
    let new = NewGroup { name: run.kit.site.thing_group.clone(), job: run.job() };
    run.note(StepName::Register, GROUP, &new.name)?;
    cloud.ensure_group(&new).await?;
    if !cloud.groups_of(thing).await?.contains(&new.name) {
        run.note(StepName::Register, MEMBER, &new.name)?;
        cloud.add_to_group(thing, &new.name).await?;
    }
    Ok(())
}

/// The certificate for the board's key: the one kept, one that this job made before, or a new one.
async fn certificate(run: &Run, key: &KeyFacts) -> Result<Certificate, Halt> {
    let csr_pem = match &key.origin {
        Origin::Kept { certificate } => return kept(run, certificate).await,
        Origin::Board { csr_pem } | Origin::Host { csr_pem } => csr_pem,
    };
    if run.noted::<bool>(StepName::Register, CERTIFICATE_ASKED)?.unwrap_or(false)
        && let Some(found) = find_made_before(run, key).await?
    {
        run.note(StepName::Register, CERTIFICATE, &CertificateKey::from(&found))?;
        return Ok(found);
    }
    run.note(StepName::Register, CERTIFICATE_ASKED, &true)?;
    let made = match run.bench.cloud.create_certificate(csr_pem).await {
        Ok(made) => made,
        // The same request twice makes two certificates, so an unknown effect is looked for, not repeated.
        Err(error @ (CloudError::Timeout { .. } | CloudError::Unreachable { .. } | CloudError::Service { .. })) => {
            find_made_before(run, key).await?.ok_or(error)?
        }
        Err(error) => return Err(error.into()),
    };
    if !has_key(&made.pem, key) {
        run.note(StepName::Register, CERTIFICATE, &CertificateKey::from(&made))?;
        return halt(
            "cloud.other-key",
            "The cloud made a certificate for another key than the board's",
            "Undo the job, and do not use this cloud's certificates",
        );
    }
    run.note(StepName::Register, CERTIFICATE, &CertificateKey::from(&made))?;
    Ok(made)
}

async fn kept(run: &Run, id: &CertificateId) -> Result<Certificate, Halt> {
    match run.bench.cloud.certificate(id).await? {
        Some(certificate) => Ok(certificate),
        None => halt(
            "cloud.certificate-gone",
            format!("The board's certificate {id} is no longer in the cloud"),
            "Resume the job, so that the board gets a new one",
        ),
    }
}

/// Finds the certificate for this key among those this job made; retires the job's others.
async fn find_made_before(run: &Run, key: &KeyFacts) -> Result<Option<Certificate>, Halt> {
    let mut found: Option<Certificate> = None;
    for certificate in certificates_of_job(run).await? {
        let fits = certificate.status == CertificateStatus::Active && has_key(&certificate.pem, key);
        if fits && found.is_none() {
            found = Some(certificate);
        } else {
            retire::certificate(&*run.bench.cloud, &CertificateKey::from(&certificate)).await?;
        }
    }
    Ok(found)
}

async fn certificates_of_job(run: &Run) -> Result<Vec<Certificate>, Halt> {
    let record = run.record();
    Ok(made_by(&*run.bench.cloud, &record.job, record.began).await?)
}

/// Every certificate that carries this job in its subject. Only those younger than the job are looked at one by one.
pub(in crate::commission) async fn made_by(
    cloud: &dyn crate::ports::cloud::Cloud,
    job: &crate::domain::JobId,
    began: OffsetDateTime,
) -> Result<Vec<Certificate>, CloudError> {
    let since = began - CLOCK_RESERVE;
    let mut made = Vec::new();
    for summary in cloud.certificates().await? {
        if summary.created.is_some_and(|created| created < since) {
            continue;
        }
        let certificate = cloud.certificate(&summary.id).await?;
        made.extend(certificate.filter(|certificate| subject_job(&certificate.pem).as_ref() == Some(job)));
    }
    Ok(made)
}

fn has_key(certificate_pem: &str, key: &KeyFacts) -> bool {
    public_key_der(certificate_pem).map(hex::encode).as_ref() == Some(&key.public_key_hex)
}

async fn is_active(run: &Run, id: &CertificateId) -> Result<bool, Halt> {
    let certificate = run.bench.cloud.certificate(id).await?;
    Ok(certificate.is_some_and(|certificate| certificate.status == CertificateStatus::Active))
}

async fn is_attached(run: &Run, registered: &Registered) -> Result<bool, Halt> {
    let cloud = &run.bench.cloud;
    Ok(retire::gone_is_fine(cloud.principals_of(&registered.thing).await)?.contains(&registered.certificate_arn)
        && cloud.policies_of(&registered.certificate_arn).await?.contains(&registered.policy)
        && cloud.groups_of(&registered.thing).await?.contains(&registered.group))
}
