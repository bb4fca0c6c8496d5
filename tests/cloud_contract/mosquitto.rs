//! The same session on mosquitto, a broker nobody here wrote, with certificates that are wrong in every way. The tests
//! of the chip's TLS (`firmware/board-tls`) ask the same.

use coldbench::sandbox::board::{TlsError, TlsLine};
use coldbench_sensor::{
    identity::Connection,
    session::{CertificateRefusal, Outcome, SessionError},
};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    peers::{Authority, BrokerKind, HOST, Mosquitto, PATIENCE},
    session::send_one_reading,
};

const BOTH: [&str; 2] = ["TLSv1.3", "TLSv1.2"];

async fn connect(broker: &Mosquitto, board: &Connection) -> Result<TlsLine<TcpStream>, TlsError> {
    let stream = broker.line().await.into_inner();
    timeout(PATIENCE, TlsLine::over(stream, board)).await.expect("the handshake ends")
}

/// Why a good board does not connect to a broker that differs like this.
async fn refusal(name: &str, days_later: i64, trusted: Option<&Authority>) -> TlsError {
    let (board_ca, server_ca) = (Authority::new(), Authority::new());
    let mut refusals = Vec::new();
    for newest_tls in BOTH {
        let kind = BrokerKind { server_ca: &server_ca, name, days_later, newest_tls, revokes: false };
        let broker = Mosquitto::start(&board_ca, kind).await;
        let board = board_ca.board(trusted.unwrap_or(&server_ca));
        refusals.push(connect(&broker, &board).await.err().expect("the board does not connect"));
    }
    assert_eq!(refusals[0], refusals[1], "TLS 1.3 and 1.2");
    refusals.remove(0)
}

#[tokio::test]
async fn a_reading_arrives_over_both_versions_of_tls() {
    let (board_ca, server_ca) = (Authority::new(), Authority::new());
    for newest_tls in BOTH {
        let kind = BrokerKind { server_ca: &server_ca, name: HOST, days_later: 0, newest_tls, revokes: false };
        let broker = Mosquitto::start(&board_ca, kind).await;
        let board = board_ca.board(&server_ca);
        let outcome = send_one_reading(connect(&broker, &board).await.unwrap(), &board).await;
        assert_eq!(outcome, Outcome { end: Ok(()), was_online: true, acknowledged: 1, ignored: 0 }, "{newest_tls}");
    }
}

#[tokio::test]
async fn a_broker_that_cannot_be_trusted_is_refused_and_the_reason_named() {
    assert_eq!(refusal(HOST, 0, Some(&Authority::new())).await, TlsError::UnknownIssuer);
    assert_eq!(refusal(HOST, -30, None).await, TlsError::Expired);
    assert_eq!(refusal(HOST, 30, None).await, TlsError::NotYetValid);
    assert_eq!(refusal("other.depot.example", 0, None).await, TlsError::WrongHostName);
}

/// In TLS 1.3 the board's side of the handshake is over before the broker has seen the board's certificate.
#[tokio::test]
async fn a_certificate_that_the_broker_does_not_take_is_named() {
    let (board_ca, server_ca, stranger_ca) = (Authority::new(), Authority::new(), Authority::new());
    for (board, revokes, why) in [
        (stranger_ca.board(&server_ca), false, CertificateRefusal::UnknownIssuer),
        (board_ca.board_of_another_day(&server_ca, -30), false, CertificateRefusal::Expired),
        (board_ca.board(&server_ca), true, CertificateRefusal::Revoked),
    ] {
        for newest_tls in BOTH {
            let kind = BrokerKind { server_ca: &server_ca, name: HOST, days_later: 0, newest_tls, revokes };
            let broker = Mosquitto::start(&board_ca, kind).await;
            match connect(&broker, &board).await {
                Err(error) => assert_eq!(error, TlsError::Refused(why), "{newest_tls}"),
                Ok(line) => {
                    let end = send_one_reading(line, &board).await.end;
                    assert_eq!(end, Err(SessionError::CertificateRefused), "{newest_tls}");
                }
            }
        }
    }
}
