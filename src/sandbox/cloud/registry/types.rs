//! Thing types.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, ApiError, Call, Context, Registry, Tag, ThingType, arn, missing, tag_map};

/// How long a type must have been deprecated before it can be deleted, in seconds.
const DEPRECATED_FOR_SECS: f64 = 300.0;

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Properties {
    #[serde(skip_serializing_if = "Option::is_none")]
    thing_type_description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    searchable_attributes: Vec<String>,
}

pub(super) fn create(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        #[serde(default)]
        thing_type_properties: Properties,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let name = call.checked_name()?.to_owned();
    let input: Input = call.input()?;
    if input.thing_type_properties.searchable_attributes.len() > 3 {
        return Err(ApiError::invalid("A thing type has at most 3 searchable attributes"));
    }
    let tags = tag_map(input.tags)?;
    if let Some(found) = registry.types.get(&name) {
        if found.properties != input.thing_type_properties {
            return Err(ApiError::exists("ThingType", &name, arn("thingtype", &name)));
        }
    } else {
        let made = ThingType {
            id: registry.next_uuid(context.seed),
            properties: input.thing_type_properties,
            created_secs: context.now_secs(),
            deprecated_secs: None,
            tags,
        };
        registry.types.insert(name.clone(), made);
    }
    let id = registry.types.get(&name).map(|found| found.id.as_str());
    Ok(json!({ "thingTypeName": name, "thingTypeArn": arn("thingtype", &name), "thingTypeId": id }))
}

pub(super) fn describe(registry: &Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let found = registry.types.get(name).ok_or_else(|| missing("Thing type", name))?;
    let mut metadata = json!({ "deprecated": found.deprecated_secs.is_some(), "creationDate": found.created_secs });
    if let Some(at) = found.deprecated_secs {
        metadata["deprecationDate"] = at.into();
    }
    Ok(json!({
        "thingTypeName": name,
        "thingTypeArn": arn("thingtype", name),
        "thingTypeId": found.id,
        "thingTypeProperties": found.properties,
        "thingTypeMetadata": metadata,
    }))
}

pub(super) fn deprecate(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        #[serde(default)]
        undo_deprecate: bool,
    }
    let name = call.checked_name()?;
    let input: Input = call.input()?;
    let found = registry.types.get_mut(name).ok_or_else(|| missing("Thing type", name))?;
    found.deprecated_secs = match input.undo_deprecate {
        true => None,
        false => found.deprecated_secs.or(Some(context.now_secs())),
    };
    Ok(json!({}))
}

pub(super) fn delete(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let found = registry.types.get(name).ok_or_else(|| missing("Thing type", name))?;
    match found.deprecated_secs {
        None => return Err(ApiError::invalid(format!("Thing type {name} is not deprecated"))),
        Some(at) if context.now_secs() - at < DEPRECATED_FOR_SECS => {
            return Err(ApiError::invalid(format!("Please wait for 5 minutes after deprecation of {name}")));
        }
        Some(_) => {}
    }
    if registry.things.values().any(|thing| thing.thing_type.as_deref() == Some(name)) {
        return Err(ApiError::invalid(format!("Thing type {name} still has things")));
    }
    registry.types.remove(name);
    Ok(json!({}))
}
