//! The registry: login, things, types, groups, certificates, policies.

use std::collections::BTreeMap;

use coldbench::{
    adapters::cloud::AwsCloud,
    domain::{
        CertificateId, GroupName, JobId, Problem, ThingName,
        certificate::CertificateStatus,
        site::Site,
        thing::{JOB_ATTRIBUTE, NewGroup, NewPolicy, NewThingType, TRUCK_ATTRIBUTE, Thing},
    },
    ports::cloud::{Cloud, CloudError},
};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{StandIn, new_certificate, new_job};

/// A policy that allows one client id to connect.
const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect",
    "Resource":"arn:aws:iot:us-east-1:*:client/${iot:Connection.Thing.ThingName}"}]}"#;

/// A thing of a job, not yet created.
pub fn thing(name: &str, job: &JobId) -> Thing {
    let attributes = [(TRUCK_ATTRIBUTE, "T001"), (JOB_ATTRIBUTE, job.as_str())];
    Thing {
        name: name.parse().unwrap(),
        thing_type: None,
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        version: 0,
    }
}

fn policy(name: &str, document: &str, job: &JobId) -> NewPolicy {
    NewPolicy { name: name.parse().unwrap(), document: document.to_owned(), job: job.clone() }
}

#[track_caller]
fn is_conflict<T: std::fmt::Debug>(answer: Result<T, CloudError>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, CloudError::Conflict { .. }), "{error:?} is no conflict");
}

pub async fn login_and_endpoint(cloud: &AwsCloud, site: &Site) {
    let login = cloud.login().await.unwrap();
    assert!(login.account.len() == 12 && login.account.bytes().all(|b| b.is_ascii_digit()), "{login:?}");
    assert!(login.arn.starts_with("arn:aws:"), "{login:?}");
    assert!(login.expires.is_none(), "a lasting key does not expire: {login:?}");
    let skew = login.clock_skew_secs.expect("the answer tells the time");
    assert!(skew.abs() < 60, "the stand-in runs on this computer, yet its clock is {skew} s ahead");
    let endpoint = cloud.endpoint().await.unwrap();
    assert_eq!((Some(endpoint.host), Some(endpoint.port)), (site.iot_endpoint.clone(), site.iot_port));

    let described = Site { iot_endpoint: None, iot_port: None, ..site.clone() };
    let described = AwsCloud::connect_with_key(&described, "test", "test").await.unwrap().endpoint().await;
    if let Ok(endpoint) = described {
        assert!(!endpoint.host.contains(':') && endpoint.port == 8883, "{endpoint:?}");
    }
}

pub async fn thing_types_groups_and_policies_are_found_again(cloud: &AwsCloud) {
    let (job, another) = (new_job(), new_job());
    let kind = NewThingType {
        name: "sensor_Contract".parse().unwrap(),
        searchable_attributes: vec![TRUCK_ATTRIBUTE.to_owned()],
        job: job.clone(),
    };
    assert!(cloud.ensure_thing_type(&kind).await.unwrap());
    assert!(!cloud.ensure_thing_type(&kind).await.unwrap());
    cloud.deprecate_thing_type(&kind.name).await.unwrap();
    is_conflict(cloud.ensure_thing_type(&kind).await);
    cloud.deprecate_thing_type(&"never_made".parse().unwrap()).await.unwrap();

    let group = NewGroup { name: "contractTrucks".parse().unwrap(), job: job.clone() };
    cloud.ensure_group(&group).await.unwrap();
    cloud.ensure_group(&NewGroup { job: another.clone(), ..group.clone() }).await.unwrap();
    assert!(cloud.made_group(&job, &group.name).await.unwrap());
    assert!(!cloud.made_group(&another, &group.name).await.unwrap());
    cloud.delete_group(&group.name).await.unwrap();
    cloud.delete_group(&group.name).await.unwrap();
    assert!(!cloud.made_group(&job, &group.name).await.unwrap());

    let spaced = DOCUMENT.replace(':', ": ").replace("arn: aws: iot: us-east-1: *: ", "arn:aws:iot:us-east-1:*:");
    let spaced = spaced.replace("iot: Conn", "iot:Conn");
    cloud.ensure_policy(&policy("contract", DOCUMENT, &job)).await.unwrap();
    // White space means nothing.
    cloud.ensure_policy(&policy("contract", &spaced, &another)).await.unwrap();
    is_conflict(cloud.ensure_policy(&policy("contract", &DOCUMENT.replace("Allow", "Deny"), &job)).await);
    let broken = cloud.ensure_policy(&policy("broken", "{", &job)).await.unwrap_err();
    assert!(matches!(broken, CloudError::Invalid { operation: "CreatePolicy", .. }), "{broken:?}");
    let name = "contract".parse().unwrap();
    assert!(cloud.made_policy(&job, &name).await.unwrap());
    assert!(!cloud.made_policy(&another, &name).await.unwrap());
    cloud.delete_policy(&name).await.unwrap();
    cloud.delete_policy(&name).await.unwrap();
    assert!(!cloud.made_policy(&job, &name).await.unwrap());
}

