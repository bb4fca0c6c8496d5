//! What the account holds, and the operations on it. Pure: state and request in, answer or refusal out.

mod call;
mod certificates;
mod groups;
mod policies;
mod principals;
mod things;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

pub(super) use call::{ApiError, Call};

use super::authority::Authority;
use super::policy::{self, Asker, AttachedThing, Document};
use super::shadow::Shadow;

/// The account every ARN names.
pub(super) const ACCOUNT: &str = "123456789012";
/// The region every ARN names.
pub(super) const REGION: &str = "eu-central-1";

/// Everything the account holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Registry {
    /// Counts what was ever made; with the seed it gives the ids.
    made: u64,
    things: BTreeMap<String, Thing>,
    types: BTreeMap<String, ThingType>,
    groups: BTreeMap<String, Group>,
    certificates: BTreeMap<String, Certificate>,
    policies: BTreeMap<String, Policy>,
    /// By thing name, or `thing/shadow` for a named one. Outlives its thing, as on AWS until it is deleted.
    pub(super) shadows: BTreeMap<String, Shadow>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Thing {
    id: String,
    thing_type: Option<String>,
    attributes: BTreeMap<String, String>,
    version: u64,
    groups: BTreeSet<String>,
    certificates: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ThingType {
    id: String,
    properties: types::Properties,
    created_secs: f64,
    deprecated_secs: Option<f64>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Group {
    id: String,
    parent: Option<String>,
    properties: groups::Properties,
    version: u64,
    created_secs: f64,
    policies: BTreeSet<String>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Certificate {
    pem: String,
    status: String,
    /// The order of making, for lists.
    number: u64,
    created_secs: f64,
    modified_secs: f64,
    policies: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Policy {
    document: String,
    generation: String,
    created_secs: f64,
    tags: BTreeMap<String, String>,
}

/// What operations need from outside the registry.
pub(super) struct Context<'a> {
    pub(super) authority: &'a Authority,
    pub(super) seed: u64,
    pub(super) now: OffsetDateTime,
}

impl Context<'_> {
    fn now_secs(&self) -> f64 {
        self.now.unix_timestamp() as f64
    }
}

type Answer = Result<Value, ApiError>;

/// Carries out one operation of the control plane.
pub(super) fn perform(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    match call.operation {
        "CreateThing" => things::create(registry, context, call),
        "DescribeThing" => things::describe(registry, call),
        "UpdateThing" => things::update(registry, call),
        "DeleteThing" => things::delete(registry, call),
        "ListThings" => things::list(registry, call),
        "CreateThingType" => types::create(registry, context, call),
        "DescribeThingType" => types::describe(registry, call),
        "DeprecateThingType" => types::deprecate(registry, context, call),
        "DeleteThingType" => types::delete(registry, context, call),
        "CreateThingGroup" => groups::create(registry, context, call),
        "DescribeThingGroup" => groups::describe(registry, call),
        "DeleteThingGroup" => groups::delete(registry, call),
        "AddThingToThingGroup" => groups::add(registry, call),
        "RemoveThingFromThingGroup" => groups::remove(registry, call),
        "ListThingGroupsForThing" => groups::list_for_thing(registry, call),
        "CreateCertificateFromCsr" => certificates::create(registry, context, call),
        "DescribeCertificate" => certificates::describe(registry, call),
        "UpdateCertificate" => certificates::update(registry, context, call),
        "DeleteCertificate" => certificates::delete(registry, call),
        "ListCertificates" => certificates::list(registry, call),
        "CreatePolicy" => policies::create(registry, context, call),
        "GetPolicy" => policies::get(registry, call),
        "DeletePolicy" => policies::delete(registry, call),
        "AttachPolicy" => policies::attach(registry, call),
        "DetachPolicy" => policies::detach(registry, call),
        "ListAttachedPolicies" => policies::list_attached(registry, call),
        "ListTargetsForPolicy" => policies::list_targets(registry, call),
        "AttachThingPrincipal" => principals::attach(registry, call),
        "DetachThingPrincipal" => principals::detach(registry, call),
        "ListThingPrincipals" => principals::list_of_thing(registry, call),
        "ListPrincipalThings" => principals::list_of_principal(registry, call),
        "DescribeEndpoint" => describe_endpoint(call),
        "TagResource" => tag(registry, call),
        "UntagResource" => untag(registry, call),
        "ListTagsForResource" => list_tags(registry, call),
        other => Err(ApiError::new("UnknownOperationException", format!("{other} is not known here"))),
    }
}

fn arn(kind: &str, name: &str) -> String {
    format!("arn:aws:iot:{REGION}:{ACCOUNT}:{kind}/{name}")
}

/// The name in an ARN of the given kind.
fn name_in_arn<'a>(kind: &str, arn: &'a str) -> Option<&'a str> {
    arn.strip_prefix("arn:aws:iot:")?.splitn(3, ':').nth(2)?.strip_prefix(kind)?.strip_prefix('/')
}

fn missing(what: &str, name: &str) -> ApiError {
    ApiError::new("ResourceNotFoundException", format!("{what} {name} not found"))
}

