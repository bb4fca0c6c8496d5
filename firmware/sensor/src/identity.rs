//! Who the board is in the cloud: key, certificate signing request and installed certificate.
//!
//! Each change happens whole or not at all. A new key waits beside the installed identity until its certificate comes; a
//! failed installation leaves the board as it was.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::ffi::CStr;

use coldbench_protocol::{Identity, Install, Network, Refusal, Subject};
use p256::{
    SecretKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey},
};
use sha2::{Digest, Sha256};
use x509_cert::{
    Certificate,
    der::{Decode, Encode},
};
use zeroize::Zeroizing;

use crate::{hardware::Store, kept, pem, request};

/// A random number is a key unless it is 0 or beyond the order of the curve: one in 2³². More tries mean no randomness.
const KEY_TRIES: usize = 4;

/// An installed identity: what an MQTT session needs. It has no `Debug`, because it holds the key.
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

impl Connection {
    /// What to name in the TLS handshake; see [`application_protocols`].
    pub fn application_protocols(&self) -> &'static [&'static CStr] {
        application_protocols(self.port)
    }
}

/// The protocols to name in the TLS handshake (ALPN, RFC 7301) on a port. On 443 AWS IoT Core tells MQTT with
/// certificates from HTTPS by the name; on other ports none is named, because not every broker knows it.
///
/// Source: AWS IoT Core developer guide, "Protocols, port mappings, and authentication".
pub fn application_protocols(port: u16) -> &'static [&'static CStr] {
    if port == 443 { &[c"x-amzn-mqtt-ca"] } else { &[] }
}

/// The keys and the identity that the board holds.
#[derive(Default, Clone)]
pub struct Credentials {
    /// Made, and waiting for its certificate; PKCS#8 DER.
    pending_key: Option<Zeroizing<Vec<u8>>>,
    installed: Option<Connection>,
}

impl Credentials {
    /// What the store holds; empty when there is nothing, or nothing that this firmware can read.
    pub fn load(store: &mut impl Store) -> Self {
        // The identity first: loading it finishes what a loss of power left half done.
        let installed = store.load_identity();
        Credentials { pending_key: store.load_pending_key(), installed }
    }

    /// Makes a key and the request (PEM) for its certificate. An installed identity stays until the new one comes; an
    /// earlier key that still waits is replaced.
    ///
    /// `fill_random` must be fit for keys; a source that gives no usable number is refused.
    ///
    /// # Errors
    /// The subject is out of bounds, there is no randomness, or the store did not take the key.
    pub fn make_key(
        &mut self,
        subject: &Subject,
        store: &mut impl Store,
        fill_random: impl FnMut(&mut [u8]),
    ) -> Result<String, Refusal> {
        let name = request::subject_name(subject)?;
        let key = random_key(fill_random)?;
        let csr_pem = request::csr_pem(name, &key)?;
        let key = pkcs8_der(&key)?;
        store.save_pending_key(&key).map_err(kept::refusal)?;
        if store.load_pending_key().as_ref() != Some(&key) {
            return Err(kept::not_read_back());
        }
        self.pending_key = Some(key);
        Ok(csr_pem)
    }

    /// Keeps an identity in place of the one before.
    ///
    /// # Errors
    /// A value is out of bounds, a certificate cannot be read, there is no key or the certificate is not of this key,
    /// or the store did not take it. The identity before stays.
    pub fn install(&mut self, mut install: Install, store: &mut impl Store) -> Result<Identity, Refusal> {
        let host_key_pem = install.host_key_pem.take().map(Zeroizing::new);
        check_texts(&install)?;
        let certificate_chain_der = certificates(&install.certificate_pem)?;
        let ca_der = certificates(&install.ca_pem)?;
        let key = match &host_key_pem {
            Some(pem) => pkcs8_der(&host_key(pem)?)?,
            None => self.waiting_or_installed_key().ok_or(Refusal::NoKey)?.clone(),
        };
        if certified_key_der(&certificate_chain_der)? != public_key_der(&key).ok_or(Refusal::NoKey)? {
            return Err(Refusal::KeyMismatch);
        }
        let installed = Connection {
            key_pkcs8_der: key,
            thing_name: install.thing_name,
            endpoint: install.endpoint,
            port: install.port,
            readings_topic: install.readings_topic,
            network: install.network,
            certificate_chain_der,
            ca_der,
        };
        // The store reads it back before it counts.
        store.save_identity(&installed).map_err(kept::refusal)?;
        *self = Credentials { pending_key: None, installed: Some(installed) };
        Ok(self.identity())
    }

    /// Forgets keys and identity.
    ///
    /// # Errors
    /// The store did not erase; they may still be there.
    pub fn erase(&mut self, store: &mut impl Store) -> Result<(), Refusal> {
        store.erase_credentials().map_err(kept::refusal)?;
        *self = Credentials::default();
        Ok(())
    }

