#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::string::ToString;

use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use x509_cert::{
    TbsCertificate,
    der::{DecodePem, EncodePem, asn1::UtcTime, pem::LineEnding},
    request::CertReq,
    serial_number::SerialNumber,
    spki::SubjectPublicKeyInfoOwned,
    time::{Time, Validity},
};

use super::*;
use crate::testing::Memory;

fn random(seed: u8) -> impl FnMut(&mut [u8]) {
    let mut next = seed;
    move |bytes| {
        for byte in bytes {
            next = next.wrapping_mul(29).wrapping_add(17);
            *byte = next;
        }
    }
}

fn subject() -> Subject {
    Subject { common_name: "truckSensor01".into(), organizational_unit: "job-01K".into() }
}

fn at(unix_secs: u64) -> Time {
    Time::UtcTime(UtcTime::from_unix_duration(core::time::Duration::from_secs(unix_secs)).unwrap())
}

/// A certificate for this public key, signed by a CA of these tests.
fn certificate_pem(public_key: SubjectPublicKeyInfoOwned) -> String {
    let ca = random_key(random(99)).unwrap();
    let tbs_certificate = TbsCertificate {
        version: x509_cert::Version::V3,
        serial_number: SerialNumber::new(&[1]).unwrap(),
        signature: request::signature_algorithm(),
        issuer: request::subject_name(&Subject { common_name: "CA".into(), ..subject() }).unwrap(),
        validity: Validity { not_before: at(1_700_000_000), not_after: at(2_000_000_000) },
        subject: request::subject_name(&subject()).unwrap(),
        subject_public_key_info: public_key,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: None,
    };
    let signature = request::sign(&ca, &tbs_certificate.to_der().unwrap()).unwrap();
    Certificate { tbs_certificate, signature_algorithm: request::signature_algorithm(), signature }
        .to_pem(LineEnding::LF)
        .unwrap()
}

fn certificate_for_csr(csr_pem: &str) -> String {
    certificate_pem(CertReq::from_pem(csr_pem).unwrap().info.public_key)
}

fn certificate_for_key(key: &SecretKey) -> String {
    let der = key.public_key().to_public_key_der().unwrap();
    certificate_pem(SubjectPublicKeyInfoOwned::from_der(der.as_bytes()).unwrap())
}

fn install(certificate_pem: String) -> Install {
    Install {
        thing_name: "truckSensor01".into(),
        ca_pem: certificate_pem.clone(),
        certificate_pem,
        endpoint: "abc-ats.iot.eu-central-1.amazonaws.com".into(),
        port: 8883,
        readings_topic: "dt/trucks/truckSensor01/readings".into(),
        network: Network::WiFi { ssid: "depot".into(), passphrase: "a secret phrase".into() },
        host_key_pem: None,
    }
}

/// A board that holds an identity, and its store.
fn installed() -> (Credentials, Memory) {
    let (mut credentials, mut store) = (Credentials::default(), Memory::default());
    let csr = credentials.make_key(&subject(), &mut store, random(1)).unwrap();
    credentials.install(install(certificate_for_csr(&csr)), &mut store).unwrap();
    (credentials, store)
}

#[test]
fn the_request_is_signed_by_its_own_key_and_names_the_job() {
    let (mut credentials, mut store) = (Credentials::default(), Memory::default());
    let pem = credentials.make_key(&subject(), &mut store, random(1)).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
    let csr = CertReq::from_pem(&pem).unwrap();
    assert_eq!(csr.info.subject.to_string(), "OU=job-01K,CN=truckSensor01");
    let public_key_der = csr.info.public_key.to_der().unwrap();
    assert_eq!(credentials.identity().public_key_der, Some(public_key_der));
    let point = csr.info.public_key.subject_public_key.raw_bytes();
    let signature = Signature::from_der(csr.signature.raw_bytes()).unwrap();
    VerifyingKey::from_sec1_bytes(point).unwrap().verify(&csr.info.to_der().unwrap(), &signature).unwrap();
}

#[test]
fn an_identity_is_installed_read_back_and_survives_a_restart() {
    let (credentials, mut store) = installed();
    let again = Credentials::load(&mut store);
    assert_eq!(again.identity(), credentials.identity());
    let identity = again.identity();
    assert_eq!(identity.thing_name, "truckSensor01");
    assert_eq!(identity.endpoint, "abc-ats.iot.eu-central-1.amazonaws.com:8883");
    let connection = again.connection().unwrap();
    assert_eq!(identity.certificate_sha256, Some(sha256(&connection.certificate_chain_der[0])));
    assert_eq!(identity.ca_sha256, Some(sha256(&connection.ca_der[0])));
    let key = SecretKey::from_pkcs8_der(&connection.key_pkcs8_der).unwrap();
    let public_key_der = key.public_key().to_public_key_der().unwrap();
    assert_eq!(identity.public_key_der.as_deref(), Some(public_key_der.as_bytes()));
}

