//! The cloud against the real AWS and MQTT clients.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod faults;
mod mqtt;
mod rest;
mod websocket;

use std::future::Future;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_iot::config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use rcgen::{CertificateParams, DnType, KeyPair};
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tempfile::TempDir;

use super::authority::der_of;
use super::{Cloud, CloudOptions, FaultPlan};

/// A slow machine may take this long for anything.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens within a minute")
}

struct Fixture {
    cloud: Cloud,
    iot: aws_sdk_iot::Client,
    data: aws_sdk_iotdataplane::Client,
    _dir: TempDir,
}

fn options(dir: &TempDir) -> CloudOptions {
    CloudOptions { dir: dir.path().to_owned(), seed: 7, faults: FaultPlan::default() }
}

fn keys(cloud: &Cloud) -> Credentials {
    Credentials::new(cloud.access_key_id(), cloud.secret_access_key(), None, None, "test")
}

fn iot(cloud: &Cloud, keys: Credentials) -> aws_sdk_iot::Client {
    let config = aws_sdk_iot::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(cloud.region()))
        .endpoint_url(cloud.endpoint_url())
        .retry_config(RetryConfig::disabled())
        .credentials_provider(keys);
    aws_sdk_iot::Client::from_conf(config.build())
}

async fn start() -> Fixture {
    let dir = TempDir::new().unwrap();
    let cloud = Cloud::start(options(&dir)).await.unwrap();
    let config = aws_sdk_iotdataplane::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(cloud.region()))
        .endpoint_url(cloud.endpoint_url())
        .retry_config(RetryConfig::disabled())
        .credentials_provider(keys(&cloud));
    let data = aws_sdk_iotdataplane::Client::from_conf(config.build());
    Fixture { iot: iot(&cloud, keys(&cloud)), data, cloud, _dir: dir }
}

/// Status and code of a refusal.
fn refused<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, SdkError<E, HttpResponse>>) -> (u16, String) {
    let error = result.expect_err("it is refused");
    let status = error.raw_response().expect("there is an answer").status().as_u16();
    (status, error.code().unwrap_or_default().to_owned())
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// A key and a signing request for it.
fn key_and_csr() -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "truck1");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "job 42");
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    (key, csr)
}

/// A device certificate with its key.
struct Credential {
    id: String,
    arn: String,
    pem: String,
    key: KeyPair,
}

impl Fixture {
    async fn certificate(&self, active: bool) -> Credential {
        let (key, csr) = key_and_csr();
        let made = self.iot.create_certificate_from_csr().certificate_signing_request(csr).set_as_active(active);
        let made = made.send().await.unwrap();
        Credential {
            id: made.certificate_id.unwrap(),
            arn: made.certificate_arn.unwrap(),
            pem: made.certificate_pem.unwrap(),
            key,
        }
    }

    /// A thing with an active certificate under the fleet's policy.
    async fn member(&self, thing: &str) -> Credential {
        let credential = self.certificate(true).await;
        self.iot.create_thing().thing_name(thing).send().await.unwrap();
        // Other members may have made it.
        let _ = self.iot.create_policy().policy_name("fleet").policy_document(FLEET_POLICY).send().await;
        self.iot.attach_policy().policy_name("fleet").target(&credential.arn).send().await.unwrap();
        self.iot.attach_thing_principal().thing_name(thing).principal(&credential.arn).send().await.unwrap();
        credential
    }

    fn device(&self, client_id: &str, credential: &Credential) -> Client {
        self.device_with(client_id, credential, |_| {})
    }

    fn device_with(&self, client_id: &str, credential: &Credential, set: impl FnOnce(&mut MqttOptions)) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(der_of(&std::fs::read_to_string(self.cloud.ca_file()).unwrap()).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(credential.key.serialize_der()));
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![der_of(&credential.pem).unwrap()], key)
            .unwrap();
        let mut options = MqttOptions::new(client_id, self.cloud.mqtt_host(), self.cloud.mqtt_port());
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.into())));
        set(&mut options);
        Client::new(options)
    }
}

const FLEET_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[
  {"Effect":"Allow","Action":"iot:Connect","Resource":"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}"},
  {"Effect":"Allow","Action":["iot:Publish","iot:Receive"],"Resource":[
    "arn:aws:iot:*:*:topic/dt/cold/${iot:Connection.Thing.ThingName}/*",
    "arn:aws:iot:*:*:topic/$aws/things/${iot:Connection.Thing.ThingName}/shadow/*"]},
  {"Effect":"Allow","Action":"iot:Subscribe","Resource":[
    "arn:aws:iot:*:*:topicfilter/dt/cold/${iot:Connection.Thing.ThingName}/*",
    "arn:aws:iot:*:*:topicfilter/$aws/things/${iot:Connection.Thing.ThingName}/shadow/*"]}]}"#;

/// An MQTT client driven step by step.
struct Client {
    client: AsyncClient,
    events: EventLoop,
}

impl Client {
    fn new(mut options: MqttOptions) -> Self {
        options.set_keep_alive(Duration::from_secs(30));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, events) = AsyncClient::new(options, 16);
        Self { client, events }
    }

    /// Polls until a packet is the wanted one.
    async fn until<T>(&mut self, mut wanted: impl FnMut(Packet) -> Option<T>) -> Result<T, ConnectionError> {
        soon(async {
            loop {
                let Event::Incoming(packet) = self.events.poll().await? else { continue };
                if let Some(found) = wanted(packet) {
                    return Ok(found);
                }
            }
        })
        .await
    }

    async fn connected(mut self) -> Self {
        self.until(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await.unwrap();
        self
    }

    async fn subscribe(&mut self, filter: &str) {
        self.client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        self.until(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await.unwrap();
    }

    async fn publish(&mut self, topic: &str, payload: &str) -> Result<(), ConnectionError> {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
        self.until(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await
    }

    /// The next message's topic and JSON.
    async fn message(&mut self) -> (String, Value) {
        let message = self.until(|packet| match packet {
            Packet::Publish(publish) => Some((publish.topic, serde_json::from_slice(&publish.payload).unwrap())),
            _ => None,
        });
        message.await.unwrap()
    }

    /// Waits for the broker to end the connection.
    async fn cut(&mut self) {
        self.until(|_| None::<()>).await.unwrap_err();
    }
}
