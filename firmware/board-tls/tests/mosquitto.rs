//! The board's TLS line and the board's session on it, against mosquitto, a broker nobody here wrote: what is right
//! works, and every wrong thing has an error of its own. mosquitto and openssl must be installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod peers;

use std::cell::RefCell;
use std::future::pending;
use std::time::Instant;

use board_tls::{Newest, Tls, TlsError};
use coldbench_sensor::identity::Connection;
use coldbench_sensor::session::{
    CertificateRefusal, Event, Kind, Limits, Outbox, Outcome, Session, SessionConfig, SessionError,
};
use peers::{Authority, BrokerKind, HOST, Mosquitto, PATIENCE, TokioClock, line, now_unix_millis};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;
use zeroize::Zeroizing;

const TLS13: &str = "TLSv1.3";
const TLS12: &str = "TLSv1.2";

/// The library is one in a program, so one test at a time has it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The one library of this program.
fn tls() -> Tls {
    Tls::start(Zeroizing::new([7; 32])).expect("one test at a time has the library")
}

fn good<'a>(server_ca: &'a Authority, newest_tls: &'a str) -> BrokerKind<'a> {
    BrokerKind { server_ca, name: HOST, days_later: 0, newest_tls, revokes: false }
}

/// One session with one reading; it ends when the broker has the reading, or by its error.
async fn send_one_reading(tls: &Tls, board: &Connection, broker: &Mosquitto) -> Result<(bool, Outcome), TlsError> {
    let clock = TokioClock::start();
    let mut stream = tls.connect(broker.line().await, board, now_unix_millis(), Newest::Tls13, &clock).await?;
    let is_tls13 = stream.is_tls13();
    let config = SessionConfig::new(board.thing_name.as_str(), board.readings_topic.as_str());
    let mut outbox = Outbox::new(Limits { readings: 4, reports: 4 });
    // Longer than what one record of the board takes.
    outbox.push_reading("x".repeat(8 * 1024)).unwrap();
    let (outbox, stop) = (RefCell::new(outbox), Notify::new());
    let session = Session { config: &config, clock: &clock, outbox: &outbox };
    let outcome = session
        .run(&mut stream, stop.notified(), |event| {
            if event == Event::Acknowledged(Kind::Reading) {
                stop.notify_one();
            }
        })
        .await;
    if outcome.end.is_ok() {
        stream.close().await?;
    }
    Ok((is_tls13, outcome))
}

async fn sends_a_reading(server_ca: &Authority, newest_tls: &str, expect_tls13: bool) {
    let _one = ONE_AT_A_TIME.lock().await;
    let board_ca = Authority::new();
    let broker = Mosquitto::start(&board_ca, good(server_ca, newest_tls)).await;
    let tls = tls();
    let board = board_ca.board(server_ca);
    let sent = timeout(PATIENCE, send_one_reading(&tls, &board, &broker));
    let (is_tls13, outcome) = sent.await.unwrap().unwrap();
    assert_eq!(outcome, Outcome { end: Ok(()), was_online: true, acknowledged: 1, ignored: 0 });
    assert_eq!(is_tls13, expect_tls13);
}

#[tokio::test]
async fn a_session_runs_over_tls_13() {
    sends_a_reading(&Authority::new(), TLS13, true).await;
}

#[tokio::test]
async fn a_session_runs_over_tls_12() {
    sends_a_reading(&Authority::new(), TLS12, false).await;
}

#[tokio::test]
async fn a_session_runs_with_a_server_of_rsa() {
    let server_ca = Authority::of_rsa();
    sends_a_reading(&server_ca, TLS13, true).await;
    sends_a_reading(&server_ca, TLS12, false).await;
}

/// What becomes of a connection to this broker.
async fn refusal(board: impl FnOnce(&Authority) -> Connection, kind: BrokerKind<'_>) -> TlsError {
    let _one = ONE_AT_A_TIME.lock().await;
    let board_ca = Authority::new();
    let broker = Mosquitto::start(&board_ca, kind).await;
    let tls = tls();
    let board = board(&board_ca);
    let connecting = async {
        let clock = TokioClock::start();
        tls.connect(broker.line().await, &board, now_unix_millis(), Newest::Tls13, &clock).await.map(drop)
    };
    timeout(PATIENCE, connecting).await.unwrap().expect_err("the board does not connect")
}

