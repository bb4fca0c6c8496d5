//! The imitated board's line to its broker: TLS with the installed identity, over the depot's network or through the
//! computer that the board is plugged into.
//!
//! What stands in the way of TLS has the same names as on the chip (`firmware/board-tls`).

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use coldbench_protocol::Network;
use coldbench_sensor::{
    identity::Connection,
    relay::{Relay, RelayError, RelayStream},
    session::CertificateRefusal,
    shared::Shared as _,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        CertificateError, ClientConfig, Error, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    },
};

use super::ImitatedNetwork;

/// How long connecting and the TLS handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How the board reaches its broker.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// Over the depot's network.
    Direct,
    /// Through the computer, while it offers that.
    Relayed(&'a Mutex<Relay>),
}

impl<'a> Way<'a> {
    /// The board's own network where it was given one and it is there, else the computer.
    pub(super) fn of(network: ImitatedNetwork, connection: &Connection, relay: &'a Mutex<Relay>) -> Self {
        match (network, &connection.network) {
            (ImitatedNetwork::Reachable, Network::WiFi { .. }) => Way::Direct,
            (ImitatedNetwork::None, _) | (_, Network::None) => Way::Relayed(relay),
        }
    }

    /// Waits until there is a way at all.
    pub(super) async fn is_there(self) {
        if let Way::Relayed(relay) = self {
            poll_fn(|context| relay.with(|relay| relay.poll_offered(context))).await;
        }
    }
}

/// An open line.
pub(super) enum Line<'a> {
    Direct(TlsLine<TcpStream>),
    Relayed(TlsLine<RelayIo<'a>>),
}

/// Why there is no line.
#[derive(Debug)]
pub(super) enum UplinkError {
    /// The broker cannot be reached.
    Network(io::Error),
    /// The computer does not carry the line.
    Relay(RelayError),
    /// Board and broker do not trust each other, or do not understand each other.
    Tls(TlsError),
    /// It took too long.
    TimedOut,
}

impl fmt::Display for UplinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UplinkError::Network(error) => write!(f, "no connection: {error}"),
            UplinkError::Relay(error) => write!(f, "no connection: {error}"),
            UplinkError::Tls(error) => write!(f, "no TLS: {error}"),
            UplinkError::TimedOut => f.write_str("the broker did not answer in time"),
        }
    }
}

/// Why there is no TLS line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The installed certificate, key, CA or host name cannot be used; the text says more.
    #[error("the installed identity cannot be used: {0}")]
    Identity(String),
    /// The server's certificate does not come from the installed CA.
    #[error("the broker's certificate does not come from the installed CA")]
    UnknownIssuer,
    /// The server's certificate has run out.
    #[error("the broker's certificate has run out")]
    Expired,
    /// The server's certificate is not valid yet.
    #[error("the broker's certificate is not valid yet")]
    NotYetValid,
    /// The server's certificate is for another host name.
    #[error("the broker's certificate is for another host name")]
    WrongHostName,
    /// The server ended the handshake with an alert: it does not take the board's certificate.
    #[error("{0}")]
    Refused(CertificateRefusal),
    /// The server does not speak TLS as the board does, or its certificate fails for another reason.
    #[error("the TLS handshake broke off: {0}")]
    Handshake(String),
    /// The line failed, or the other side closed it.
    #[error("the line to the broker failed: {0}")]
    Line(String),
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        match tls_cause(&error) {
            None => TlsError::Line(error.to_string()),
            Some(Error::AlertReceived(alert)) => CertificateRefusal::of_alert(u8::from(*alert))
                .map_or_else(|| TlsError::Handshake(format!("{alert:?}")), TlsError::Refused),
            Some(Error::InvalidCertificate(cause)) => match cause {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::UnknownIssuer,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsError::NotYetValid,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsError::WrongHostName
                }
                other => TlsError::Handshake(other.to_string()),
            },
            Some(other) => TlsError::Handshake(other.to_string()),
        }
    }
}

