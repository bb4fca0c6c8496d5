//! The contract of the ports `Cloud` and `Broker`: the same assertions through the same adapters against the sandbox's
//! cloud and against ministack, which nobody here wrote. And the session of a board on the brokers of both and on
//! mosquitto.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test ends where its input is wrong")]

mod broker;
mod ministack;
mod mosquitto;
#[path = "../../firmware/board-tls/tests/peers/mod.rs"]
#[allow(dead_code, reason = "the tests of the chip's TLS need more of it")]
mod peers;
mod registry;
mod sandbox;
mod session;
mod shadow;

use std::sync::Once;

use coldbench::{
    adapters::{
        broker::{RumqttBroker, Way},
        cloud::AwsCloud,
        host_key::HostKey,
        tls,
    },
    domain::{JobId, Subject, certificate::Certificate, site::Site},
    ports::cloud::Cloud,
};
use ministack::Ministack;
use sandbox::Sandbox;

/// How a stand-in is reached.
pub struct StandIn {
    /// The site profile that names it.
    pub site: Site,
    /// The key it takes.
    pub access_key_id: String,
    /// The secret that belongs to it.
    pub secret_access_key: String,
}

impl StandIn {
    /// The adapter, connected.
    pub async fn cloud(&self) -> AwsCloud {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(tls::install_provider);
        AwsCloud::connect_with_key(&self.site, &self.access_key_id, &self.secret_access_key).await.unwrap()
    }

    /// The broker, on one way alone.
    pub async fn broker(&self, way: Way) -> RumqttBroker {
        RumqttBroker::over(&self.site, self.cloud().await, vec![way])
    }
}

/// A new job's number.
pub fn new_job() -> JobId {
    JobId::from(ulid::Ulid::new())
}

/// A certificate for a new key, whose subject carries the job.
pub async fn new_certificate(cloud: &AwsCloud, job: &JobId, name: &str) -> Certificate {
    let subject = Subject { common_name: name.to_owned(), organizational_unit: job.organizational_unit() };
    let csr = HostKey::generate().unwrap().csr_pem(&subject).unwrap();
    cloud.create_certificate(&csr).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_keeps_the_contract() {
    let ministack = Ministack::start().await;
    let stand_in = ministack.stand_in();
    keeps_the_contract(&stand_in).await;
    session::passes_and_is_refused(&stand_in).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sandbox_keeps_the_contract() {
    let sandbox = Sandbox::start().await;
    keeps_the_contract(&sandbox.stand_in()).await;
    session::passes_and_is_refused(&sandbox.stand_in()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_day_in_the_cloud_is_survived_or_told() {
    let sandbox = Sandbox::start().await;
    sandbox::a_bad_day(&sandbox).await;
    sandbox::a_broker_that_goes_away(sandbox).await;
}

async fn keeps_the_contract(stand_in: &StandIn) {
    let cloud = stand_in.cloud().await;
    registry::login_and_endpoint(&cloud, &stand_in.site).await;
    registry::thing_types_groups_and_policies_are_found_again(&cloud).await;
    registry::things(&cloud).await;
    registry::certificates_really_sign(&cloud).await;
    registry::tear_down_has_an_order(&cloud).await;
    registry::a_wrong_key_is_no_login(stand_in).await;
    shadow::versions_and_nulls(&cloud).await;
    broker::observes(stand_in, Way::WebSocket).await;
    broker::observes(stand_in, Way::Certificate).await;
}
