//! ministack: an AWS stand-in that nobody here wrote, with IAM and IoT policies enforced.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::StandIn;
use coldbench::domain::site::Site;

/// A loaded machine takes its time to start a large Python program.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// A running ministack. Dropping it ends it and all that it started.
pub struct Ministack {
    child: Child,
    http: SocketAddr,
    mqtt: SocketAddr,
    folder: tempfile::TempDir,
}

impl Ministack {
    /// Starts the program that `COLDBENCH_MINISTACK` names, on free ports of loopback.
    pub async fn start() -> Self {
        let program = std::env::var("COLDBENCH_MINISTACK").expect(
            "COLDBENCH_MINISTACK must name the program `ministack` (PyPI, ministack[full]); tests/run prepares it",
        );
        let folder = tempfile::tempdir().unwrap();
        let (http, mqtt) = (free_address(), free_address());
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(&program)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", http.port().to_string())
            .env("IOT_MTLS_PORT", mqtt.port().to_string())
            .env("SFTP_ENABLED", "0")
            .env("AUTH", "true")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} (COLDBENCH_MINISTACK) does not start: {error}"));
        let mut ministack = Ministack { child, http, mqtt, folder };
        ministack.wait_until_ready().await;
        ministack
    }

    async fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let ca = get(self.http, "/_ministack/iot/ca.pem").await;
            if let Some(pem) = ca.filter(|body| body.contains("BEGIN CERTIFICATE"))
                && TcpStream::connect(self.mqtt).await.is_ok()
            {
                std::fs::write(self.folder.path().join("ca.pem"), pem).unwrap();
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ministack ended at once: {}", self.log());
            assert!(begun.elapsed() < READY_LIMIT, "ministack is not ready: {}", self.log());
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// How to reach it.
    pub fn stand_in(&self) -> StandIn {
        let site = Site {
            region: "us-east-1".to_owned(),
            aws_endpoint_url: Some(format!("http://{}", self.http)),
            iot_endpoint: Some("localhost".to_owned()),
            iot_port: Some(self.mqtt.port()),
            ca_file: Some(self.folder.path().join("ca.pem")),
            ..Site::default()
        };
        StandIn { site, access_key_id: "test".to_owned(), secret_access_key: "test".to_owned() }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(Path::new(self.folder.path()).join("log")).unwrap_or_default()
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        // It may have ended by itself.
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The body of an HTTP answer, if there is one.
async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200").then(|| body.to_owned())
    };
    timeout(Duration::from_secs(5), exchange).await.ok().flatten()
}
