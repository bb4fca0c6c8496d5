//! Policies and what they are attached to.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::BY_MARKER;
use super::{Answer, ApiError, Call, Context, Policy, Registry, Tag, arn, missing, name_in_arn, tag_map};
use crate::sandbox::cloud::policy::Document;

const POLICIES_PER_TARGET: usize = 10;

pub(super) fn create(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        policy_document: String,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let name = checked_name(call)?.to_owned();
    let input: Input = call.input()?;
    let tags = tag_map(input.tags)?;
    Document::parse(&input.policy_document).map_err(|message| ApiError::new("MalformedPolicyException", message))?;
    // Unlike things, a policy of the same content is a conflict too.
    if registry.policies.contains_key(&name) {
        let message = format!("Policy cannot be created - name already exists (name={name})");
        let resource = Some((name.clone(), arn("policy", &name)));
        return Err(ApiError { resource, ..ApiError::new("ResourceAlreadyExistsException", message) });
    }
    let policy = Policy {
        document: input.policy_document.clone(),
        generation: registry.next_uuid(context.seed),
        created_secs: context.now_secs(),
        tags,
    };
    registry.policies.insert(name.clone(), policy);
    Ok(json!({
        "policyName": name,
        "policyArn": arn("policy", &name),
        "policyDocument": input.policy_document,
        "policyVersionId": "1",
    }))
}

pub(super) fn get(registry: &Registry, call: &Call) -> Answer {
    let name = checked_name(call)?;
    let found = registry.policies.get(name).ok_or_else(|| missing("Policy", name))?;
    Ok(json!({
        "policyName": name,
        "policyArn": arn("policy", name),
        "policyDocument": found.document,
        "defaultVersionId": "1",
        "creationDate": found.created_secs,
        "lastModifiedDate": found.created_secs,
        "generationId": found.generation,
    }))
}

pub(super) fn delete(registry: &mut Registry, call: &Call) -> Answer {
    let name = checked_name(call)?;
    if !registry.policies.contains_key(name) {
        return Err(missing("Policy", name));
    }
    if !targets(registry, name).is_empty() {
        let message =
            format!("The policy cannot be deleted as the policy is attached to one or more principals (name={name})");
        return Err(ApiError::new("DeleteConflictException", message));
    }
    registry.policies.remove(name);
    Ok(json!({}))
}

pub(super) fn attach(registry: &mut Registry, call: &Call) -> Answer {
    let name = checked_name(call)?.to_owned();
    if !registry.policies.contains_key(&name) {
        return Err(missing("Policy", &name));
    }
    let attached = attached_to(registry, &target(call)?)?;
    if !attached.contains(&name) && attached.len() >= POLICIES_PER_TARGET {
        let message = format!("A target has at most {POLICIES_PER_TARGET} policies");
        return Err(ApiError::new("LimitExceededException", message));
    }
    attached.insert(name);
    Ok(json!({}))
}

/// Detaching what is not attached succeeds.
pub(super) fn detach(registry: &mut Registry, call: &Call) -> Answer {
    let name = checked_name(call)?;
    attached_to(registry, &target(call)?)?.remove(name);
    Ok(json!({}))
}

pub(super) fn list_attached(registry: &mut Registry, call: &Call) -> Answer {
    let mut names = attached_to(registry, &call.name)?.clone();
    if call.flag("recursive") {
        let group = name_in_arn("thinggroup", &call.name).unwrap_or_default();
        for parent in registry.lineage(group).iter().skip(1) {
            names.extend(registry.groups.get(parent).iter().flat_map(|parent| parent.policies.clone()));
        }
    }
    let policies = names.iter().map(|name| json!({ "policyName": name, "policyArn": arn("policy", name) }));
    call.paged("policies", BY_MARKER, policies.collect())
}

pub(super) fn list_targets(registry: &Registry, call: &Call) -> Answer {
    let name = checked_name(call)?;
    if !registry.policies.contains_key(name) {
        return Err(missing("Policy", name));
    }
    call.paged("targets", BY_MARKER, targets(registry, name).into_iter().map(Value::from).collect())
}

fn targets(registry: &Registry, policy: &str) -> Vec<String> {
    let certificates = registry.certificates.iter().filter(|(_, found)| found.policies.contains(policy));
    let groups = registry.groups.iter().filter(|(_, found)| found.policies.contains(policy));
    certificates.map(|(id, _)| arn("cert", id)).chain(groups.map(|(name, _)| arn("thinggroup", name))).collect()
}

/// The policies of a certificate or group, by its ARN.
fn attached_to<'a>(registry: &'a mut Registry, target: &str) -> Result<&'a mut BTreeSet<String>, ApiError> {
    if let Some(id) = name_in_arn("cert", target) {
        registry.certificates.get_mut(id).map(|it| &mut it.policies).ok_or_else(|| missing("Certificate", id))
    } else if let Some(name) = name_in_arn("thinggroup", target) {
        registry.groups.get_mut(name).map(|it| &mut it.policies).ok_or_else(|| missing("Thing group", name))
    } else {
        Err(ApiError::invalid(format!("Target '{target}' is not the ARN of a certificate or thing group")))
    }
}

fn target(call: &Call) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Input {
        target: String,
    }
    call.input::<Input>().map(|input| input.target)
}

fn checked_name(call: &Call) -> Result<&str, ApiError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    match (1..=128).contains(&call.name.len()) && call.name.chars().all(fits) {
        true => Ok(&call.name),
        false => Err(ApiError::invalid(format!("Policy name '{}' must be 1 to 128 of [\\w+=,.@-]", call.name))),
    }
}
