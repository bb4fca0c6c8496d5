//! The sandbox's cloud, and what the adapters make of a bad day there.

use std::time::Duration;

use coldbench::{
    adapters::{
        broker::{RumqttBroker, Way},
        host_key::HostKey,
    },
    domain::{Subject, site::Site},
    ports::{
        broker::{Broker, BrokerError},
        cloud::{Cloud as _, CloudError},
    },
    sandbox::cloud::{Cloud, CloudOptions, FaultPlan},
};

use crate::{StandIn, new_certificate, new_job, registry::thing};

/// More than any loaded machine needs.
const LIMIT: Duration = Duration::from_secs(60);

/// A running sandbox cloud.
pub struct Sandbox {
    /// The cloud itself.
    pub cloud: Cloud,
    _folder: tempfile::TempDir,
}

impl Sandbox {
    /// Starts one in a folder of its own.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = CloudOptions { dir: folder.path().to_owned(), seed: 7, faults: FaultPlan::default() };
        Sandbox { cloud: Cloud::start(options).await.unwrap(), _folder: folder }
    }

    /// How to reach it.
    pub fn stand_in(&self) -> StandIn {
        let site = Site {
            region: self.cloud.region().to_owned(),
            aws_endpoint_url: Some(self.cloud.endpoint_url()),
            iot_endpoint: Some(self.cloud.mqtt_host().to_owned()),
            iot_port: Some(self.cloud.mqtt_port()),
            ca_file: Some(self.cloud.ca_file()),
            ..Site::default()
        };
        StandIn {
            site,
            access_key_id: self.cloud.access_key_id().to_owned(),
            secret_access_key: self.cloud.secret_access_key().to_owned(),
        }
    }

    fn faults(&self, plan: &str) {
        self.cloud.faults().set(plan.parse().unwrap());
    }
}

/// What is safe to repeat is repeated, and a certificate is made once, whatever becomes of the reply.
pub async fn a_bad_day(sandbox: &Sandbox) {
    let cloud = sandbox.stand_in().cloud().await;
    let job = new_job();

    sandbox.faults("CreateThing:lose-reply,DescribeThing:fail-once,ListThings:throttle=1");
    let wanted = thing("bad-day", &job);
    cloud.create_thing(&wanted).await.unwrap();
    assert!(cloud.thing(&wanted.name).await.unwrap().is_some());
    assert_eq!(cloud.things_of_jobs(Some(&job)).await.unwrap().len(), 1);
    cloud.delete_thing(&wanted.name).await.unwrap();

    sandbox.faults("CreateCertificateFromCsr:throttle=1");
    let certificate = new_certificate(&cloud, &job, "throttled").await;
    cloud.set_active(&certificate.id, false).await.unwrap();
    cloud.delete_certificate(&certificate.id).await.unwrap();

    sandbox.faults("CreateCertificateFromCsr:lose-reply");
    let subject = Subject { common_name: "lost".to_owned(), organizational_unit: job.organizational_unit() };
    let csr = HostKey::generate().unwrap().csr_pem(&subject).unwrap();
    let lost = cloud.create_certificate(&csr).await.unwrap_err();
    assert!(matches!(lost, CloudError::Timeout { operation: "CreateCertificateFromCsr" }), "{lost:?}");
    let made = cloud.certificates().await.unwrap();
    assert_eq!(made.len(), 1, "one request, one certificate");
    cloud.set_active(&made[0].id, false).await.unwrap();
    cloud.delete_certificate(&made[0].id).await.unwrap();

    sandbox.faults("CreateCertificateFromCsr:hang");
    let late = cloud.create_certificate(&csr).await.unwrap_err();
    assert!(matches!(late, CloudError::Timeout { .. }), "{late:?}");
    sandbox.faults("");

    sandbox.cloud.clock().set_ahead_secs(600);
    let skewed = cloud.certificates().await.unwrap_err();
    assert!(matches!(skewed, CloudError::Clock), "{skewed:?}");
    sandbox.cloud.clock().set_ahead_secs(0);
}

/// A refusal is tried again; a broker that is gone ends the observation; one that never was is said to be unreachable.
pub async fn a_broker_that_goes_away(sandbox: Sandbox) {
    let stand_in = sandbox.stand_in();
    sandbox.faults("mqtt:refuse-once");
    let broker = stand_in.broker(Way::WebSocket).await;
    let mut observation = broker.observe(&["dt/contract/readings".to_owned()]).await.unwrap();
    let Sandbox { cloud, _folder } = sandbox;
    cloud.stop().await;
    let end = tokio::time::timeout(LIMIT, observation.messages.recv()).await.unwrap();
    assert!(matches!(end, Some(Err(BrokerError::Lost { .. }))), "{end:?}");
    assert!(observation.messages.recv().await.is_none());

    let cloud = stand_in.cloud().await;
    let gone = cloud.certificates().await.unwrap_err();
    assert!(matches!(gone, CloudError::Unreachable { operation: "ListCertificates", .. }), "{gone:?}");
    let gone = RumqttBroker::new(&stand_in.site, cloud).observe(&["t".to_owned()]).await.unwrap_err();
    let BrokerError::Unreachable { why } = &gone else { panic!("{gone:?}") };
    assert!(why.contains("WebSocket: ") && why.contains("Certificate: "), "{why}");
    assert!(!why.contains("X-Amz-Signature"), "{why}");
    broker.close().await;
}
