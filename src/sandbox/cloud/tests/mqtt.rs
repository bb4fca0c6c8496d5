//! Devices on the broker.

use aws_sdk_iot::types::CertificateStatus;
use aws_sdk_iotdataplane::primitives::Blob;
use rumqttc::{LastWill, QoS};
use serde_json::json;

use super::start;

const READINGS: &str = "dt/cold/truck1/readings";

#[tokio::test]
async fn a_member_hears_its_own_readings() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    let mut device = fixture.device("truck1", &credential).connected().await;
    device.subscribe("dt/cold/truck1/#").await;
    device.client.publish(READINGS, QoS::AtLeastOnce, false, r#"{"sequence":1}"#).await.unwrap();
    assert_eq!(device.message().await, (READINGS.to_owned(), json!({ "sequence": 1 })));
}

#[tokio::test]
async fn who_may_not_connect_is_cut_without_an_answer() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    // Another name than its thing's.
    fixture.device("truck2", &credential).cut().await;
    // A certificate of the authority that is not active.
    let inactive = fixture.certificate(false).await;
    fixture.device("truck1", &inactive).cut().await;
    // A policy, but no thing for the variable.
    let detached = fixture.certificate(true).await;
    fixture.iot.attach_policy().policy_name("fleet").target(&detached.arn).send().await.unwrap();
    fixture.device("truck1", &detached).cut().await;
}

#[tokio::test]
async fn going_beyond_the_policy_ends_the_session() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    for topic in ["dt/cold/truck2/readings", "$aws/things/truck1/shadow/get/accepted", "dt/cold/truck1/a/b/c/d/e/f"] {
        let mut device = fixture.device("truck1", &credential).connected().await;
        device.publish(topic, "{}").await.unwrap_err();
    }
    let mut device = fixture.device("truck1", &credential).connected().await;
    device.client.subscribe("#", QoS::AtMostOnce).await.unwrap();
    device.cut().await;
    let mut device = fixture.device("truck1", &credential).connected().await;
    device.client.publish(READINGS, QoS::ExactlyOnce, false, "{}").await.unwrap();
    device.cut().await;
    let mut device = fixture.device("truck1", &credential).connected().await;
    let nine = (0..9).map(|n| rumqttc::SubscribeFilter::new(format!("dt/cold/truck1/{n}"), QoS::AtMostOnce));
    device.client.subscribe_many(nine).await.unwrap();
    device.cut().await;
}

#[tokio::test]
async fn the_shadow_answers_over_mqtt_and_hears_of_http() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    let mut device = fixture.device("truck1", &credential).connected().await;
    for topic in ["get/+", "update/accepted", "update/rejected", "update/delta", "update/documents"] {
        device.subscribe(&format!("$aws/things/truck1/shadow/{topic}")).await;
    }
    let shadow = |verb: &str| format!("$aws/things/truck1/shadow/{verb}");
    device.client.publish(shadow("get"), QoS::AtLeastOnce, false, r#"{"clientToken":"a"}"#).await.unwrap();
    let (topic, answer) = device.message().await;
    assert_eq!((topic, &answer["code"], &answer["clientToken"]), (shadow("get/rejected"), &json!(404), &json!("a")));

    let wish = Blob::new(r#"{"state":{"desired":{"interval_secs":10}}}"#);
    fixture.data.update_thing_shadow().thing_name("truck1").payload(wish).send().await.unwrap();
    assert_eq!(device.message().await.0, shadow("update/accepted"));
    let (topic, delta) = device.message().await;
    assert_eq!((topic, &delta["state"]), (shadow("update/delta"), &json!({ "interval_secs": 10 })));
    assert_eq!(device.message().await.0, shadow("update/documents"));

    let report = r#"{"state":{"reported":{"interval_secs":10}},"version":1}"#;
    device.client.publish(shadow("update"), QoS::AtLeastOnce, false, report).await.unwrap();
    let (topic, accepted) = device.message().await;
    assert_eq!((topic, &accepted["version"]), (shadow("update/accepted"), &json!(2)));
    assert_eq!(device.message().await.0, shadow("update/documents"));
    device.client.publish(shadow("update"), QoS::AtLeastOnce, false, report).await.unwrap();
    let (topic, rejected) = device.message().await;
    assert_eq!((topic, &rejected["code"]), (shadow("update/rejected"), &json!(409)));
}

#[tokio::test]
async fn deactivation_cuts_the_session() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    let mut device = fixture.device("truck1", &credential).connected().await;
    let update = fixture.iot.update_certificate().certificate_id(&credential.id);
    update.new_status(CertificateStatus::Inactive).send().await.unwrap();
    device.cut().await;
    fixture.device("truck1", &credential).cut().await;
}

#[tokio::test]
async fn a_second_connection_kicks_the_first_and_its_will_is_published() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    let will = LastWill::new("dt/cold/truck1/will", r#"{"gone":true}"#, QoS::AtLeastOnce, false);
    let mut first = fixture.device_with("truck1", &credential, |options| {
        options.set_last_will(will);
    });
    first.until(|packet| matches!(packet, rumqttc::Packet::ConnAck(_)).then_some(())).await.unwrap();
    let listener = fixture.technician("watcher");
    let mut listener = listener.connected().await;
    listener.subscribe("dt/cold/+/will").await;
    let _second = fixture.device("truck1", &credential).connected().await;
    first.cut().await;
    assert_eq!(listener.message().await, ("dt/cold/truck1/will".to_owned(), json!({ "gone": true })));
}

#[tokio::test]
async fn a_client_that_falls_silent_is_cut() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    let will = LastWill::new("dt/cold/truck1/will", r#"{"gone":true}"#, QoS::AtLeastOnce, false);
    let mut listener = fixture.technician("watcher").connected().await;
    listener.subscribe("dt/cold/+/will").await;
    let mut device = fixture.device_with("truck1", &credential, |options| {
        options.set_last_will(will);
    });
    device.events.mqtt_options.set_keep_alive(std::time::Duration::from_secs(1));
    let device = device.connected().await;
    // Nobody polls the device from here on, so it sends nothing more.
    assert_eq!(listener.message().await.1, json!({ "gone": true }));
    drop(device);
}

#[tokio::test]
async fn a_group_lends_its_policy_to_its_things() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    fixture.iot.detach_policy().policy_name("fleet").target(&credential.arn).send().await.unwrap();
    fixture.device("truck1", &credential).cut().await;
    let group = fixture.iot.create_thing_group().thing_group_name("trucks").send().await.unwrap();
    let arn = group.thing_group_arn().unwrap();
    fixture.iot.attach_policy().policy_name("fleet").target(arn).send().await.unwrap();
    fixture.iot.add_thing_to_thing_group().thing_name("truck1").thing_group_name("trucks").send().await.unwrap();
    let mut device = fixture.device("truck1", &credential).connected().await;
    device.publish(READINGS, "{}").await.unwrap();
}
