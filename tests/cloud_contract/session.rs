//! A board's TLS and MQTT session, as the imitated board runs it, on the brokers of the stand-ins.

use std::{cell::RefCell, fs};

use coldbench::{
    adapters::host_key::HostKey,
    domain::{Subject, thing::NewPolicy},
    ports::cloud::Cloud,
    sandbox::board::{TlsError, TlsLine},
};
use coldbench_protocol::Network;
use coldbench_sensor::{
    identity::Connection,
    session::{Event, Kind, Limits, Outbox, Outcome, Session, SessionConfig, SessionError},
};
use embedded_io_adapters::tokio_1::FromTokio;
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::Acceptor,
};
use tokio::{net::TcpStream, sync::Notify, time::timeout};
use tokio_rustls::LazyConfigAcceptor;

use crate::{
    StandIn, new_job,
    peers::{Authority, PATIENCE, TokioClock},
    registry::thing,
};

/// The policy that is shipped for boards.
const POLICY: &str = include_str!("../../assets/cloud/truck-policy.json");
const TOPIC: &str = "dt/contract/contract-session/readings";

/// Sends one reading over an open line; ends when the broker has it, or by the session's error.
pub async fn send_one_reading(line: TlsLine<TcpStream>, board: &Connection) -> Outcome {
    let config = SessionConfig::new(board.thing_name.as_str(), board.readings_topic.as_str()).with_last_will();
    let clock = TokioClock::start();
    let mut outbox = Outbox::new(Limits { readings: 4, reports: 4 });
    outbox.push_reading(r#"{"v":1,"seq":1}"#).unwrap();
    let (outbox, stop) = (RefCell::new(outbox), Notify::new());
    let session = Session { config: &config, clock: &clock, outbox: &outbox };
    let mut line = FromTokio::new(line);
    let running = session.run(&mut line, stop.notified(), |event| {
        if event == Event::Acknowledged(Kind::Reading) {
            stop.notify_one();
        }
    });
    timeout(PATIENCE, running).await.expect("the session ends")
}

/// The good case, and what is refused: a broker of another CA, one of another name, a certificate that is not active,
/// and a thing that the certificate is not for.
pub async fn passes_and_is_refused(stand_in: &StandIn) {
    let cloud = stand_in.cloud().await;
    let job = new_job();
    let wanted = thing("contract-session", &job);
    let account = cloud.login().await.unwrap().account;
    let document = POLICY
        .replace("${account}", &account)
        .replace("${region}", &stand_in.site.region)
        .replace("${readings_topic}", TOPIC);
    let policy = NewPolicy { name: "contract-session".parse().unwrap(), document, job: job.clone() };
    cloud.create_thing(&wanted).await.unwrap();
    cloud.ensure_policy(&policy).await.unwrap();
    let subject = Subject { common_name: wanted.name.to_string(), organizational_unit: job.organizational_unit() };
    let key = HostKey::generate().unwrap();
    let certificate = cloud.create_certificate(&key.csr_pem(&subject).unwrap()).await.unwrap();
    cloud.attach_policy(&policy.name, &certificate.arn).await.unwrap();
    cloud.attach_principal(&wanted.name, &certificate.arn).await.unwrap();

    let (site, der) = (&stand_in.site, |pem: &[u8]| CertificateDer::from_pem_slice(pem).unwrap().to_vec());
    let board = Connection {
        thing_name: wanted.name.to_string(),
        endpoint: site.iot_endpoint.clone().unwrap(),
        port: site.iot_port.unwrap(),
        readings_topic: TOPIC.into(),
        network: Network::None,
        certificate_chain_der: vec![der(certificate.pem.as_bytes())],
        ca_der: vec![der(&fs::read(site.ca_file.as_ref().unwrap()).unwrap())],
        key_pkcs8_der: PrivateKeyDer::from_pem_slice(key.private_key_pem().as_bytes())
            .unwrap()
            .secret_der()
            .to_vec()
            .into(),
    };
    let passed = send_one_reading(line(&board).await.unwrap(), &board).await;
    assert_eq!((passed.end, passed.was_online, passed.acknowledged), (Ok(()), true, 1));

    let other_ca = Authority::new().board(&Authority::new()).ca_der;
    let refused = line(&Connection { ca_der: other_ca, ..board.clone() }).await.err();
    assert_eq!(refused, Some(TlsError::UnknownIssuer));
    let refused = line(&Connection { endpoint: "other.depot.example".into(), ..board.clone() }).await.err();
    assert_eq!(refused, Some(TlsError::WrongHostName));

    let stranger = Connection { thing_name: "contract-nobody".into(), ..board.clone() };
    is_not_let_in(&stranger).await;
    cloud.set_active(&certificate.id, false).await.unwrap();
    is_not_let_in(&board).await;

    cloud.detach_policy(&policy.name, &certificate.arn).await.unwrap();
    cloud.detach_principal(&wanted.name, &certificate.arn).await.unwrap();
    cloud.delete_certificate(&certificate.id).await.unwrap();
    cloud.delete_policy(&policy.name).await.unwrap();
    cloud.delete_thing(&wanted.name).await.unwrap();
}

/// A line to the broker on this machine, whatever name the board was given for it.
async fn line(board: &Connection) -> Result<TlsLine<TcpStream>, TlsError> {
    let stream = TcpStream::connect(("localhost", board.port)).await.unwrap();
    timeout(PATIENCE, TlsLine::over(stream, board)).await.expect("the handshake ends")
}

/// TLS stands, since the certificate comes from the right CA; the broker ends the session before it has begun.
async fn is_not_let_in(board: &Connection) {
    let outcome = send_one_reading(line(board).await.unwrap(), board).await;
    assert_eq!(outcome.end, Err(SessionError::NotAdmitted));
    assert!(!outcome.was_online);
}

/// On the port of HTTPS the broker of AWS knows by this name that MQTT is meant.
#[tokio::test]
async fn a_board_names_mqtt_on_the_port_of_https_and_nothing_elsewhere() {
    let ca = Authority::new();
    for (port, named) in [(443, Some(b"x-amzn-mqtt-ca".to_vec())), (8883, None)] {
        let board = Connection { port, ..ca.board(&ca) };
        let (line, server_line) = tokio::io::duplex(4096);
        let handshake = tokio::spawn(async move { TlsLine::over(line, &board).await.err() });
        let hello = LazyConfigAcceptor::new(Acceptor::default(), server_line);
        let hello = timeout(PATIENCE, hello).await.expect("the board says hello").unwrap();
        let names: Option<Vec<u8>> = hello.client_hello().alpn().map(|mut names| names.next().unwrap().to_vec());
        assert_eq!(names, named, "port {port}");
        drop(hello);
        assert!(handshake.await.unwrap().is_some(), "the server has gone away");
    }
}
