//! Device certificates.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::BY_MARKER;
use super::{ACCOUNT, Answer, ApiError, Call, Certificate, Context, Registry, arn, missing};
use crate::sandbox::cloud::authority::CERTIFICATE_END;

pub(super) fn create(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        certificate_signing_request: String,
    }
    let input: Input = call.input()?;
    let serial = registry.next_id(context.seed);
    let signed =
        context.authority.sign(&input.certificate_signing_request, &serial, context.now).map_err(ApiError::invalid)?;
    let answer = json!({
        "certificateArn": arn("cert", &signed.id), "certificateId": signed.id, "certificatePem": signed.pem,
    });
    let certificate = Certificate {
        pem: signed.pem,
        status: if call.flag("setAsActive") { "ACTIVE" } else { "INACTIVE" }.into(),
        number: registry.made,
        created_secs: context.now_secs(),
        modified_secs: context.now_secs(),
        policies: BTreeSet::new(),
    };
    registry.certificates.insert(signed.id, certificate);
    Ok(answer)
}

pub(super) fn describe(registry: &Registry, call: &Call) -> Answer {
    let id = checked_id(call)?;
    let found = registry.certificates.get(id).ok_or_else(|| missing("Certificate", id))?;
    let mut description = summary(id, found);
    description["certificatePem"] = found.pem.clone().into();
    description["ownedBy"] = ACCOUNT.into();
    description["lastModifiedDate"] = found.modified_secs.into();
    description["customerVersion"] = 1.into();
    description["validity"] =
        json!({ "notBefore": found.created_secs - 120.0, "notAfter": CERTIFICATE_END.unix_timestamp() as f64 });
    Ok(json!({ "certificateDescription": description }))
}

pub(super) fn update(registry: &mut Registry, context: &Context, call: &Call) -> Answer {
    let id = checked_id(call)?;
    let found = registry.certificates.get_mut(id).ok_or_else(|| missing("Certificate", id))?;
    match call.query("newStatus") {
        Some(status @ ("ACTIVE" | "INACTIVE" | "REVOKED")) => {
            found.status = status.into();
            found.modified_secs = context.now_secs();
            Ok(json!({}))
        }
        other => Err(ApiError::invalid(format!("Status '{}' cannot be set", other.unwrap_or_default()))),
    }
}

/// Not while active (406), attached to a thing, or, unless forced, under a policy (409).
pub(super) fn delete(registry: &mut Registry, call: &Call) -> Answer {
    let id = checked_id(call)?;
    let found = registry.certificates.get(id).ok_or_else(|| missing("Certificate", id))?;
    if found.status == "ACTIVE" {
        let message = format!("Certificate must be deactivated (not ACTIVE) before deletion. certificate id: {id}");
        return Err(ApiError::new("CertificateStateException", message));
    }
    let conflict = |what: &str| {
        ApiError::new(
            "DeleteConflictException",
            format!("Certificate {what} must be detached before deletion. certificate id: {id}"),
        )
    };
    if registry.things.values().any(|thing| thing.certificates.contains(id)) {
        return Err(conflict("things"));
    }
    if !found.policies.is_empty() && !call.flag("forceDelete") {
        return Err(conflict("policies"));
    }
    registry.certificates.remove(id);
    Ok(json!({}))
}

pub(super) fn list(registry: &Registry, call: &Call) -> Answer {
    let mut found: Vec<_> = registry.certificates.iter().collect();
    found.sort_by_key(|(_, certificate)| certificate.number);
    // Newest first unless asked otherwise.
    if !call.flag("isAscendingOrder") {
        found.reverse();
    }
    let certificates = found.into_iter().map(|(id, certificate)| summary(id, certificate)).collect();
    call.paged("certificates", BY_MARKER, certificates)
}

fn summary(id: &str, certificate: &Certificate) -> Value {
    json!({
        "certificateArn": arn("cert", id),
        "certificateId": id,
        "status": certificate.status,
        "certificateMode": "DEFAULT",
        "creationDate": certificate.created_secs,
    })
}

fn checked_id(call: &Call) -> Result<&str, ApiError> {
    match call.name.len() == 64 && call.name.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(&call.name),
        false => Err(ApiError::invalid(format!("'{}' is not a certificate id", call.name))),
    }
}
