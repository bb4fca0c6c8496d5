//! An AWS IoT look-alike on loopback: the REST calls the product makes, device shadows, a certificate authority that
//! really signs, and an MQTT broker that knows its clients by certificate and holds them to their policies.
//!
//! It stands on the other side of a wire: the product reaches it by HTTP and MQTT with the adapters that reach AWS.
//! What it holds lives in the folder it is given and is there again after a restart, ports included. Where AWS draws
//! random ids it derives them from a seed. What it leaves out: persistent MQTT sessions, retained messages, QoS 2,
//! dynamic and billing groups, policy versions.

mod authority;
mod broker;
mod faults;
mod files;
mod http;
mod policy;
mod registry;
mod routes;
mod service;
mod shadow;
mod sigv4;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use authority::Authority;
use broker::Hub;
pub use faults::{Fault, FaultPlan, FaultPlanError, FaultRule, Faults};
use service::Service;

/// The name the broker's certificate is made out to.
const MQTT_HOST: &str = "localhost";
/// The longest [`Cloud::stop`] waits for its listeners.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How to start the cloud.
#[derive(Debug, Clone)]
pub struct CloudOptions {
    /// The folder that holds everything; made if it is missing.
    pub dir: PathBuf,
    /// Where ids and the access key come from.
    pub seed: u64,
    /// What goes wrong from the start.
    pub faults: FaultPlan,
}

/// Why the cloud did not start or could not keep what it holds.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The folder could not be made.
    #[error("cannot make the sandbox folder {path}")]
    MakeFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the folder could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the folder could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the folder is not what the sandbox wrote.
    #[error("{path} is damaged; remove the sandbox folder to start afresh")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The authority's key or certificate could not be made or loaded.
    #[error("cannot set up the sandbox's certificate authority")]
    Authority(#[source] rcgen::Error),
    /// TLS refused the authority's certificates.
    #[error("cannot set up TLS for the sandbox's broker: {0}")]
    Tls(String),
    /// No port could be had on loopback.
    #[error("cannot listen on loopback")]
    Listen(#[source] io::Error),
}

/// The cloud's time: the machine's, plus what it is set ahead.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead_secs: Arc<AtomicI64>,
}

impl Clock {
    /// Sets it ahead of the machine's clock, or behind, so that a test need not wait. Signatures are held to it too.
    pub fn set_ahead_secs(&self, secs: i64) {
        self.ahead_secs.store(secs, Ordering::Relaxed);
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::seconds(self.ahead_secs.load(Ordering::Relaxed))
    }
}

/// The key pair the sandbox takes. Its secret opens nothing but the sandbox.
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
}

/// A running cloud. It ends when it is dropped.
pub struct Cloud {
    dir: PathBuf,
    http: SocketAddr,
    mqtt: SocketAddr,
    credentials: Arc<Credentials>,
    faults: Faults,
    clock: Clock,
    hub: Arc<Hub>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Ports {
    http: u16,
    mqtt: u16,
}

impl Cloud {
    /// Starts on 127.0.0.1, on the ports of the last time if they are free.
    ///
    /// # Errors
    /// When the folder cannot be used or no port can be had.
    pub async fn start(options: CloudOptions) -> Result<Self, CloudError> {
        let CloudOptions { dir, seed, faults } = options;
        std::fs::create_dir_all(&dir).map_err(|source| CloudError::MakeFolder { path: dir.clone(), source })?;
        let clock = Clock::default();
        let authority = Authority::open(&dir)?;
        let tls = broker::tls_acceptor(&authority, clock.now())?;
        let service = Arc::new(Service::open(&dir, authority, seed, clock.clone())?);

        let ports_file = dir.join("ports.json");
        let kept: Ports =
            files::read_text(&ports_file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let (http_listener, http) = listen(kept.http).await?;
        let (mqtt_listener, mqtt) = listen(kept.mqtt).await?;
        let ports = serde_json::json!(Ports { http: http.port(), mqtt: mqtt.port() });
        files::write(&ports_file, ports.to_string().as_bytes())?;

        let (stop, stopped) = watch::channel(false);
        let faults = Faults::new(faults);
        let credentials = Arc::new(credentials(seed));
        let hub = Arc::new(Hub::new(service.clone(), faults.clone(), stopped.clone()));
        let gate = http::Gate { service, hub: hub.clone(), faults: faults.clone(), credentials: credentials.clone() };
        let listeners = vec![
            tokio::spawn(http::serve(http_listener, gate, stopped.clone())),
            tokio::spawn(broker::serve(mqtt_listener, tls, hub.clone(), stopped)),
        ];
        Ok(Self { dir, http, mqtt, credentials, faults, clock, hub, stop, listeners })
    }

    /// Ends every connection and frees the ports.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for listener in self.listeners.drain(..) {
            // A listener that outlives the wait ends with the runtime; there is nothing to report.
            let _ = tokio::time::timeout(STOP_WITHIN, listener).await;
        }
    }

    /// What `aws_endpoint_url` is to be: every REST call, shadows and STS included, and `/mqtt` for WebSocket.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The broker's host name, as its certificate has it.
    pub fn mqtt_host(&self) -> &'static str {
        MQTT_HOST
    }

    /// The broker's port for MQTT over mutual TLS.
    pub fn mqtt_port(&self) -> u16 {
        self.mqtt.port()
    }

    /// The root certificate that vouches for the broker, as a PEM file.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The region in every ARN.
    pub fn region(&self) -> &'static str {
        registry::REGION
    }

    /// The access key the sandbox takes.
    pub fn access_key_id(&self) -> &str {
        &self.credentials.access_key_id
    }

    /// The secret that belongs to [`Self::access_key_id`].
    pub fn secret_access_key(&self) -> &str {
        &self.credentials.secret_access_key
    }

    /// What goes wrong, changeable while it runs. Another process does the same with `PUT /_sandbox/faults`.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The cloud's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Messages not delivered because a subscriber did not take them in time.
    pub fn dropped_messages(&self) -> u64 {
        self.hub.dropped()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Ends when the cloud does.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the cloud is gone, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Listens on the port of the last time, or on any.
async fn listen(kept: u16) -> Result<(TcpListener, SocketAddr), CloudError> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, kept)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(CloudError::Listen)?,
    };
    let address = listener.local_addr().map_err(CloudError::Listen)?;
    Ok((listener, address))
}

fn credentials(seed: u64) -> Credentials {
    let digest = hex::encode(Sha256::digest(format!("coldbench sandbox {seed}")));
    Credentials {
        access_key_id: format!("AKIA{}", digest[..16].to_uppercase()),
        secret_access_key: digest[16..56].to_owned(),
    }
}

/// The state file of a sandbox folder.
fn state_file(dir: &Path) -> PathBuf {
    dir.join("cloud.json")
}
