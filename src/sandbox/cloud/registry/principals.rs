//! Which certificate speaks for which thing.

use serde_json::{Value, json};

use super::call::BY_RESULTS;
use super::{Answer, ApiError, Call, Registry, arn, missing, name_in_arn};

pub(super) fn attach(registry: &mut Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let id = certificate(call)?.to_owned();
    if !registry.certificates.contains_key(&id) {
        return Err(missing("Certificate", &id));
    }
    registry.things.get_mut(name).ok_or_else(|| missing("Thing", name))?.certificates.insert(id);
    Ok(json!({}))
}

/// Detaching what is not attached succeeds.
pub(super) fn detach(registry: &mut Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let id = certificate(call)?;
    registry.things.get_mut(name).ok_or_else(|| missing("Thing", name))?.certificates.remove(id);
    Ok(json!({}))
}

pub(super) fn list_of_thing(registry: &Registry, call: &Call) -> Answer {
    let name = call.checked_name()?;
    let thing = registry.things.get(name).ok_or_else(|| missing("Thing", name))?;
    call.paged("principals", BY_RESULTS, thing.certificates.iter().map(|id| arn("cert", id).into()).collect())
}

pub(super) fn list_of_principal(registry: &Registry, call: &Call) -> Answer {
    let id = certificate(call)?;
    if !registry.certificates.contains_key(id) {
        return Err(missing("Certificate", id));
    }
    let things = registry.things.iter().filter(|(_, thing)| thing.certificates.contains(id));
    call.paged("things", BY_RESULTS, things.map(|(name, _)| Value::from(name.as_str())).collect())
}

fn certificate(call: &Call) -> Result<&str, ApiError> {
    let principal = call.principal.as_deref().unwrap_or_default();
    name_in_arn("cert", principal)
        .ok_or_else(|| ApiError::invalid(format!("Principal '{principal}' is not the ARN of a certificate")))
}