#[tokio::test]
async fn a_server_of_another_ca_is_not_trusted() {
    let (server_ca, other_ca) = (Authority::new(), Authority::new());
    for newest_tls in [TLS13, TLS12] {
        let error = refusal(|board_ca| board_ca.board(&other_ca), good(&server_ca, newest_tls)).await;
        assert_eq!(error, TlsError::UnknownIssuer, "{newest_tls}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_has_run_out_is_not_trusted() {
    let server_ca = Authority::new();
    for newest_tls in [TLS13, TLS12] {
        let kind = BrokerKind { days_later: -30, ..good(&server_ca, newest_tls) };
        assert_eq!(refusal(|board_ca| board_ca.board(&server_ca), kind).await, TlsError::Expired, "{newest_tls}");
    }
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_valid_yet_is_not_trusted() {
    let server_ca = Authority::new();
    for newest_tls in [TLS13, TLS12] {
        let kind = BrokerKind { days_later: 30, ..good(&server_ca, newest_tls) };
        assert_eq!(refusal(|board_ca| board_ca.board(&server_ca), kind).await, TlsError::NotYetValid, "{newest_tls}");
    }
}

#[tokio::test]
async fn a_server_of_another_name_is_not_trusted() {
    let server_ca = Authority::new();
    for newest_tls in [TLS13, TLS12] {
        let kind = BrokerKind { name: "other.depot.example", ..good(&server_ca, newest_tls) };
        assert_eq!(refusal(|board_ca| board_ca.board(&server_ca), kind).await, TlsError::WrongHostName, "{newest_tls}");
    }
}

#[tokio::test]
async fn tls_12_says_why_the_server_does_not_take_the_boards_certificate() {
    let server_ca = Authority::new();
    let stranger_ca = Authority::new();
    let good = good(&server_ca, TLS12);
    let revoking = BrokerKind { revokes: true, ..good };
    for (error, why) in [
        (refusal(|_| stranger_ca.board(&server_ca), good).await, CertificateRefusal::UnknownIssuer),
        (refusal(|board_ca| board_ca.board_of_another_day(&server_ca, -30), good).await, CertificateRefusal::Expired),
        (refusal(|board_ca| board_ca.board(&server_ca), revoking).await, CertificateRefusal::Revoked),
    ] {
        assert_eq!(error, TlsError::Refused(why));
    }
}

/// In TLS 1.3 the board's side of the handshake is over before the server has seen the board's certificate, and the
/// reason is encrypted. The board asks again in TLS 1.2.
#[tokio::test]
async fn the_reason_that_tls_13_hides_is_asked_for_in_tls_12() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (server_ca, board_ca, stranger_ca) = (Authority::new(), Authority::new(), Authority::new());
    let good = good(&server_ca, TLS13);
    let revoking = BrokerKind { revokes: true, ..good };
    for (board, kind, why) in [
        (stranger_ca.board(&server_ca), good, CertificateRefusal::UnknownIssuer),
        (board_ca.board_of_another_day(&server_ca, -30), good, CertificateRefusal::Expired),
        (board_ca.board(&server_ca), revoking, CertificateRefusal::Revoked),
    ] {
        let broker = Mosquitto::start(&board_ca, kind).await;
        let tls = tls();
        match timeout(PATIENCE, send_one_reading(&tls, &board, &broker)).await.unwrap() {
            Err(error) => assert_eq!(error, TlsError::Refused(CertificateRefusal::Unread)),
            Ok((_, outcome)) => assert_eq!(outcome.end, Err(SessionError::CertificateRefused)),
        }
        let again = Newest::Tls13.after(true);
        let clock = TokioClock::start();
        let asking = tls.connect(broker.line().await, &board, now_unix_millis(), again, &clock);
        let refused = timeout(PATIENCE, asking).await.unwrap().err();
        assert_eq!(refused, Some(TlsError::Refused(why)));
    }
}

#[test]
fn tls_12_is_offered_once_and_only_to_hear_a_reason() {
    assert_eq!(Newest::Tls13.after(false), Newest::Tls13);
    assert_eq!(Newest::Tls13.after(true), Newest::Tls12);
    assert_eq!(Newest::Tls12.after(false), Newest::Tls13);
    assert_eq!(Newest::Tls12.after(true), Newest::Tls13);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_of_the_boards_is_named() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let talk = |mut stream: tokio::net::TcpStream| async move {
        stream.read_u8().await.unwrap();
        // A fatal alert: protocol version.
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).await.unwrap();
        pending().await
    };
    assert_eq!(with_peer(talk, TokioClock::start()).await, TlsError::Alert(70));
}

#[tokio::test]
async fn without_the_time_there_is_no_connection() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (board_ca, server_ca) = (Authority::new(), Authority::new());
    let broker = Mosquitto::start(&board_ca, good(&server_ca, TLS13)).await;
    let tls = tls();
    let refused =
        tls.connect(broker.line().await, &board_ca.board(&server_ca), None, Newest::Tls13, &TokioClock::start()).await;
    assert_eq!(refused.err(), Some(TlsError::ClockNotSet));
}

