//! The port, operation by operation.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_sdk_iot::types::{AttributePayload, CertificateStatus as SdkStatus, ThingTypeProperties};
use aws_smithy_types::Blob;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{ATTEMPTS, AwsCloud, clock::CloudClock, convert, errors, gone, if_found};
use crate::{
    domain::{
        CertificateId, GroupName, JobId, PolicyName, ThingName, ThingTypeName,
        certificate::{Certificate, CertificateStatus, CertificateSummary},
        shadow::Shadow,
        thing::{Endpoint, JOB_ATTRIBUTE, JOB_TAG, Login, NewGroup, NewPolicy, NewThingType, Thing},
    },
    ports::cloud::{Cloud, CloudError},
};

/// Port of AWS IoT's broker for devices.
const MQTT_PORT: u16 = 8883;
/// The longest page that AWS IoT gives.
const PAGE: i32 = 250;
/// The first wait before a certificate is asked for again; doubled each time.
const THROTTLE_WAIT: Duration = Duration::from_millis(500);

/// Gathers all pages of a list; each page waits for its turn.
macro_rules! all_pages {
    ($cloud:expr, $operation:literal, $request:expr, $items:ident) => {{
        let mut pages = $request.into_paginator().page_size(PAGE).send();
        let mut gathered = Vec::new();
        loop {
            $cloud.inner.pace.wait($operation).await;
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| errors::cloud_error($operation, error))?;
            gathered.extend(page.$items.unwrap_or_default());
        }
        gathered
    }};
}

#[async_trait]
impl Cloud for AwsCloud {
    async fn login(&self) -> Result<Login, CloudError> {
        let credentials = self.credentials().await?;
        let operation = "GetCallerIdentity";
        let clock = CloudClock::default();
        let request = self.inner.sts.get_caller_identity().customize().interceptor(clock.clone());
        let caller = self.run(operation, request.send()).await?;
        Ok(Login {
            account: convert::told(operation, "account", caller.account)?,
            arn: convert::told(operation, "ARN", caller.arn)?,
            clock_skew_secs: clock.ahead_secs(),
            expires: credentials.expiry().map(OffsetDateTime::from),
        })
    }

    async fn endpoint(&self) -> Result<Endpoint, CloudError> {
        let host = match &self.inner.iot_endpoint {
            Some(host) => host,
            None => self.data_address().await?,
        };
        // Some stand-ins add the port of their HTTP gateway, which is not that of the broker.
        let host = host.split_once(':').map_or(host, |(host, _)| host).to_owned();
        Ok(Endpoint { host, port: self.inner.iot_port.unwrap_or(MQTT_PORT) })
    }

    async fn ensure_thing_type(&self, new: &NewThingType) -> Result<bool, CloudError> {
        let describe = self.inner.iot.describe_thing_type().thing_type_name(new.name.as_str());
        if let Some(found) = if_found(self.run("DescribeThingType", describe.send()).await)? {
            let operation = "CreateThingType";
            return match found.thing_type_metadata {
                Some(metadata) if metadata.deprecated => {
                    Err(CloudError::Conflict { operation, why: format!("the thing type {} is deprecated", new.name) })
                }
                _ => Ok(false),
            };
        }
        let operation = "CreateThingType";
        let searchable = Some(new.searchable_attributes.clone()).filter(|names| !names.is_empty());
        let properties = ThingTypeProperties::builder().set_searchable_attributes(searchable).build();
        let create = self.inner.iot.create_thing_type();
        let create = create.thing_type_name(new.name.as_str()).thing_type_properties(properties);
        let create = create.tags(convert::job_tag(operation, &new.job)?);
        self.run(operation, create.send()).await.map(|_| true)
    }

    async fn thing(&self, name: &ThingName) -> Result<Option<Thing>, CloudError> {
        let operation = "DescribeThing";
        let describe = self.inner.iot.describe_thing().thing_name(name.as_str());
        let found = if_found(self.run(operation, describe.send()).await)?;
        found
            .map(|it| {
                let (name, thing_type) = (it.thing_name.as_deref(), it.thing_type_name.as_deref());
                convert::thing(operation, name, thing_type, it.attributes, it.version)
            })
            .transpose()
    }

    async fn create_thing(&self, thing: &Thing) -> Result<(), CloudError> {
        let thing_type = thing.thing_type.as_ref().map(ThingTypeName::to_string);
        let create = self.inner.iot.create_thing().thing_name(thing.name.as_str()).set_thing_type_name(thing_type);
        let create = create.attribute_payload(attributes_of(thing));
        self.run("CreateThing", create.send()).await.map(drop)
    }