impl Registry {
    /// An id where AWS would draw a random one.
    fn next_id(&mut self, seed: u64) -> [u8; 16] {
        self.made += 1;
        let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(self.made.to_be_bytes()).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        // A certificate's serial number is positive, and a UUID tells its version.
        id[0] &= 0x7f;
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        id
    }

    fn next_uuid(&mut self, seed: u64) -> String {
        let id = hex::encode(self.next_id(seed));
        format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
    }

    /// Whether a device with this certificate may speak at all.
    pub(super) fn is_active(&self, certificate: &str) -> bool {
        self.certificates.get(certificate).is_some_and(|certificate| certificate.status == "ACTIVE")
    }

    /// Whether a device may do something: `action` as in a policy, `resource` as the end of an ARN.
    pub(super) fn authorizes(&self, certificate: &str, client_id: &str, action: &str, resource: &str) -> bool {
        if !self.is_active(certificate) {
            return false;
        }
        let thing = self.things.get(client_id).filter(|thing| thing.certificates.contains(certificate));
        let asker = Asker {
            client_id: client_id.to_owned(),
            thing: thing.map(|thing| AttachedThing {
                name: client_id.to_owned(),
                thing_type: thing.thing_type.clone(),
                attributes: thing.attributes.clone(),
            }),
        };
        let resource = format!("arn:aws:iot:{REGION}:{ACCOUNT}:{resource}");
        policy::allows(&self.documents(certificate), &asker, action, &resource)
    }

    /// The policies of a certificate: its own, and those of the groups its things are in.
    fn documents(&self, certificate: &str) -> Vec<Document> {
        let mut names: BTreeSet<&String> =
            self.certificates.get(certificate).iter().flat_map(|certificate| &certificate.policies).collect();
        let things = self.things.values().filter(|thing| thing.certificates.contains(certificate));
        for group in things.flat_map(|thing| &thing.groups).flat_map(|group| self.lineage(group)) {
            names.extend(self.groups.get(&group).iter().flat_map(|group| &group.policies));
        }
        let policies = names.into_iter().filter_map(|name| self.policies.get(name));
        policies.filter_map(|policy| Document::parse(&policy.document).ok()).collect()
    }

    /// A group and its parents, the group first.
    fn lineage(&self, group: &str) -> Vec<String> {
        let mut lineage = vec![group.to_owned()];
        while let Some(parent) = lineage.last().and_then(|group| self.groups.get(group)?.parent.clone()) {
            lineage.push(parent);
        }
        lineage
    }

    /// The tags of a resource that takes tags. Things and device certificates do not.
    fn tags_of(&mut self, arn: &str) -> Result<&mut BTreeMap<String, String>, ApiError> {
        if let Some(name) = name_in_arn("thingtype", arn) {
            self.types.get_mut(name).map(|it| &mut it.tags).ok_or_else(|| missing("ThingType", name))
        } else if let Some(name) = name_in_arn("thinggroup", arn) {
            self.groups.get_mut(name).map(|it| &mut it.tags).ok_or_else(|| missing("ThingGroup", name))
        } else if let Some(name) = name_in_arn("policy", arn) {
            self.policies.get_mut(name).map(|it| &mut it.tags).ok_or_else(|| missing("Policy", name))
        } else {
            Err(ApiError::invalid(format!("{arn} is not a resource that takes tags")))
        }
    }
}

#[derive(Deserialize)]
struct Tag {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Value", default)]
    value: String,
}

fn tag_map(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, ApiError> {
    let tags: BTreeMap<_, _> = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    if tags.iter().any(|(key, value)| key.is_empty() || key.len() > 128 || value.len() > 256) || tags.len() > 50 {
        return Err(ApiError::invalid("Tag keys have 1 to 128 characters, values up to 256, and there are at most 50"));
    }
    Ok(tags)
}

fn tag(registry: &mut Registry, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        resource_arn: String,
        tags: Vec<Tag>,
    }
    let input: Input = call.input()?;
    let added = tag_map(input.tags)?;
    let tags = registry.tags_of(&input.resource_arn)?;
    if added.keys().filter(|key| !tags.contains_key(*key)).count() + tags.len() > 50 {
        return Err(ApiError::new("LimitExceededException", "A resource has at most 50 tags"));
    }
    tags.extend(added);
    Ok(json!({}))
}

fn untag(registry: &mut Registry, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        resource_arn: String,
        tag_keys: Vec<String>,
    }
    let input: Input = call.input()?;
    registry.tags_of(&input.resource_arn)?.retain(|key, _| !input.tag_keys.contains(key));
    Ok(json!({}))
}

fn list_tags(registry: &mut Registry, call: &Call) -> Answer {
    let arn = call.query("resourceArn").ok_or_else(|| ApiError::invalid("resourceArn is needed"))?;
    let tags = registry.tags_of(arn)?.iter();
    Ok(json!({ "tags": tags.map(|(key, value)| json!({ "Key": key, "Value": value })).collect::<Vec<_>>() }))
}

fn describe_endpoint(call: &Call) -> Answer {
    match call.query("endpointType") {
        None | Some("iot:Data" | "iot:Data-ATS") => Ok(json!({ "endpointAddress": super::MQTT_HOST })),
        Some(other) => Err(ApiError::invalid(format!("Endpoint type {other} is not served here"))),
    }
}
