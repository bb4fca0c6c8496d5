//! Bad days.

use std::time::Duration;

use aws_sdk_iotdataplane::primitives::Blob;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{refusal, refused, soon, start};

#[tokio::test]
async fn failures_throttles_and_slowness_strike_as_planned() {
    let fixture = start().await;
    let plan = "CreateThing:fail-once,ListThings:throttle=1,UpdateThingShadow:throttle=1,*:slow=1ms";
    fixture.cloud.faults().set(plan.parse().unwrap());
    let create = || fixture.iot.create_thing().thing_name("t").send();
    assert_eq!(refused(create().await), refusal(500, "InternalFailureException"));
    assert_eq!(refused(fixture.iot.list_things().send().await), refusal(400, "ThrottlingException"));
    assert!(fixture.iot.list_things().send().await.unwrap().things().is_empty());
    create().await.unwrap();
    let update = fixture.data.update_thing_shadow().thing_name("t").payload(Blob::new("{}")).send().await;
    assert_eq!(refused(update), refusal(429, "ThrottlingException"));
}

#[tokio::test]
async fn a_lost_reply_leaves_its_effect() {
    let fixture = start().await;
    fixture.cloud.faults().set("CreateThing:lose-reply".parse().unwrap());
    let lost = fixture.iot.create_thing().thing_name("t").send().await.unwrap_err();
    assert!(lost.raw_response().is_none());
    fixture.iot.describe_thing().thing_name("t").send().await.unwrap();
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_plan_changes() {
    let fixture = start().await;
    fixture.cloud.faults().set("CreateThing:hang=1".parse().unwrap());
    let iot = fixture.iot.clone();
    let call = tokio::spawn(async move { iot.create_thing().thing_name("t").send().await });
    soon(async {
        while fixture.cloud.faults().plan().to_string() != "CreateThing:hang=0" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(!call.is_finished());
    fixture.cloud.faults().set("".parse().unwrap());
    soon(call).await.unwrap().unwrap_err();
    fixture.iot.create_thing().thing_name("t").send().await.unwrap();
}

#[tokio::test]
async fn another_process_sets_faults_over_http() {
    let fixture = start().await;
    let ask = async |plan: &str| {
        let address = fixture.cloud.endpoint_url().replace("http://", "");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "PUT /_sandbox/faults HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{plan}",
            plan.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    };
    assert!(ask("ListThings:fail-once").await.starts_with("HTTP/1.1 200"));
    assert_eq!(refused(fixture.iot.list_things().send().await).0, 500);
    assert!(ask("nonsense").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn the_broker_refuses_and_drops_as_planned() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    fixture.cloud.faults().set("mqtt:refuse-once,mqtt:drop-after=1".parse().unwrap());
    fixture.device("truck1", &credential).cut().await;
    let mut device = fixture.device("truck1", &credential).connected().await;
    device.publish("dt/cold/truck1/readings", "{}").await.unwrap();
    device.publish("dt/cold/truck1/readings", "{}").await.unwrap_err();
    let mut device = fixture.device("truck1", &credential).connected().await;
    device.publish("dt/cold/truck1/readings", "{}").await.unwrap();
}
