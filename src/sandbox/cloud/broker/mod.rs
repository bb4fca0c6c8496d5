//! The MQTT 3.1.1 broker: mutual TLS, identity by certificate id, every packet held to the policies.

mod hub;
mod session;
mod topic;

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(super) use hub::{Hub, Identity};
pub(super) use session::session;

use super::authority::{Authority, certificate_id};
use super::{CloudError, told_to_stop};

/// The longest a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(30);

/// The broker's side of TLS: its own certificate, and clients signed by the authority only.
pub(super) fn tls_acceptor(authority: &Authority, now: OffsetDateTime) -> Result<TlsAcceptor, CloudError> {
    let tls = |error: &dyn std::error::Error| CloudError::Tls(error.to_string());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).map_err(|error| tls(&error))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| tls(&error))?;
    let (chain, key) = authority.server_identity(now)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| tls(&error))?;
    config.alpn_protocols = vec![b"x-amzn-mqtt-ca".to_vec(), b"mqtt".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until told to stop.
pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, hub: Arc<Hub>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, tls.clone(), hub.clone()));
                }
                // Out of descriptors: let connections end before trying again.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = told_to_stop(&mut stopped) => return,
        }
    }
}

async fn serve_connection(stream: TcpStream, tls: TlsAcceptor, hub: Arc<Hub>) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await else {
        return;
    };
    let Some(certificate) = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()) else {
        return;
    };
    let identity = Identity::Certificate(certificate_id(certificate));
    session(stream, identity, hub).await;
}