#[test]
fn a_certificate_needs_its_key() {
    let (mut credentials, mut store) = (Credentials::default(), Memory::default());
    let foreign = certificate_for_key(&random_key(random(7)).unwrap());
    assert_eq!(credentials.install(install(foreign.clone()), &mut store), Err(Refusal::NoKey));
    credentials.make_key(&subject(), &mut store, random(1)).unwrap();
    assert_eq!(credentials.install(install(foreign), &mut store), Err(Refusal::KeyMismatch));
    assert!(credentials.connection().is_none());
}

#[test]
fn a_host_made_key_comes_with_its_certificate() {
    let (mut credentials, mut store) = (Credentials::default(), Memory::default());
    let key = random_key(random(7)).unwrap();
    let pem = key.to_pkcs8_pem(LineEnding::CRLF).unwrap().to_string();
    let with_key = Install { host_key_pem: Some(pem), ..install(certificate_for_key(&key)) };
    assert!(!std::format!("{with_key:?}").contains("PRIVATE"));
    credentials.install(with_key, &mut store).unwrap();
    assert!(credentials.connection().is_some());
    let broken = Install { host_key_pem: Some("no key".into()), ..install(certificate_for_key(&key)) };
    assert!(matches!(credentials.install(broken, &mut store), Err(Refusal::Invalid(_))));
}

#[test]
fn the_old_identity_stays_when_anything_fails() {
    let (mut credentials, mut store) = installed();
    let before = credentials.identity();
    let csr = credentials.make_key(&subject(), &mut store, random(50)).unwrap();
    assert_eq!(credentials.identity().certificate_sha256, before.certificate_sha256);
    assert_ne!(credentials.identity().public_key_der, before.public_key_der);
    let new = install(certificate_for_csr(&csr));

    let failures = [
        (Install { certificate_pem: "-----BEGIN".into(), ..new.clone() }, Refusal::BadCertificate),
        (Install { ca_pem: String::new(), ..new.clone() }, Refusal::BadCertificate),
        (
            Install { certificate_pem: certificate_for_key(&random_key(random(8)).unwrap()), ..new.clone() },
            Refusal::KeyMismatch,
        ),
    ];
    for (broken, refusal) in failures {
        assert_eq!(credentials.install(broken, &mut store), Err(refusal));
        assert_eq!(credentials.connection().unwrap().thing_name, "truckSensor01");
    }
    store.fails = true;
    assert!(matches!(credentials.install(new.clone(), &mut store), Err(Refusal::Storage(_))));
    assert_eq!(Credentials::load(&mut store).identity().certificate_sha256, before.certificate_sha256);
    store.fails = false;
    let after = credentials.install(new, &mut store).unwrap();
    assert_ne!(after.certificate_sha256, before.certificate_sha256);
}

#[test]
fn values_out_of_bounds_are_named() {
    let (mut credentials, mut store) = installed();
    let good = || install(certificate_for_key(&random_key(random(7)).unwrap()));
    let long_topic = "a/".repeat(8);
    for (broken, named) in [
        (Install { thing_name: "a b".into(), ..good() }, "thing name"),
        (Install { thing_name: "a".repeat(129), ..good() }, "thing name"),
        (Install { endpoint: "https://x".into(), ..good() }, "endpoint"),
        (Install { port: 0, ..good() }, "port"),
        (Install { readings_topic: "dt/#".into(), ..good() }, "readings topic"),
        (Install { readings_topic: long_topic, ..good() }, "readings topic"),
        (
            Install { network: Network::WiFi { ssid: String::new(), passphrase: String::new() }, ..good() },
            "network name",
        ),
        (Install { network: Network::WiFi { ssid: "x".into(), passphrase: "short".into() }, ..good() }, "passphrase"),
    ] {
        let refusal = credentials.install(broken, &mut store).unwrap_err();
        assert!(matches!(&refusal, Refusal::Invalid(what) if what.contains(named)), "{refusal}");
    }
    let no_name = Subject { common_name: String::new(), ..subject() };
    assert!(matches!(credentials.make_key(&no_name, &mut store, random(1)), Err(Refusal::Invalid(_))));
}

#[test]
fn a_dead_random_number_generator_is_refused() {
    let (mut credentials, mut store) = (Credentials::default(), Memory::default());
    for stuck in [0x00, 0x5A, 0xFF] {
        let refusal = credentials.make_key(&subject(), &mut store, |bytes| bytes.fill(stuck));
        assert!(matches!(refusal, Err(Refusal::Unsupported(_))));
    }
    assert_eq!(credentials.identity().public_key_der, None);
}

#[test]
fn erasing_leaves_nothing() {
    let (mut credentials, mut store) = installed();
    store.fails = true;
    assert!(credentials.erase(&mut store).is_err());
    assert!(credentials.connection().is_some());
    store.fails = false;
    credentials.erase(&mut store).unwrap();
    assert!(store.identity.is_none() && store.pending_key.is_none());
    assert!(credentials.connection().is_none());
    assert_eq!(credentials.identity().public_key_der, None);
}
