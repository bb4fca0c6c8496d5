//! What tests of the board's TLS, here and on the host, stand it against: certificates of every kind, mosquitto, and peers that say nothing.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coldbench_protocol::Network;
use coldbench_sensor::identity::Connection;
use coldbench_sensor::session::Clock;
use embedded_io_adapters::tokio_1::FromTokio;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams,
};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// Longer than the slowest machine needs; a wait ends as soon as what it waits for is there.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The name in the broker's certificate.
pub const HOST: &str = "broker.depot.example";
/// The board's readings.
pub const READINGS: &str = "dt/coldchain/depot1/truckSensor01/readings";
const DAY: time::Duration = time::Duration::DAY;

/// UTC, milliseconds since 1970.
pub fn now_unix_millis() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis().try_into().ok()
}

/// Tokio's clock, faster by a factor.
pub struct TokioClock(pub Instant, pub u32);

impl TokioClock {
    pub fn start() -> Self {
        TokioClock(Instant::now(), 1)
    }
}

impl Clock for TokioClock {
    fn now_millis(&self) -> u64 {
        (self.0.elapsed() * self.1).as_millis().try_into().unwrap()
    }

    fn sleep_until(&self, deadline_millis: u64) -> impl Future<Output = ()> {
        tokio::time::sleep_until((self.0 + Duration::from_millis(deadline_millis) / self.1).into())
    }
}

/// A certificate authority of P-256, or of RSA as that of AWS IoT is.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    der: Vec<u8>,
    make_key: fn() -> KeyPair,
}

/// The serial number of every certificate; each is the only one that a test shows.
const SERIAL: u64 = 4711;

impl Authority {
    pub fn new() -> Self {
        Self::with(|| KeyPair::generate().unwrap())
    }

    /// Of RSA with 2048 bits.
    pub fn of_rsa() -> Self {
        Self::with(rsa_key)
    }

    fn with(make_key: fn() -> KeyPair) -> Self {
        let key = make_key();
        let mut params = CertificateParams::new([]).unwrap();
        // Each has a name of its own: a server that knows the name but not the key blames the signature.
        static FOUNDED: AtomicU32 = AtomicU32::new(0);
        let number = FOUNDED.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Depot CA {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().to_vec());
        Authority { issuer: Issuer::new(params, key), pem, der, make_key }
    }

    /// A certificate for a name, good from yesterday until tomorrow, later by some days.
    fn certify(&self, name: &str, later: time::Duration) -> (rcgen::Certificate, KeyPair) {
        let key = (self.make_key)();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = OffsetDateTime::now_utc() - DAY + later;
        params.not_after = OffsetDateTime::now_utc() + DAY + later;
        params.serial_number = Some(SERIAL.into());
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A list that revokes every board's certificate, as PEM.
    fn revocations(&self) -> String {
        let revoked = RevokedCertParams {
            serial_number: SERIAL.into(),
            revocation_time: OffsetDateTime::now_utc() - DAY,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: OffsetDateTime::now_utc() - DAY,
            next_update: OffsetDateTime::now_utc() + DAY,
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// What the tool installs on a board whose broker's certificate comes from `server_ca`.
    pub fn board(&self, server_ca: &Authority) -> Connection {
        self.board_of_another_day(server_ca, 0)
    }

    /// The same, with a certificate that is good some days later.
    pub fn board_of_another_day(&self, server_ca: &Authority, days_later: i64) -> Connection {
        let (certificate, key) = self.certify("truckSensor01", DAY * (days_later as f64));
        Connection {
            thing_name: "truckSensor01".into(),
            endpoint: HOST.into(),
            port: 8883,
            readings_topic: READINGS.into(),
            network: Network::None,
            certificate_chain_der: vec![certificate.der().to_vec()],
            ca_der: vec![server_ca.der.clone()],
            key_pkcs8_der: Zeroizing::new(key.serialize_der()),
        }
    }
}

/// Made once: an RSA key takes a while. The library of the certificates makes none.
fn rsa_key() -> KeyPair {
    static PEM: OnceLock<String> = OnceLock::new();
    let pem = PEM.get_or_init(|| {
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .expect("openssl is installed (`apt-get install openssl`)");
        assert!(made.status.success(), "openssl makes a key");
        String::from_utf8(made.stdout).unwrap()
    });
    KeyPair::from_pem_and_sign_algo(pem, &PKCS_RSA_SHA256).unwrap()
}

/// How a broker differs from a good one.
#[derive(Clone, Copy)]
pub struct BrokerKind<'a> {
    pub server_ca: &'a Authority,
    pub name: &'a str,
    pub days_later: i64,
    /// The newest TLS it speaks, in OpenSSL's words.
    pub newest_tls: &'a str,
    /// Whether it has a list that revokes the board's certificate.
    pub revokes: bool,
}

/// A mosquitto on a free port of the loopback; it ends with this value.
pub struct Mosquitto {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Mosquitto {
    /// A broker that takes boards of `board_ca`.
    pub async fn start(board_ca: &Authority, kind: BrokerKind<'_>) -> Self {
        let (certificate, key) = kind.server_ca.certify(kind.name, DAY * (kind.days_later as f64));
        // Between the choice of a free port and mosquitto's start another program may take it: then try again.
        for _ in 0..5 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let folder = std::env::temp_dir().join(format!("coldbench-tls-{port}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let write = |name: &str, text: &str| {
                let path = folder.join(name);
                std::fs::write(&path, text).unwrap();
                path.display().to_string()
            };
            let config = format!(
                "user root\nlistener {port} 127.0.0.1\npersistence false\ncafile {}\ncertfile {}\nkeyfile {}\n\
                 require_certificate true\nuse_identity_as_username true\n",
                write("ca.pem", &board_ca.pem),
                write("server.pem", &certificate.pem()),
                write("server.key", &key.serialize_pem()),
            );
            let revocations = match kind.revokes {
                true => format!("crlfile {}\n", write("revoked.pem", &board_ca.revocations())),
                false => String::new(),
            };
            let config = write("mosquitto.conf", &(config + &revocations));
            // mosquitto has no setting for the newest TLS; OpenSSL under it has.
            let openssl = write(
                "openssl.cnf",
                &format!(
                    "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = limits\n[limits]\nMaxProtocol = {}\n",
                    kind.newest_tls
                ),
            );
            if let Some(mosquitto) = Self::start_on(port, folder, &config, &openssl).await {
                return mosquitto;
            }
        }
        panic!("mosquitto does not start");
    }

    /// Nothing when mosquitto ended before it answered on the port.
    async fn start_on(port: u16, folder: PathBuf, config: &str, openssl: &str) -> Option<Self> {
        let child = Command::new(program())
            .args(["-c", config])
            .env("OPENSSL_CONF", openssl)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto can be started");
        let mut mosquitto = Self { child, port, folder };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            if mosquitto.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(started.elapsed() < PATIENCE, "mosquitto answers on its port");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(mosquitto)
    }

    pub async fn line(&self) -> FromTokio<TcpStream> {
        line(self.port).await
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A line to a port of the loopback.
pub async fn line(port: u16) -> FromTokio<TcpStream> {
    FromTokio::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap())
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("mosquitto"))
        .find(|program| Path::is_file(program))
        .expect("mosquitto is not installed; install it with `apt-get install mosquitto`")
}