    async fn set_attributes(&self, thing: &Thing) -> Result<(), CloudError> {
        let update = self.inner.iot.update_thing().thing_name(thing.name.as_str());
        self.run("UpdateThing", update.attribute_payload(attributes_of(thing)).send()).await.map(drop)
    }

    async fn delete_thing(&self, name: &ThingName) -> Result<(), CloudError> {
        gone(self.run("DeleteThing", self.inner.iot.delete_thing().thing_name(name.as_str()).send()).await)
    }

    async fn things_of_jobs(&self, job: Option<&JobId>) -> Result<Vec<Thing>, CloudError> {
        let mut list = self.inner.iot.list_things();
        if let Some(job) = job {
            list = list.attribute_name(JOB_ATTRIBUTE).attribute_value(job.as_str());
        }
        let listed = all_pages!(self, "ListThings", list, things);
        // Without a job the registry cannot filter by "has the attribute", so that is done here.
        let ours = listed.into_iter().filter(|it| {
            let carried = it.attributes.as_ref().and_then(|attributes| attributes.get(JOB_ATTRIBUTE));
            carried.is_some_and(|carried| job.is_none_or(|job| job.as_str() == carried))
        });
        ours.map(|it| {
            let (name, thing_type) = (it.thing_name.as_deref(), it.thing_type_name.as_deref());
            convert::thing("ListThings", name, thing_type, it.attributes, it.version)
        })
        .collect()
    }