    /// What the board holds, without any secret. The public key is that of a waiting key, if there is one.
    pub fn identity(&self) -> Identity {
        let public_key_der = self.waiting_or_installed_key().and_then(|key| public_key_der(key));
        let installed = self.installed.as_ref();
        Identity {
            public_key_der,
            certificate_sha256: installed.and_then(|one| one.certificate_chain_der.first()).map(|der| sha256(der)),
            ca_sha256: installed.and_then(|one| one.ca_der.first()).map(|der| sha256(der)),
            thing_name: installed.map(|one| one.thing_name.clone()).unwrap_or_default(),
            endpoint: installed.map(|one| format!("{}:{}", one.endpoint, one.port)).unwrap_or_default(),
        }
    }

    /// Name of the thing; `None` while no identity is installed.
    pub fn thing_name(&self) -> Option<&str> {
        self.installed.as_ref().map(|one| one.thing_name.as_str())
    }

    /// What a session needs; `None` while no identity is installed.
    pub fn connection(&self) -> Option<Connection> {
        self.installed.clone()
    }

    fn waiting_or_installed_key(&self) -> Option<&Zeroizing<Vec<u8>>> {
        self.pending_key.as_ref().or_else(|| self.installed.as_ref().map(|one| &one.key_pkcs8_der))
    }
}

/// PKCS#8 DER of a key.
fn pkcs8_der(key: &SecretKey) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let der = key.to_pkcs8_der().map_err(|_| Refusal::NoKey)?;
    Ok(Zeroizing::new(der.as_bytes().to_vec()))
}

/// Public key as DER `SubjectPublicKeyInfo`.
fn public_key_der(key_pkcs8_der: &[u8]) -> Option<Vec<u8>> {
    let key = SecretKey::from_pkcs8_der(key_pkcs8_der).ok()?;
    Some(key.public_key().to_public_key_der().ok()?.into_vec())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn random_key(mut fill_random: impl FnMut(&mut [u8])) -> Result<SecretKey, Refusal> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    for _ in 0..KEY_TRIES {
        fill_random(&mut *bytes);
        let is_stuck = bytes.iter().all(|byte| Some(byte) == bytes.first());
        if let (false, Ok(key)) = (is_stuck, SecretKey::from_slice(&*bytes)) {
            return Ok(key);
        }
    }
    Err(Refusal::Unsupported("the random number generator gives no random numbers".into()))
}

fn host_key(pem: &str) -> Result<SecretKey, Refusal> {
    SecretKey::from_pkcs8_pem(pem)
        .map_err(|_| Refusal::Invalid("the private key is not a P-256 key in PKCS#8 PEM".into()))
}

/// Every certificate of a PEM text, as DER; at least one, each of them readable.
fn certificates(pem_text: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    let ders = pem::certificates_der(pem_text).ok_or(Refusal::BadCertificate)?;
    let all_readable = ders.iter().all(|der| Certificate::from_der(der).is_ok());
    if all_readable { Ok(ders) } else { Err(Refusal::BadCertificate) }
}

fn certified_key_der(chain_der: &[Vec<u8>]) -> Result<Vec<u8>, Refusal> {
    let der = chain_der.first().ok_or(Refusal::BadCertificate)?;
    let certificate = Certificate::from_der(der).map_err(|_| Refusal::BadCertificate)?;
    certificate.tbs_certificate.subject_public_key_info.to_der().map_err(|_| Refusal::BadCertificate)
}

/// Bounds of AWS IoT for names and topics, and of Wi-Fi for the network.
fn check_texts(install: &Install) -> Result<(), Refusal> {
    let is_name = |text: &str, more: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
    };
    let refuse = |what: &str| Err(Refusal::Invalid(what.to_owned()));
    if install.thing_name.len() > 128 || !is_name(&install.thing_name, &[':', '_', '-']) {
        return refuse("thing name: 1 to 128 letters, digits, ':', '_' or '-'");
    }
    if install.endpoint.len() > 253 || !is_name(&install.endpoint, &['.', '-']) {
        return refuse("endpoint: a host name without protocol and port");
    }
    if install.port == 0 {
        return refuse("port: 1 to 65535");
    }
    let topic = install.readings_topic.as_str();
    let topic_is_plain = !topic.contains(['#', '+']) && !topic.chars().any(char::is_control);
    if topic.is_empty() || topic.len() > 256 || topic.matches('/').count() > 7 || !topic_is_plain {
        return refuse("readings topic: 1 to 256 bytes, at most 7 '/', no '#' or '+'");
    }
    match &install.network {
        Network::WiFi { ssid, .. } if ssid.is_empty() || ssid.len() > 32 => refuse("network name: 1 to 32 bytes"),
        Network::WiFi { passphrase, .. } if !(passphrase.is_empty() || (8..=64).contains(&passphrase.len())) => {
            refuse("network passphrase: 8 to 64 characters, or none for an open network")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
