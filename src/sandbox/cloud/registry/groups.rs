//! Static thing groups and who is in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::BY_RESULTS;
use super::things::check_attributes;
use super::{Answer, ApiError, Call, Context, Group, Registry, Tag, arn, missing, name_in_arn, tag_map};

const DEPTH_LIMIT: usize = 7;
const GROUPS_PER_THING: usize = 10;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    thing_group_description: Option<String>,
    attribute_payload: Attributes,
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Attributes {
    attributes: BTreeMap<String, String>,
}

pub(super) fn create(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        parent_group_name: Option<String>,
        #[serde(default)]
        thing_group_properties: Properties,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let name = call.checked_name()?.to_owned();
    let input: Input = call.input()?;
    check_attributes(&input.thing_group_properties.attribute_payload.attributes, true)?;
    let tags = tag_map(input.tags)?;
    if let Some(parent) = &input.parent_group_name {
        if !registry.groups.contains_key(parent) {
            return Err(missing("Thing group", parent));
        }
        if registry.lineage(parent).len() >= DEPTH_LIMIT {
            return Err(ApiError::invalid(format!("Thing groups nest at most {DEPTH_LIMIT} deep")));
        }
    }
    if let Some(found) = registry.groups.get(&name) {
        if found.properties != input.thing_group_properties || found.parent != input.parent_group_name {
            return Err(ApiError::exists("ThingGroup", &name, arn("thinggroup", &name)));
        }
    } else {
        let made = Group {
            id: registry.next_uuid(context.seed),
            parent: input.parent_group_name,
            properties: input.thing_group_properties,
            version: 1,
            created_secs: context.now_secs(),
            policies: BTreeSet::new(),
            tags,
        };
        registry.groups.insert(name.clone(), made);
    }
    let id = registry.groups.get(&name).map(|found| found.id.as_str());
    Ok(json!({ "thingGroupName": name, "thingGroupArn": arn("thinggroup", &name), "thingGroupId": id }))
}

pub(super) fn describe(registry: &Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let found = registry.groups.get(name).ok_or_else(|| missing("Thing group", name))?;
    let parents: Vec<Value> = registry.lineage(name)[1..].iter().rev().map(|parent| reference(parent)).collect();
    let mut metadata = json!({ "creationDate": found.created_secs, "rootToParentThingGroups": parents });
    if let Some(parent) = &found.parent {
        metadata["parentGroupName"] = parent.clone().into();
    }
    Ok(json!({
        "thingGroupName": name,
        "thingGroupArn": arn("thinggroup", name),
        "thingGroupId": found.id,
        "thingGroupProperties": found.properties,
        "thingGroupMetadata": metadata,
        "version": found.version,
    }))
}

/// Deleting a group that is not there succeeds, as for things.
pub(super) fn delete(registry: &mut Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let Some(found) = registry.groups.get(name) else {
        return Ok(json!({}));
    };
    call.check_version(None, found.version)?;
    if registry.groups.values().any(|group| group.parent.as_deref() == Some(name)) {
        return Err(ApiError::invalid(format!("Cannot delete thing group {name}: it has child groups")));
    }
    registry.groups.remove(name);
    for thing in registry.things.values_mut() {
        thing.groups.remove(name);
    }
    Ok(json!({}))
}

/// Which thing and which group, by name or by ARN.
fn membership(call: &Call) -> Result<(String, String), ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        thing_name: Option<String>,
        thing_arn: Option<String>,
        thing_group_name: Option<String>,
        thing_group_arn: Option<String>,
    }
    let input: Input = call.input()?;
    let pick = |kind: &str, name: Option<String>, arn: Option<String>| {
        let in_arn = arn.as_deref().and_then(|arn| name_in_arn(kind, arn)).map(str::to_owned);
        name.or(in_arn).ok_or_else(|| ApiError::invalid(format!("A {kind} name or ARN is needed")))
    };
    Ok((
        pick("thing", input.thing_name, input.thing_arn)?,
        pick("thinggroup", input.thing_group_name, input.thing_group_arn)?,
    ))
}

pub(super) fn add(registry: &mut Registry, call: &Call) -> Answer {
    let (name, group) = membership(call)?;
    if !registry.groups.contains_key(&group) {
        return Err(missing("Thing group", &group));
    }
    let thing = registry.things.get(&name).ok_or_else(|| missing("Thing", &name))?;
    if thing.groups.contains(&group) {
        return Ok(json!({}));
    }
    let root = |group: &str| registry.lineage(group).pop();
    if thing.groups.iter().any(|other| root(other) == root(&group)) {
        return Err(ApiError::invalid(format!("Thing {name} is already in a group of the hierarchy of {group}")));
    }
    if thing.groups.len() >= GROUPS_PER_THING {
        return Err(ApiError::invalid(format!("A thing is in at most {GROUPS_PER_THING} groups")));
    }
    if let Some(thing) = registry.things.get_mut(&name) {
        thing.groups.insert(group);
    }
    Ok(json!({}))
}

pub(super) fn remove(registry: &mut Registry, call: &Call) -> Answer {
    let (name, group) = membership(call)?;
    if !registry.groups.contains_key(&group) {
        return Err(missing("Thing group", &group));
    }
    registry.things.get_mut(&name).ok_or_else(|| missing("Thing", &name))?.groups.remove(&group);
    Ok(json!({}))
}

pub(super) fn list_for_thing(registry: &Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let thing = registry.things.get(name).ok_or_else(|| missing("Thing", name))?;
    call.paged("thingGroups", BY_RESULTS, thing.groups.iter().map(|group| reference(group)).collect())
}

fn reference(group: &str) -> Value {
    json!({ "groupName": group, "groupArn": arn("thinggroup", group) })
}
