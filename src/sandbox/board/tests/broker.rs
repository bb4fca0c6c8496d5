//! The board's own session, against a broker of this file that speaks just enough MQTT behind mutual TLS.

use std::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use coldbench_protocol::{Install, Network, Subject};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};

use super::*;

const READINGS: &str = "dt/coldchain/depot1/truckSensor01/readings";
const SHADOW: &str = "$aws/things/truckSensor01/shadow/update";

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A CA, and the broker's identity signed by it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    fn server_config(&self) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    fn sign(&self, csr_pem: &str) -> String {
        CertificateSigningRequestParams::from_pem(csr_pem).unwrap().signed_by(&self.issuer).unwrap().pem()
    }
}

/// Serves one session: tells every publication, and answers the first report with a desired interval.
fn serve(
    listener: &TcpListener,
    config: ServerConfig,
    told: &mpsc::Sender<(String, serde_json::Value)>,
) -> io::Result<()> {
    let (socket, _) = listener.accept()?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    let mut asked = false;
    loop {
        let (kind, body) = read_packet(&mut stream)?;
        match kind {
            0x10 => stream.write_all(&[0x20, 2, 0, 0])?,
            0x82 => stream.write_all(&[0x90, 7, body[0], body[1], 1, 1, 1, 1, 1])?,
            0x32 => {
                let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8_lossy(&body[2..2 + topic_len]).into_owned();
                let id = &body[2 + topic_len..4 + topic_len];
                stream.write_all(&[0x40, 2, id[0], id[1]])?;
                let payload = serde_json::from_slice(&body[4 + topic_len..]).unwrap_or_default();
                if topic == SHADOW && !std::mem::replace(&mut asked, true) {
                    let delta = br#"{"state":{"interval_secs":2},"version":3,"timestamp":1}"#;
                    let topic = format!("{SHADOW}/delta");
                    let mut packet = vec![0x30, (2 + topic.len() + delta.len()) as u8, 0, topic.len() as u8];
                    packet.extend(topic.as_bytes());
                    packet.extend(delta);
                    stream.write_all(&packet)?;
                }
                if told.send((topic, payload)).is_err() {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
        stream.flush()?;
    }
}

fn read_packet(stream: &mut Stream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let kind = byte[0];
    let (mut len, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

/// A board with an identity of this authority, a clock and an interval of 1 s.
fn installed(authority: &Authority, port: u16) -> (Bench, Link) {
    let bench = Bench::with(|options| {
        options.network = ImitatedNetwork::Reachable;
        flash_file(options, "1.0.0");
    });
    let mut link = Link::new(bench.open());
    let subject = Subject { common_name: "truckSensor01".into(), organizational_unit: "job-1".into() };
    let Ok(Response::Csr(csr)) = link.ask(1, Request::MakeKey(subject)) else { panic!("no CSR") };
    let Ok(Response::Settings(mut settings)) = link.ask(2, Request::ReadSettings) else { panic!("no settings") };
    settings.interval_secs = 1;
    link.ask(3, Request::SetSettings(settings)).unwrap();
    let install = Install {
        thing_name: "truckSensor01".into(),
        certificate_pem: authority.sign(&csr),
        ca_pem: authority.certificate.pem(),
        endpoint: "localhost".into(),
        port,
        readings_topic: READINGS.into(),
        network: Network::WiFi { ssid: "depot".into(), passphrase: String::new() },
        host_key_pem: None,
    };
    let unix_millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    link.ask(5, Request::SetClock { unix_millis }).unwrap();
    let Ok(Response::Identity(identity)) = link.ask(4, Request::Install(install)) else { panic!("not installed") };
    assert_eq!(identity.thing_name, "truckSensor01");
    (bench, link)
}

/// The readings that came over the line meanwhile.
fn readings(link: &mut Link) -> Vec<serde_json::Value> {
    let arrived = link.read().into_iter().filter(|(channel, _)| *channel == Channel::Reading);
    arrived.map(|(_, payload)| serde_json::from_slice(&payload).unwrap()).collect()
}

#[test]
fn readings_made_without_a_session_are_published_later_in_order_and_marked() {
    let authority = Authority::new();
    // Nobody answers: the board's connection waits in the listener's queue.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (bench, mut link) = installed(&authority, listener.local_addr().unwrap().port());
    let begun = Instant::now();
    let mut without_a_session = Vec::new();
    while without_a_session.len() < 4 {
        assert!(begun.elapsed() < PATIENCE, "{without_a_session:?}");
        let dated = readings(&mut link).into_iter().filter(|one| one["time"].is_string() && one["thing"].is_string());
        without_a_session.extend(dated);
    }

    let (told, heard) = mpsc::channel();
    let config = authority.server_config();
    let server = thread::spawn(move || while serve(&listener, config.clone(), &told).is_err() {});
    let (mut late, mut live) = (Vec::<serde_json::Value>::new(), Vec::<serde_json::Value>::new());
    let begun = Instant::now();
    // The first may have come over the line while the test waited for an answer.
    let has = |late: &[serde_json::Value], one: &serde_json::Value| late.iter().any(|late| late["seq"] == one["seq"]);
    while !without_a_session.iter().all(|one| has(&late, one)) || live.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{late:?} {:?}", bench.board.control().network());
        link.read();
        for (_, payload) in heard.try_iter().filter(|(topic, _)| topic == READINGS) {
            published(&payload);
            if payload["late"] == true { late.push(payload) } else { live.push(payload) }
        }
    }
    assert!(late.is_sorted_by_key(|one| one["seq"].as_u64().unwrap()), "{late:?}");
    for late in &mut late {
        late.as_object_mut().unwrap().remove("late");
    }
    assert!(without_a_session.iter().all(|one| late.contains(one)), "{late:?}");
    assert!(live.iter().all(|one| one["late"].is_null()));
    drop(link);
    bench.board.stop();
    server.join().unwrap();
}

#[test]
fn an_installed_board_publishes_the_readings_it_sends_over_the_line_and_follows_its_shadow() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = mpsc::channel();
    let config = authority.server_config();
    let server = thread::spawn(move || serve(&listener, config, &told));

    let (bench, mut link) = installed(&authority, port);

    let mut over_the_line = Vec::new();
    let (mut shared_reading, mut interval_applied) = (false, false);
    let begun = Instant::now();
    while !(shared_reading && interval_applied) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", bench.board.control().network());
        over_the_line.extend(readings(&mut link));
        for (topic, payload) in heard.try_iter() {
            if topic == READINGS {
                published(&payload);
                shared_reading |= over_the_line.contains(&payload);
            } else if topic == SHADOW {
                interval_applied |= payload["state"]["reported"]["interval_secs"] == 2;
            }
        }
    }
    assert_eq!(bench.board.control().network(), NetworkState::Up);
    drop(link);
    bench.board.stop();
    server.join().unwrap().unwrap();
}

fn published(reading: &serde_json::Value) {
    assert_eq!(reading["thing"], "truckSensor01");
    assert!(reading["time"].is_string(), "{reading}");
}