    async fn create_certificate(&self, csr_pem: &str) -> Result<Certificate, CloudError> {
        let operation = "CreateCertificateFromCsr";
        let once = aws_sdk_iot::config::Builder::new().retry_config(RetryConfig::disabled());
        let mut wait = THROTTLE_WAIT;
        for attempt in 1.. {
            self.inner.pace.wait(operation).await;
            let request = self.inner.iot.create_certificate_from_csr();
            let request = request.certificate_signing_request(csr_pem).set_as_active(true);
            let error = match request.customize().config_override(once.clone()).send().await {
                Ok(made) => {
                    return Ok(Certificate {
                        id: convert::named(operation, made.certificate_id())?,
                        arn: convert::told(operation, "ARN", made.certificate_arn)?,
                        pem: convert::told(operation, "certificate", made.certificate_pem)?,
                        status: CertificateStatus::Active,
                    });
                }
                Err(error) => error,
            };
            // Only what certainly had no effect may be asked for again.
            let without_effect = errors::never_left(&error);
            let error = errors::cloud_error(operation, error);
            let without_effect = without_effect || matches!(error, CloudError::Throttled { .. });
            if !without_effect || attempt >= ATTEMPTS {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Err(CloudError::Throttled { operation })
    }

    async fn certificate(&self, id: &CertificateId) -> Result<Option<Certificate>, CloudError> {
        let operation = "DescribeCertificate";
        let describe = self.inner.iot.describe_certificate().certificate_id(id.as_str());
        let Some(found) = if_found(self.run(operation, describe.send()).await)? else { return Ok(None) };
        let missing = || convert::odd(operation, "the answer has no description");
        let it = found.certificate_description.ok_or_else(missing)?;
        Ok(Some(Certificate {
            id: convert::named(operation, it.certificate_id())?,
            status: convert::status(it.status()),
            arn: convert::told(operation, "ARN", it.certificate_arn)?,
            pem: convert::told(operation, "certificate", it.certificate_pem)?,
        }))
    }

    async fn certificates(&self) -> Result<Vec<CertificateSummary>, CloudError> {
        let operation = "ListCertificates";
        let listed = all_pages!(self, "ListCertificates", self.inner.iot.list_certificates(), certificates);
        let summary = |it: aws_sdk_iot::types::Certificate| {
            Ok(CertificateSummary {
                id: convert::named(operation, it.certificate_id())?,
                status: convert::status(it.status()),
                created: convert::time(it.creation_date()),
                arn: convert::told(operation, "ARN", it.certificate_arn)?,
            })
        };
        listed.into_iter().map(summary).collect()
    }

    async fn set_active(&self, id: &CertificateId, active: bool) -> Result<(), CloudError> {
        let status = if active { SdkStatus::Active } else { SdkStatus::Inactive };
        let update = self.inner.iot.update_certificate().certificate_id(id.as_str()).new_status(status);
        self.run("UpdateCertificate", update.send()).await.map(drop)
    }

    async fn delete_certificate(&self, id: &CertificateId) -> Result<(), CloudError> {
        let delete = self.inner.iot.delete_certificate().certificate_id(id.as_str());
        gone(self.run("DeleteCertificate", delete.send()).await)
    }

    async fn ensure_policy(&self, new: &NewPolicy) -> Result<(), CloudError> {
        if self.has_policy(new).await? {
            return Ok(());
        }
        let operation = "CreatePolicy";
        let create = self.inner.iot.create_policy().policy_name(new.name.as_str()).policy_document(&new.document);
        let create = create.tags(convert::job_tag(operation, &new.job)?);
        match self.run(operation, create.send()).await {
            Ok(_) => Ok(()),
            // Made between the two requests: by another bench, or by our own whose reply was lost.
            Err(conflict @ CloudError::Conflict { .. }) => match self.has_policy(new).await? {
                true => Ok(()),
                false => Err(conflict),
            },
            Err(error) => Err(error),
        }
    }

    async fn delete_policy(&self, name: &PolicyName) -> Result<(), CloudError> {
        gone(self.run("DeletePolicy", self.inner.iot.delete_policy().policy_name(name.as_str()).send()).await)
    }

    async fn made_policy(&self, job: &JobId, name: &PolicyName) -> Result<bool, CloudError> {
        let get = self.inner.iot.get_policy().policy_name(name.as_str());
        match if_found(self.run("GetPolicy", get.send()).await)? {
            Some(found) => self.is_made_by(&convert::told("GetPolicy", "ARN", found.policy_arn)?, job).await,
            None => Ok(false),
        }
    }

    async fn policies_of(&self, certificate_arn: &str) -> Result<Vec<PolicyName>, CloudError> {
        let list = self.inner.iot.list_attached_policies().target(certificate_arn);
        let listed = all_pages!(self, "ListAttachedPolicies", list, policies);
        listed.iter().map(|it| convert::named("ListAttachedPolicies", it.policy_name())).collect()
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<(), CloudError> {
        let attach = self.inner.iot.attach_policy().policy_name(policy.as_str()).target(certificate_arn);
        self.run("AttachPolicy", attach.send()).await.map(drop)
    }

    async fn detach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<(), CloudError> {
        let detach = self.inner.iot.detach_policy().policy_name(policy.as_str()).target(certificate_arn);
        gone(self.run("DetachPolicy", detach.send()).await)
    }

    async fn principals_of(&self, thing: &ThingName) -> Result<Vec<String>, CloudError> {
        let list = self.inner.iot.list_thing_principals().thing_name(thing.as_str());
        Ok(all_pages!(self, "ListThingPrincipals", list, principals))
    }

    async fn things_of(&self, certificate_arn: &str) -> Result<Vec<ThingName>, CloudError> {
        let list = self.inner.iot.list_principal_things().principal(certificate_arn);
        let listed = all_pages!(self, "ListPrincipalThings", list, things);
        listed.iter().map(|name| convert::named("ListPrincipalThings", Some(name))).collect()
    }

    async fn attach_principal(&self, thing: &ThingName, certificate_arn: &str) -> Result<(), CloudError> {
        let attach = self.inner.iot.attach_thing_principal().thing_name(thing.as_str()).principal(certificate_arn);
        self.run("AttachThingPrincipal", attach.send()).await.map(drop)
    }

    async fn detach_principal(&self, thing: &ThingName, certificate_arn: &str) -> Result<(), CloudError> {
        let detach = self.inner.iot.detach_thing_principal().thing_name(thing.as_str()).principal(certificate_arn);
        gone(self.run("DetachThingPrincipal", detach.send()).await)
    }

    async fn ensure_group(&self, new: &NewGroup) -> Result<(), CloudError> {
        let describe = self.inner.iot.describe_thing_group().thing_group_name(new.name.as_str());
        if if_found(self.run("DescribeThingGroup", describe.send()).await)?.is_some() {
            return Ok(());
        }
        let operation = "CreateThingGroup";
        let create = self.inner.iot.create_thing_group().thing_group_name(new.name.as_str());
        let create = create.tags(convert::job_tag(operation, &new.job)?);
        self.run(operation, create.send()).await.map(drop)
    }

    async fn made_group(&self, job: &JobId, name: &GroupName) -> Result<bool, CloudError> {
        let operation = "DescribeThingGroup";
        let describe = self.inner.iot.describe_thing_group().thing_group_name(name.as_str());
        match if_found(self.run(operation, describe.send()).await)? {
            Some(found) => self.is_made_by(&convert::told(operation, "ARN", found.thing_group_arn)?, job).await,
            None => Ok(false),
        }
    }

    async fn groups_of(&self, thing: &ThingName) -> Result<Vec<GroupName>, CloudError> {
        let list = self.inner.iot.list_thing_groups_for_thing().thing_name(thing.as_str());
        let listed = all_pages!(self, "ListThingGroupsForThing", list, thing_groups);
        listed.iter().map(|it| convert::named("ListThingGroupsForThing", it.group_name())).collect()
    }

    async fn add_to_group(&self, thing: &ThingName, group: &GroupName) -> Result<(), CloudError> {
        let add = self.inner.iot.add_thing_to_thing_group();
        let add = add.thing_name(thing.as_str()).thing_group_name(group.as_str());
        self.run("AddThingToThingGroup", add.send()).await.map(drop)
    }

    async fn remove_from_group(&self, thing: &ThingName, group: &GroupName) -> Result<(), CloudError> {
        let remove = self.inner.iot.remove_thing_from_thing_group();
        let remove = remove.thing_name(thing.as_str()).thing_group_name(group.as_str());
        gone(self.run("RemoveThingFromThingGroup", remove.send()).await)
    }

    async fn delete_group(&self, group: &GroupName) -> Result<(), CloudError> {
        let delete = self.inner.iot.delete_thing_group().thing_group_name(group.as_str());
        gone(self.run("DeleteThingGroup", delete.send()).await)
    }

    async fn deprecate_thing_type(&self, name: &ThingTypeName) -> Result<(), CloudError> {
        let deprecate = self.inner.iot.deprecate_thing_type().thing_type_name(name.as_str());
        gone(self.run("DeprecateThingType", deprecate.send()).await)
    }

    async fn shadow(&self, thing: &ThingName) -> Result<Option<Shadow>, CloudError> {
        let operation = "GetThingShadow";
        let get = self.inner.data.get_thing_shadow().thing_name(thing.as_str());
        let found = if_found(self.run(operation, get.send()).await)?;
        found.map(|found| convert::shadow(operation, found.payload)).transpose()
    }

    /// The answer holds the desired fields that were sent, with the new version; not the rest of the shadow.
    async fn set_desired(
        &self,
        thing: &ThingName,
        desired: &Value,
        version: Option<u64>,
    ) -> Result<Shadow, CloudError> {
        let operation = "UpdateThingShadow";
        let mut document = json!({ "state": { "desired": desired } });
        if let Some(version) = version {
            document["version"] = version.into();
        }
        let update = self.inner.data.update_thing_shadow().thing_name(thing.as_str());
        let update = update.payload(Blob::new(document.to_string()));
        convert::shadow(operation, self.run(operation, update.send()).await?.payload)
    }

    async fn delete_shadow(&self, thing: &ThingName) -> Result<(), CloudError> {
        let delete = self.inner.data.delete_thing_shadow().thing_name(thing.as_str());
        gone(self.run("DeleteThingShadow", delete.send()).await)
    }
}

impl AwsCloud {
    /// Whether the policy exists with this document; with another it is a conflict. Documents are compared as JSON,
    /// because white space and the order of keys mean nothing.
    async fn has_policy(&self, new: &NewPolicy) -> Result<bool, CloudError> {
        let operation = "GetPolicy";
        let get = self.inner.iot.get_policy().policy_name(new.name.as_str());
        let Some(found) = if_found(self.run(operation, get.send()).await)? else { return Ok(false) };
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        let wanted = read(&new.document);
        if wanted.is_none() || found.policy_document().and_then(read) != wanted {
            let why = format!("the policy {} has another document", new.name);
            return Err(CloudError::Conflict { operation: "CreatePolicy", why });
        }
        Ok(true)
    }

    /// Whether a tag says that this job made it.
    async fn is_made_by(&self, arn: &str, job: &JobId) -> Result<bool, CloudError> {
        let list = self.inner.iot.list_tags_for_resource().resource_arn(arn);
        let tags = self.run("ListTagsForResource", list.send()).await?.tags.unwrap_or_default();
        Ok(tags.iter().any(|tag| tag.key() == JOB_TAG && tag.value() == Some(job.as_str())))
    }
}

fn attributes_of(thing: &Thing) -> AttributePayload {
    let attributes = thing.attributes.clone().into_iter().collect();
    AttributePayload::builder().set_attributes(Some(attributes)).merge(false).build()
}
