//! Key, certificate signing request and installed certificate.

use alloc::{string::String, vec::Vec};

use coldbench_protocol::Network;
use zeroize::Zeroizing;

/// What an MQTT session needs. It has no `Debug`, because it holds the key.
#[derive(Clone)]
pub struct Connection {
    /// Name of the thing; also the MQTT client id.
    pub thing_name: String,
    /// Host name of the broker, for DNS, SNI and certificate check.
    pub endpoint: String,
    /// TCP port of the broker.
    pub port: u16,
    /// Topic of the readings.
    pub readings_topic: String,
    /// How the board reaches the broker.
    pub network: Network,
    /// Device certificate first, then what stands between it and its CA, each as DER.
    pub certificate_chain_der: Vec<Vec<u8>>,
    /// CAs that the broker's certificate is checked against, each as DER.
    pub ca_der: Vec<Vec<u8>>,
    /// Private key, as PKCS#8 DER. Wiped when dropped.
    pub key_pkcs8_der: Zeroizing<Vec<u8>>,
}
