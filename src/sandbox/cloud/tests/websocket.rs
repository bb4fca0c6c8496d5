//! A technician's AWS login on MQTT over WebSocket.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use rumqttc::{MqttOptions, Transport};
use serde_json::json;

use super::{Client, Fixture, keys, start};

impl Fixture {
    /// A technician's client; it has yet to connect.
    pub(super) fn technician(&self, client_id: &str) -> Client {
        self.technician_with(client_id, keys(&self.cloud))
    }

    fn technician_with(&self, client_id: &str, keys: Credentials) -> Client {
        let url = format!("{}/mqtt", self.cloud.endpoint_url());
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(300));
        let identity = keys.into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.cloud.region())
            .name("iotdevicegateway")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(b"")).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let query: Vec<String> =
            instructions.params().iter().map(|(name, value)| format!("{name}={}", value.replace('/', "%2F"))).collect();
        let url = format!("{}?{}", url.replace("http://", "ws://"), query.join("&"));
        let mut options = MqttOptions::new(client_id, url, 0);
        options.set_transport(Transport::Ws);
        Client::new(options)
    }
}

#[tokio::test]
async fn a_technician_hears_every_device() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    let mut technician = fixture.technician("bench").connected().await;
    technician.subscribe("dt/cold/#").await;
    let mut device = fixture.device("truck1", &credential).connected().await;
    let topic = "dt/cold/truck1/readings".to_owned();
    device.publish(&topic, r#"{"sequence":1}"#).await.unwrap();
    assert_eq!(technician.message().await, (topic.clone(), json!({ "sequence": 1 })));

    // As long as a message may be, and longer.
    let long = json!("x".repeat(128 * 1024 - 2));
    device.publish(&topic, &long.to_string()).await.unwrap();
    assert_eq!(technician.message().await, (topic.clone(), long));
    device.publish(&topic, &"x".repeat(128 * 1024 + 1)).await.unwrap_err();
}

#[tokio::test]
async fn a_wrong_secret_does_not_get_in() {
    let fixture = start().await;
    let forged = Credentials::new(fixture.cloud.access_key_id(), "guess", None, None, "test");
    fixture.technician_with("bench", forged).cut().await;
}
