//! From the SDK's types to the domain's.

use std::{collections::BTreeMap, collections::HashMap, str::FromStr};

use aws_sdk_iot::types::{CertificateStatus as SdkStatus, Tag};
use aws_smithy_types::{Blob, DateTime};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    domain::{
        JobId, Problem,
        certificate::CertificateStatus,
        shadow::Shadow,
        thing::{JOB_TAG, Thing},
    },
    ports::cloud::CloudError,
};

/// An answer that AWS IoT would never give.
pub(super) fn odd(operation: &'static str, why: impl ToString) -> CloudError {
    CloudError::Service { operation, why: why.to_string() }
}

/// A field that every answer has.
pub(super) fn told(operation: &'static str, what: &str, text: Option<String>) -> Result<String, CloudError> {
    text.ok_or_else(|| odd(operation, format!("the answer has no {what}")))
}

/// A name or id that every answer has.
pub(super) fn named<T: FromStr<Err = Problem>>(operation: &'static str, text: Option<&str>) -> Result<T, CloudError> {
    text.unwrap_or_default().parse().map_err(|problem: Problem| odd(operation, problem.sentence))
}

/// A thing.
pub(super) fn thing(
    operation: &'static str,
    name: Option<&str>,
    thing_type: Option<&str>,
    attributes: Option<HashMap<String, String>>,
    version: i64,
) -> Result<Thing, CloudError> {
    let attributes: BTreeMap<_, _> = attributes.unwrap_or_default().into_iter().collect();
    let thing_type = thing_type.filter(|name| !name.is_empty());
    let thing_type = thing_type.map(|name| named(operation, Some(name))).transpose()?;
    Ok(Thing { name: named(operation, name)?, thing_type, attributes, version })
}

/// Whether a certificate may be used.
pub(super) fn status(status: Option<&SdkStatus>) -> CertificateStatus {
    match status {
        Some(SdkStatus::Active) => CertificateStatus::Active,
        Some(SdkStatus::Inactive) => CertificateStatus::Inactive,
        _ => CertificateStatus::Other,
    }
}

/// A point in time.
pub(super) fn time(at: Option<&DateTime>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at?.secs()).ok()
}

/// The tag that names a job.
pub(super) fn job_tag(operation: &'static str, job: &JobId) -> Result<Tag, CloudError> {
    Tag::builder().key(JOB_TAG).value(job.as_str()).build().map_err(|error| odd(operation, error))
}

/// A shadow document. A part of its state that was removed is told as `null`.
pub(super) fn shadow(operation: &'static str, payload: Option<Blob>) -> Result<Shadow, CloudError> {
    let bytes = payload.map(Blob::into_inner).unwrap_or_default();
    let mut document: Value = serde_json::from_slice(&bytes).map_err(|error| odd(operation, error))?;
    if document.get("state").is_some_and(Value::is_null) {
        document["state"] = Value::Object(serde_json::Map::new());
    }
    if let Some(state) = document.get_mut("state").and_then(Value::as_object_mut) {
        state.retain(|_, part| !part.is_null());
    }
    serde_json::from_value(document).map_err(|error| odd(operation, error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]
mod tests {
    use super::*;

    #[test]
    fn a_shadow_is_read_with_and_without_its_parts() {
        let read = |text: &str| shadow("GetThingShadow", Some(Blob::new(text)));
        let full = read(
            r#"{"state":{"desired":{"interval":10},"reported":{"interval":5},"delta":{"interval":10}},
                "metadata":{},"version":7,"timestamp":1700000000}"#,
        )
        .unwrap();
        assert_eq!((full.version, full.state.delta["interval"].as_u64()), (7, Some(10)));
        let emptied = read(r#"{"state":{"desired":null},"version":8}"#).unwrap();
        assert!(emptied.state.desired.is_empty());
        assert!(read(r#"{"state":null,"version":9}"#).unwrap().state.reported.is_empty());
        assert!(read("<html>").is_err());
    }

    #[test]
    fn a_name_that_the_domain_refuses_is_an_odd_answer() {
        let answer = thing("DescribeThing", Some("no spaces here"), None, None, 1);
        assert!(matches!(answer, Err(CloudError::Service { operation: "DescribeThing", .. })));
        assert_eq!(thing("DescribeThing", Some("t"), Some(""), None, 1).unwrap().thing_type, None);
    }
}
