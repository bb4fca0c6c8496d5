//! The broker as the tool sees it.

use std::time::Duration;

use coldbench::{
    adapters::broker::Way,
    domain::ThingName,
    ports::{
        broker::{Broker, Message, Observation},
        cloud::Cloud,
    },
};
use serde_json::{Value, json};

use crate::{StandIn, new_job, registry::thing};

/// More than any loaded machine needs.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// What the cloud says of a shadow comes through, and the observer leaves nothing behind.
pub async fn observes(stand_in: &StandIn, way: Way) {
    let cloud = stand_in.cloud().await;
    let certificates = cloud.certificates().await.unwrap().len();
    let name: ThingName = format!("contract-{way:?}").parse().unwrap();
    cloud.create_thing(&thing(name.as_str(), &new_job())).await.unwrap();

    let broker = stand_in.broker(way).await;
    // More filters than one SUBSCRIBE takes.
    let mut topics: Vec<String> = (0..9).map(|number| format!("dt/contract/{number}")).collect();
    topics.push(format!("$aws/things/{name}/shadow/update/accepted"));
    let mut observation = broker.observe(&topics).await.unwrap();
    let second = broker.observe(&topics[9..]).await.unwrap();
    cloud.set_desired(&name, &json!({ "interval_secs": 7 }), None).await.unwrap();
    for observation in [&mut observation, &mut { second }] {
        let message = arrival(observation).await;
        assert_eq!(message.topic, topics[9]);
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(payload["state"]["desired"]["interval_secs"], 7);
    }

    drop(observation);
    broker.close().await;
    assert_eq!(cloud.certificates().await.unwrap().len(), certificates, "the observer has retired its certificate");
    cloud.delete_shadow(&name).await.unwrap();
    cloud.delete_thing(&name).await.unwrap();
}

async fn arrival(observation: &mut Observation) -> Message {
    let message = tokio::time::timeout(ARRIVAL_LIMIT, observation.messages.recv()).await;
    message.expect("a message arrives").expect("the observation goes on").unwrap()
}
