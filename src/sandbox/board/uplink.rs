//! The imitated board's line to its broker: TLS with the installed identity, over the depot's network or through the
//! computer that the board is plugged into.

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
        ClientConfig, RootCertStore,
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
    Direct(TlsStream<TcpStream>),
    Relayed(TlsStream<RelayIo<'a>>),
}

/// Why there is no line.
#[derive(Debug)]
pub(super) enum UplinkError {
    /// The identity cannot be used.
    Identity(String),
    /// The broker cannot be reached.
    Network(io::Error),
    /// The computer does not carry the line.
    Relay(RelayError),
    /// Board and broker do not trust each other, or the handshake broke off.
    Tls(io::Error),
    /// It took too long.
    TimedOut,
}

impl fmt::Display for UplinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UplinkError::Identity(why) => write!(f, "the installed identity is unusable: {why}"),
            UplinkError::Network(error) => write!(f, "no connection: {error}"),
            UplinkError::Relay(error) => write!(f, "no connection: {error}"),
            UplinkError::Tls(error) => write!(f, "no TLS: {error}"),
            UplinkError::TimedOut => f.write_str("the broker did not answer in time"),
        }
    }
}

/// Opens the line.
pub(super) async fn open<'a>(connection: &Connection, way: Way<'a>) -> Result<Line<'a>, UplinkError> {
    let (host, port) = (connection.endpoint.as_str(), connection.port);
    let connector = TlsConnector::from(Arc::new(tls_config(connection)?));
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| UplinkError::Identity(format!("{host} is no name")))?;
    let opening = async {
        match way {
            Way::Direct => {
                let stream = TcpStream::connect((host, port)).await.map_err(UplinkError::Network)?;
                connector.connect(name, stream).await.map(Line::Direct).map_err(UplinkError::Tls)
            }
            Way::Relayed(relay) => {
                let stream = RelayStream::open(relay, host, port).await.map_err(UplinkError::Relay)?;
                connector.connect(name, RelayIo(stream)).await.map(Line::Relayed).map_err(UplinkError::Tls)
            }
        }
    };
    timeout(CONNECT_TIMEOUT, opening).await.unwrap_or(Err(UplinkError::TimedOut))
}

fn tls_config(connection: &Connection) -> Result<ClientConfig, UplinkError> {
    let unusable = |error: tokio_rustls::rustls::Error| UplinkError::Identity(error.to_string());
    let mut roots = RootCertStore::empty();
    for ca in &connection.ca_der {
        roots.add(CertificateDer::from(ca.clone())).map_err(unusable)?;
    }
    let chain = connection.certificate_chain_der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let key = PrivatePkcs8KeyDer::from(connection.key_pkcs8_der.to_vec());
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key.into())
        .map_err(unusable)
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