fn tls_cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Opens the line.
pub(super) async fn open<'a>(connection: &Connection, way: Way<'a>) -> Result<Line<'a>, UplinkError> {
    let (host, port) = (connection.endpoint.as_str(), connection.port);
    let opening = async {
        match way {
            Way::Direct => {
                let stream = TcpStream::connect((host, port)).await.map_err(UplinkError::Network)?;
                TlsLine::over(stream, connection).await.map(Line::Direct).map_err(UplinkError::Tls)
            }
            Way::Relayed(relay) => {
                let stream = RelayStream::open(relay, host, port).await.map_err(UplinkError::Relay)?;
                TlsLine::over(RelayIo(stream), connection).await.map(Line::Relayed).map_err(UplinkError::Tls)
            }
        }
    };
    timeout(CONNECT_TIMEOUT, opening).await.unwrap_or(Err(UplinkError::TimedOut))
}

/// A TLS line to the broker, which fails as that on the chip does: a refusal that comes after the handshake, as TLS 1.3
/// has it, shows as "permission denied", and a line that is cut without a farewell as "connection reset".
pub struct TlsLine<S>(TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsLine<S> {
    /// Mutual TLS over an open line. There is no time limit here.
    ///
    /// # Errors
    /// The identity cannot be used, either side does not trust the other, or the line fails.
    pub async fn over(stream: S, connection: &Connection) -> Result<Self, TlsError> {
        let name = ServerName::try_from(connection.endpoint.clone())
            .map_err(|_| TlsError::Identity(format!("{} is no host name", connection.endpoint)))?;
        let connector = TlsConnector::from(Arc::new(tls_config(connection)?));
        Ok(TlsLine(connector.connect(name, stream).await?))
    }
}

fn tls_config(connection: &Connection) -> Result<ClientConfig, TlsError> {
    let unusable = |error: Error| TlsError::Identity(error.to_string());
    let mut roots = RootCertStore::empty();
    for ca in &connection.ca_der {
        roots.add(CertificateDer::from(ca.clone())).map_err(unusable)?;
    }
    let chain = connection.certificate_chain_der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivatePkcs8KeyDer::from(connection.key_pkcs8_der.to_vec());
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key.into())
        .map_err(unusable)?;
    config.alpn_protocols = connection.application_protocols().iter().map(|name| name.to_bytes().to_vec()).collect();
    Ok(config)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsLine<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer).map_err(as_on_the_chip)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsLine<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes).map_err(as_on_the_chip)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context).map_err(as_on_the_chip)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

fn as_on_the_chip(error: io::Error) -> io::Error {
    match tls_cause(&error) {
        Some(Error::AlertReceived(_)) => io::Error::new(io::ErrorKind::PermissionDenied, error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::ConnectionReset, error),
        _ => error,
    }
}

/// A line through the computer as tokio sees it.
pub(super) struct RelayIo<'a>(RelayStream<'a, Mutex<Relay>>);

impl AsyncRead for RelayIo<'_> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.0.poll_read(context, buffer.initialize_unfilled());
        read.map_ok(|len| buffer.advance(len)).map_err(io_error)
    }
}

impl AsyncWrite for RelayIo<'_> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, bytes).map_err(io_error)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(context).map_err(io_error)
    }

    /// The tunnel knows no half-closed line: it is closed when it is dropped.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

fn io_error(error: RelayError) -> io::Error {
    let kind = match error {
        RelayError::Withdrawn => io::ErrorKind::ConnectionAborted,
        RelayError::Closed => io::ErrorKind::BrokenPipe,
        RelayError::Broken => io::ErrorKind::InvalidData,
        RelayError::NotOffered | RelayError::Busy | RelayError::HostTooLong | RelayError::Refused(_) => {
            io::ErrorKind::NotConnected
        }
    };
    io::Error::new(kind, error)
}
