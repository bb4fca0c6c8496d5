//! Things.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::BY_RESULTS;
use super::{Answer, ApiError, Call, Context, Registry, Thing, arn, missing};

/// Attributes a thing may have without a type, and with one.
const ATTRIBUTES: (usize, usize) = (3, 50);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttributePayload {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    merge: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    thing_type_name: Option<String>,
    attribute_payload: Option<AttributePayload>,
    #[serde(default)]
    remove_thing_type: bool,
    expected_version: Option<u64>,
}

pub(super) fn create(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    let name = call.checked_name()?.to_owned();
    let input: Input = call.input()?;
    let attributes = input.attribute_payload.unwrap_or_default().attributes;
    check_attributes(&attributes, input.thing_type_name.is_some())?;
    check_type(registry, input.thing_type_name.as_deref())?;
    if let Some(thing) = registry.things.get(&name) {
        if thing.attributes != attributes || thing.thing_type != input.thing_type_name {
            return Err(ApiError::exists("Thing", &name, arn("thing", &name)));
        }
    } else {
        let thing = Thing {
            id: registry.next_uuid(context.seed),
            thing_type: input.thing_type_name,
            attributes,
            version: 1,
            groups: BTreeSet::new(),
            certificates: BTreeSet::new(),
        };
        registry.things.insert(name.clone(), thing);
    }
    let id = registry.things.get(&name).map(|thing| thing.id.as_str());
    Ok(json!({ "thingName": name, "thingArn": arn("thing", &name), "thingId": id }))
}

pub(super) fn describe(registry: &Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let thing = registry.things.get(name).ok_or_else(|| missing("Thing", name))?;
    let mut answer = summary(name, thing);
    answer["defaultClientId"] = name.into();
    answer["thingId"] = thing.id.clone().into();
    Ok(answer)
}

pub(super) fn update(registry: &mut Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let input: Input = call.input()?;
    check_type(registry, input.thing_type_name.as_deref())?;
    let thing = registry.things.get_mut(name).ok_or_else(|| missing("Thing", name))?;
    call.check_version(input.expected_version, thing.version)?;
    if input.remove_thing_type && input.thing_type_name.is_some() {
        return Err(ApiError::invalid("removeThingType and thingTypeName exclude each other"));
    }
    let mut attributes = thing.attributes.clone();
    if let Some(payload) = input.attribute_payload {
        if !payload.merge {
            attributes.clear();
        }
        attributes.extend(payload.attributes);
        attributes.retain(|_, value| !value.is_empty());
    }
    let thing_type = match input.remove_thing_type {
        true => None,
        false => input.thing_type_name.or_else(|| thing.thing_type.clone()),
    };
    check_attributes(&attributes, thing_type.is_some())?;
    thing.attributes = attributes;
    thing.thing_type = thing_type;
    thing.version += 1;
    Ok(json!({}))
}

pub(super) fn delete(registry: &mut Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let Some(thing) = registry.things.get(name) else {
        return Ok(json!({}));
    };
    call.check_version(None, thing.version)?;
    if !thing.certificates.is_empty() {
        return Err(ApiError::invalid(format!("Thing {name} cannot be deleted: principals are attached to it")));
    }
    registry.things.remove(name);
    Ok(json!({}))
}

pub(super) fn list(registry: &Registry, call: &Call) -> Answer {
    let by_prefix = call.flag("usePrefixAttributeValue");
    let wanted = |thing: &Thing| {
        let of_type = call.query("thingTypeName").is_none_or(|name| thing.thing_type.as_deref() == Some(name));
        let with_attribute = call.query("attributeName").is_none_or(|name| {
            let value = thing.attributes.get(name);
            let wanted = call.query("attributeValue").unwrap_or_default();
            value.is_some_and(|value| if by_prefix { value.starts_with(wanted) } else { value == wanted })
        });
        of_type && with_attribute
    };
    let things = registry.things.iter().filter(|(_, thing)| wanted(thing));
    call.paged("things", BY_RESULTS, things.map(|(name, thing)| summary(name, thing)).collect())
}

fn summary(name: &str, thing: &Thing) -> Value {
    let mut summary = json!({
        "thingName": name, "thingArn": arn("thing", name), "attributes": thing.attributes, "version": thing.version,
    });
    if let Some(thing_type) = &thing.thing_type {
        summary["thingTypeName"] = thing_type.clone().into();
    }
    summary
}

fn check_type(registry: &Registry, name: Option<&str>) -> Result<(), ApiError> {
    let Some(name) = name else { return Ok(()) };
    match registry.types.get(name) {
        None => Err(missing("Thing type", name)),
        Some(found) if found.deprecated_secs.is_some() => {
            Err(ApiError::invalid(format!("Can not associate thing with deprecated thing type {name}")))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn check_attributes(attributes: &BTreeMap<String, String>, typed: bool) -> Result<(), ApiError> {
    let limit = if typed { ATTRIBUTES.1 } else { ATTRIBUTES.0 };
    if attributes.len() > limit {
        return Err(ApiError::invalid(format!("{} attributes given; at most {limit} are allowed", attributes.len())));
    }
    let fits = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_.,@/:#-=[]".contains(c));
    for (name, value) in attributes {
        if name.is_empty() || name.len() > 128 || value.len() > 800 || !fits(name) || !fits(value) {
            return Err(ApiError::invalid(format!(
                "Attribute '{name}' must be of [a-zA-Z0-9_.,@/:#=\\[\\]-], its name 1 to 128 and its value up to 800 characters"
            )));
        }
    }
    Ok(())
}