pub async fn things(cloud: &AwsCloud) {
    let (job, other) = (new_job(), new_job());
    let name: ThingName = "contract-things-1".parse().unwrap();
    assert_eq!(cloud.thing(&name).await.unwrap(), None);
    let mut wanted = thing(name.as_str(), &job);
    cloud.create_thing(&wanted).await.unwrap();
    cloud.create_thing(&wanted).await.unwrap();
    let mut different = wanted.clone();
    different.attributes.insert(TRUCK_ATTRIBUTE.to_owned(), "T002".to_owned());
    is_conflict(cloud.create_thing(&different).await);

    wanted.attributes.insert("powerRequirements".to_owned(), "12v".to_owned());
    wanted.attributes.remove(TRUCK_ATTRIBUTE);
    cloud.set_attributes(&wanted).await.unwrap();
    let found = cloud.thing(&name).await.unwrap().unwrap();
    assert_eq!(found.attributes, wanted.attributes, "attributes are replaced, not merged");
    assert_eq!(found.job(), Some(job.clone()));
    assert!(found.version > 0, "{found:?}");

    cloud.create_thing(&thing("contract-things-2", &other)).await.unwrap();
    let stranger = Thing { attributes: BTreeMap::new(), ..thing("contract-things-3", &other) };
    cloud.create_thing(&stranger).await.unwrap();
    let names = |things: Vec<Thing>| -> Vec<String> {
        let mut names: Vec<String> = things.into_iter().map(|thing| thing.name.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(names(cloud.things_of_jobs(Some(&job)).await.unwrap()), ["contract-things-1"]);
    assert_eq!(names(cloud.things_of_jobs(None).await.unwrap()), ["contract-things-1", "contract-things-2"]);

    let group: GroupName = "contractThings".parse().unwrap();
    cloud.ensure_group(&NewGroup { name: group.clone(), job: job.clone() }).await.unwrap();
    for _ in 0..2 {
        cloud.add_to_group(&name, &group).await.unwrap();
    }
    assert_eq!(cloud.groups_of(&name).await.unwrap(), vec![group.clone()]);
    for _ in 0..2 {
        cloud.remove_from_group(&name, &group).await.unwrap();
    }
    assert_eq!(cloud.groups_of(&name).await.unwrap(), []);
    let lost = cloud.add_to_group(&"contract-never-made".parse().unwrap(), &group).await.unwrap_err();
    assert!(matches!(lost, CloudError::NotFound { .. }), "{lost:?}");
    cloud.delete_group(&group).await.unwrap();

    for number in 1..=3 {
        cloud.delete_thing(&format!("contract-things-{number}").parse().unwrap()).await.unwrap();
    }
    cloud.delete_thing(&name).await.unwrap();
    assert_eq!(cloud.thing(&name).await.unwrap(), None);
    assert_eq!(cloud.things_of_jobs(None).await.unwrap(), []);
}

pub async fn certificates_really_sign(cloud: &AwsCloud) {
    let job = new_job();
    let made = new_certificate(cloud, &job, "truckSensor-T001").await;
    assert_eq!(made.status, CertificateStatus::Active);
    assert!(made.arn.ends_with(&format!(":cert/{}", made.id)), "{}", made.arn);
    let (_, block) = x509_parser::pem::parse_x509_pem(made.pem.as_bytes()).unwrap();
    assert_eq!(made.id, CertificateId::from_sha256(&Sha256::digest(&block.contents).into()));
    let (_, certificate) = X509Certificate::from_der(&block.contents).unwrap();
    let subject = certificate.subject();
    let unit = subject.iter_organizational_unit().next().unwrap().as_str().unwrap();
    assert_eq!(JobId::from_organizational_unit(unit), Some(job), "the job is found in {subject}");
    assert_eq!(subject.iter_common_name().next().unwrap().as_str().unwrap(), "truckSensor-T001");

    assert_eq!(cloud.certificate(&made.id).await.unwrap(), Some(made.clone()));
    let listed = cloud.certificates().await.unwrap();
    let listed = listed.iter().find(|it| it.id == made.id).unwrap();
    assert_eq!((&listed.arn, listed.status), (&made.arn, CertificateStatus::Active));
    assert!(listed.created.is_some());

    is_conflict(cloud.delete_certificate(&made.id).await);
    for _ in 0..2 {
        cloud.set_active(&made.id, false).await.unwrap();
    }
    let found = cloud.certificate(&made.id).await.unwrap().unwrap();
    assert_eq!(found.status, CertificateStatus::Inactive);
    for _ in 0..2 {
        cloud.delete_certificate(&made.id).await.unwrap();
    }
    assert_eq!(cloud.certificate(&made.id).await.unwrap(), None);

    let refused = cloud.create_certificate("not a request").await.unwrap_err();
    assert!(matches!(refused, CloudError::Invalid { .. }), "{refused:?}");
}

pub async fn tear_down_has_an_order(cloud: &AwsCloud) {
    let job = new_job();
    let wanted = thing("contract-tear-down", &job);
    let name = &wanted.name;
    cloud.create_thing(&wanted).await.unwrap();
    let policy = policy("contract-tear-down", DOCUMENT, &job);
    cloud.ensure_policy(&policy).await.unwrap();
    let certificate = new_certificate(cloud, &job, name.as_str()).await;
    let arn = &certificate.arn;
    for _ in 0..2 {
        cloud.attach_policy(&policy.name, arn).await.unwrap();
        cloud.attach_principal(name, arn).await.unwrap();
    }
    assert_eq!(cloud.policies_of(arn).await.unwrap(), vec![policy.name.clone()]);
    assert_eq!(cloud.principals_of(name).await.unwrap(), vec![arn.clone()]);
    assert_eq!(cloud.things_of(arn).await.unwrap(), vec![name.clone()]);

    let attached = cloud.delete_thing(name).await.unwrap_err();
    assert!(matches!(attached, CloudError::Invalid { .. } | CloudError::Conflict { .. }), "{attached:?}");
    is_conflict(cloud.delete_policy(&policy.name).await);
    cloud.set_active(&certificate.id, false).await.unwrap();
    is_conflict(cloud.delete_certificate(&certificate.id).await);

    for _ in 0..2 {
        cloud.detach_policy(&policy.name, arn).await.unwrap();
        cloud.detach_principal(name, arn).await.unwrap();
    }
    assert_eq!(cloud.policies_of(arn).await.unwrap(), []);
    assert_eq!(cloud.principals_of(name).await.unwrap(), Vec::<String>::new());
    cloud.delete_certificate(&certificate.id).await.unwrap();
    cloud.delete_policy(&policy.name).await.unwrap();
    cloud.delete_thing(name).await.unwrap();
}

pub async fn a_wrong_key_is_no_login(stand_in: &StandIn) {
    let cloud = AwsCloud::connect_with_key(&stand_in.site, "AKIANOBODYKNOWSTHIS1", "wrong").await.unwrap();
    for refused in [cloud.login().await.map(drop), cloud.certificates().await.map(drop)] {
        assert_eq!(Problem::from(refused.unwrap_err()).code, "cloud.login-expired");
    }
}