#[tokio::test]
async fn an_identity_that_cannot_be_used_is_named() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (board_ca, server_ca) = (Authority::new(), Authority::new());
    let broker = Mosquitto::start(&board_ca, good(&server_ca, TLS13)).await;
    let tls = tls();
    let good = board_ca.board(&server_ca);
    for (board, part) in [
        (Connection { ca_der: vec![vec![1, 2, 3]], ..good.clone() }, "CA"),
        (Connection { certificate_chain_der: vec![], ..good.clone() }, "certificate"),
        (Connection { key_pkcs8_der: Default::default(), ..good.clone() }, "key"),
    ] {
        let refused =
            tls.connect(broker.line().await, &board, now_unix_millis(), Newest::Tls13, &TokioClock::start()).await;
        assert_eq!(refused.err(), Some(TlsError::Identity(part)));
    }
}

/// What becomes of a connection to a peer that does this with it.
async fn with_peer<F: Future<Output = ()>>(
    act: impl FnOnce(tokio::net::TcpStream) -> F,
    clock: TokioClock,
) -> TlsError {
    with_peer_on(8883, act, clock).await
}

/// The same for a board that was told another port of its broker.
async fn with_peer_on<F: Future<Output = ()>>(
    told: u16,
    act: impl FnOnce(tokio::net::TcpStream) -> F,
    clock: TokioClock,
) -> TlsError {
    let _one = ONE_AT_A_TIME.lock().await;
    let (board_ca, server_ca) = (Authority::new(), Authority::new());
    let tls = tls();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let board = Connection { port: told, ..board_ca.board(&server_ca) };
    let connecting =
        async { tls.connect(line(port).await, &board, now_unix_millis(), Newest::Tls13, &clock).await.map(drop) };
    let peer = async {
        act(listener.accept().await.unwrap().0).await;
        pending::<()>().await
    };
    tokio::select! {
        outcome = timeout(PATIENCE, connecting) => outcome.unwrap().expect_err("the board does not connect"),
        () = peer => unreachable!("the peer does not end"),
    }
}

#[tokio::test]
async fn a_server_that_closes_the_line_is_named() {
    let error = with_peer(|stream| async { drop(stream) }, TokioClock::start()).await;
    assert_eq!(error, TlsError::Closed);
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_named() {
    use tokio::io::AsyncWriteExt as _;
    let talk = |mut stream: tokio::net::TcpStream| async move {
        stream.write_all(b"220 mail.depot.example ESMTP\r\n").await.unwrap();
        pending().await
    };
    let error = with_peer(talk, TokioClock::start()).await;
    assert!(matches!(error, TlsError::Handshake(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let keep = |stream: tokio::net::TcpStream| async move {
        let _open = stream;
        pending().await
    };
    // Thirty seconds pass in three tenths of one.
    let error = with_peer(keep, TokioClock(Instant::now(), 100)).await;
    assert_eq!(error, TlsError::TimedOut);
}

/// On the port of HTTPS the broker of AWS knows by this name (ALPN) that MQTT is meant.
#[tokio::test]
async fn the_board_names_mqtt_on_the_port_of_https_and_nothing_elsewhere() {
    use tokio::io::AsyncReadExt as _;
    const NAME: &[u8] = b"\x0ex-amzn-mqtt-ca";
    for (port, is_named) in [(443, true), (8883, false)] {
        let named = Mutex::new(None);
        let look = |mut stream: tokio::net::TcpStream| {
            let named = &named;
            async move {
                // The hello is one record, which begins with its type, version and length.
                let mut header = [0; 5];
                stream.read_exact(&mut header).await.unwrap();
                let [_, _, _, high, low] = header;
                let mut hello = vec![0; usize::from(u16::from_be_bytes([high, low]))];
                stream.read_exact(&mut hello).await.unwrap();
                *named.lock().await = Some(hello.windows(NAME.len()).any(|part| part == NAME));
            }
        };
        assert_eq!(with_peer_on(port, look, TokioClock::start()).await, TlsError::Closed);
        assert_eq!(named.into_inner(), Some(is_named), "port {port}");
    }
}
