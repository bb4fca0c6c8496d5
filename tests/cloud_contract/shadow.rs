//! The classic shadow over HTTP.

use coldbench::{
    adapters::cloud::AwsCloud,
    domain::ThingName,
    ports::cloud::{Cloud, CloudError},
};
use serde_json::json;

use crate::{new_job, registry::thing};

pub async fn versions_and_nulls(cloud: &AwsCloud) {
    let name: ThingName = "contract-shadow".parse().unwrap();
    cloud.create_thing(&thing(name.as_str(), &new_job())).await.unwrap();
    assert_eq!(cloud.shadow(&name).await.unwrap(), None);
    cloud.delete_shadow(&name).await.unwrap();

    let first =
        cloud.set_desired(&name, &json!({ "interval_secs": 10, "thresholds": { "a": 1 } }), None).await.unwrap();
    assert_eq!(first.state.desired["interval_secs"], 10);
    let found = cloud.shadow(&name).await.unwrap().unwrap();
    assert_eq!(found.version, first.version);
    assert_eq!(found.state.delta["interval_secs"], 10, "nothing was reported yet");

    let second = cloud.set_desired(&name, &json!({ "thresholds": { "a": null } }), Some(first.version)).await.unwrap();
    assert_eq!(second.version, first.version + 1);
    let found = cloud.shadow(&name).await.unwrap().unwrap();
    assert_eq!(found.state.desired["interval_secs"], 10, "what is not named stays");
    assert!(found.state.desired.get("thresholds").is_none_or(|it| it.get("a").is_none()), "{found:?}");

    let stale = cloud.set_desired(&name, &json!({ "interval_secs": 30 }), Some(first.version)).await.unwrap_err();
    assert!(matches!(stale, CloudError::Conflict { operation: "UpdateThingShadow", .. }), "{stale:?}");
    cloud.set_desired(&name, &json!(null), None).await.unwrap();
    let emptied = cloud.shadow(&name).await.unwrap();
    assert!(emptied.is_none_or(|it| it.state.desired.is_empty()));

    cloud.delete_shadow(&name).await.unwrap();
    assert_eq!(cloud.shadow(&name).await.unwrap(), None);
    cloud.delete_thing(&name).await.unwrap();
}
