//! The control plane by AWS's rules.

use aws_credential_types::Credentials;
use aws_sdk_iot::types::{AttributePayload, CertificateStatus, Tag, ThingTypeProperties};
use aws_sdk_iotdataplane::primitives::Blob;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, PublicKeyData as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Cloud, FLEET_POLICY, iot, key_and_csr, keys, options, refusal, refused, soon, start};
use crate::sandbox::cloud::authority::{certificate_id, der_of};

fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> AttributePayload {
    pairs.iter().fold(AttributePayload::builder(), |payload, (key, value)| payload.attributes(*key, *value)).build()
}

#[tokio::test]
async fn the_same_thing_twice_is_one_thing_and_another_is_a_conflict() {
    let fixture = start().await;
    let create = |power: &str| {
        let attributes = attributes([("deviceID", "T001"), ("powerRequirements", power)]);
        fixture.iot.create_thing().thing_name("truckSensor01").attribute_payload(attributes).send()
    };
    let (first, second) = (create("12v").await.unwrap(), create("12v").await.unwrap());
    assert_eq!(first.thing_id, second.thing_id);
    assert_eq!(first.thing_arn(), Some("arn:aws:iot:eu-central-1:123456789012:thing/truckSensor01"));
    assert_eq!(refused(create("24v").await), refusal(409, "ResourceAlreadyExistsException"));

    let described = fixture.iot.describe_thing().thing_name("truckSensor01").send().await.unwrap();
    assert_eq!((described.default_client_id(), described.version()), (Some("truckSensor01"), 1));
    assert_eq!(described.attributes().unwrap()["powerRequirements"], "12v");

    let merge = AttributePayload::builder().attributes("door", "left").attributes("deviceID", "").merge(true).build();
    fixture.iot.update_thing().thing_name("truckSensor01").attribute_payload(merge).send().await.unwrap();
    let stale = fixture.iot.update_thing().thing_name("truckSensor01").expected_version(1).send().await;
    assert_eq!(refused(stale), refusal(409, "VersionConflictException"));
    let described = fixture.iot.describe_thing().thing_name("truckSensor01").send().await.unwrap();
    assert_eq!(described.version(), 2);
    assert!(!described.attributes().unwrap().contains_key("deviceID"));
    assert_eq!(described.attributes().unwrap()["door"], "left");

    for _ in 0..2 {
        fixture.iot.delete_thing().thing_name("truckSensor01").send().await.unwrap();
    }
    let gone = fixture.iot.describe_thing().thing_name("truckSensor01").send().await;
    assert_eq!(refused(gone), refusal(404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn names_and_attributes_are_held_to_the_rules() {
    let fixture = start().await;
    let invalid = refusal(400, "InvalidRequestException");
    assert_eq!(refused(fixture.iot.create_thing().thing_name("truck 1").send().await), invalid);
    assert_eq!(refused(fixture.iot.create_thing().thing_name("x".repeat(129)).send().await), invalid);
    let spaced = attributes([("a", "no spaces")]);
    assert_eq!(refused(fixture.iot.create_thing().thing_name("t").attribute_payload(spaced).send().await), invalid);
    let four = || attributes([("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    assert_eq!(refused(fixture.iot.create_thing().thing_name("t").attribute_payload(four()).send().await), invalid);
    fixture.iot.create_thing_type().thing_type_name("door").send().await.unwrap();
    let typed = fixture.iot.create_thing().thing_name("t").thing_type_name("door").attribute_payload(four());
    typed.send().await.unwrap();
    let unknown = fixture.iot.create_thing().thing_name("u").thing_type_name("none").send().await;
    assert_eq!(refused(unknown), refusal(404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn things_are_found_by_attribute_and_page_by_page() {
    let fixture = start().await;
    for number in 0..5 {
        let job = if number % 2 == 0 { "even" } else { "odd" };
        let create = fixture.iot.create_thing().thing_name(format!("t{number}"));
        create.attribute_payload(attributes([("job", job)])).send().await.unwrap();
    }
    let mut names = Vec::new();
    let mut token = None;
    loop {
        let list = fixture.iot.list_things().attribute_name("job").attribute_value("even").max_results(2);
        let page = list.set_next_token(token).send().await.unwrap();
        assert!(page.things().len() <= 2);
        names.extend(page.things().iter().map(|thing| thing.thing_name().unwrap().to_owned()));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(names, ["t0", "t2", "t4"]);
    let wrong = fixture.iot.list_things().next_token("nonsense").send().await;
    assert_eq!(refused(wrong), refusal(400, "InvalidRequestException"));
}

#[tokio::test]
async fn a_type_goes_five_minutes_after_it_was_deprecated() {
    let fixture = start().await;
    let create = |text: &str| {
        let properties = ThingTypeProperties::builder().thing_type_description(text).build();
        fixture.iot.create_thing_type().thing_type_name("sensor_DoorAndPower").thing_type_properties(properties).send()
    };
    create("door and power").await.unwrap();
    create("door and power").await.unwrap();
    assert_eq!(refused(create("other").await), refusal(409, "ResourceAlreadyExistsException"));
    let delete = || fixture.iot.delete_thing_type().thing_type_name("sensor_DoorAndPower").send();
    let early = refusal(400, "InvalidRequestException");
    assert_eq!(refused(delete().await), early);
    // The clock may be five minutes off before signatures are refused, so both sides of them are used.
    fixture.cloud.clock().set_ahead_secs(-280);
    fixture.iot.deprecate_thing_type().thing_type_name("sensor_DoorAndPower").send().await.unwrap();
    assert_eq!(refused(delete().await), early);
    let described = fixture.iot.describe_thing_type().thing_type_name("sensor_DoorAndPower").send().await.unwrap();
    assert!(described.thing_type_metadata().unwrap().deprecated());
    fixture.cloud.clock().set_ahead_secs(280);
    delete().await.unwrap();
    assert_eq!(refused(delete().await), refusal(404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn groups_nest_hold_things_and_take_tags() {
    let fixture = start().await;
    let tag = Tag::builder().key("job").value("42").build().unwrap();
    let fleet = fixture.iot.create_thing_group().thing_group_name("fleet").tags(tag).send().await.unwrap();
    let sub = fixture.iot.create_thing_group().thing_group_name("north").parent_group_name("fleet");
    sub.send().await.unwrap();
    let moved = fixture.iot.create_thing_group().thing_group_name("north").send().await;
    assert_eq!(refused(moved), refusal(409, "ResourceAlreadyExistsException"));
    let arn = fleet.thing_group_arn().unwrap();
    let tags = fixture.iot.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
    assert_eq!((tags.tags()[0].key(), tags.tags()[0].value()), ("job", Some("42")));

    fixture.iot.create_thing().thing_name("t").send().await.unwrap();
    let add = |group: &str| fixture.iot.add_thing_to_thing_group().thing_name("t").thing_group_name(group).send();
    add("north").await.unwrap();
    add("north").await.unwrap();
    assert_eq!(refused(add("fleet").await), refusal(400, "InvalidRequestException"));
    let groups = fixture.iot.list_thing_groups_for_thing().thing_name("t").send().await.unwrap();
    assert_eq!(groups.thing_groups()[0].group_name(), Some("north"));
    let parent = fixture.iot.delete_thing_group().thing_group_name("fleet").send().await;
    assert_eq!(refused(parent), refusal(400, "InvalidRequestException"));
    fixture.iot.remove_thing_from_thing_group().thing_name("t").thing_group_name("north").send().await.unwrap();
    let groups = fixture.iot.list_thing_groups_for_thing().thing_name("t").send().await.unwrap();
    assert!(groups.thing_groups().is_empty());
    for group in ["north", "fleet", "fleet"] {
        fixture.iot.delete_thing_group().thing_group_name(group).send().await.unwrap();
    }
    assert_eq!(refused(add("fleet").await), refusal(404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn a_signed_certificate_keeps_the_subject_and_the_key_of_its_request() {
    let fixture = start().await;
    let (key, csr) = key_and_csr();
    let sign =
        || fixture.iot.create_certificate_from_csr().certificate_signing_request(&csr).set_as_active(true).send();
    let (first, second) = (sign().await.unwrap(), sign().await.unwrap());
    assert_ne!(first.certificate_id, second.certificate_id);

    let der = der_of(first.certificate_pem().unwrap()).unwrap();
    assert_eq!(first.certificate_id().unwrap(), certificate_id(&der));
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=truck1, OU=job 42");
    assert_eq!(certificate.validity().not_after.timestamp(), 2_524_607_999);
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    let ca = der_of(&std::fs::read_to_string(fixture.cloud.ca_file()).unwrap()).unwrap();
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    certificate.verify_signature(Some(ca.public_key())).unwrap();

    let newest = fixture.iot.list_certificates().page_size(1).send().await.unwrap();
    assert_eq!(newest.certificates()[0].certificate_id, second.certificate_id);
    assert!(newest.next_marker().is_some());
    // Another name under the old signature.
    let mut der = der_of(&csr).unwrap().to_vec();
    let at = der.windows(6).position(|bytes| bytes == b"truck1").unwrap();
    der[at + 5] = b'2';
    let tampered = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        BASE64_STANDARD.encode(der)
    );
    for csr in ["nonsense".to_owned(), tampered] {
        let bad = fixture.iot.create_certificate_from_csr().certificate_signing_request(csr).send().await;
        assert_eq!(refused(bad), refusal(400, "InvalidRequestException"));
    }
}

#[tokio::test]
async fn rsa_keys_are_signed_too() {
    let fixture = start().await;
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let signed = fixture.iot.create_certificate_from_csr().certificate_signing_request(csr).send().await.unwrap();
    let der = der_of(signed.certificate_pem().unwrap()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    let id = signed.certificate_id().unwrap();
    let described = fixture.iot.describe_certificate().certificate_id(id).send().await.unwrap();
    let described = described.certificate_description().unwrap();
    assert_eq!(described.status(), Some(&CertificateStatus::Inactive));
    assert_eq!(described.certificate_pem(), signed.certificate_pem());
}

#[tokio::test]
async fn tear_down_has_an_order() {
    let fixture = start().await;
    let credential = fixture.member("truck1").await;
    let (iot, id, arn) = (&fixture.iot, credential.id.as_str(), credential.arn.as_str());
    let delete = || iot.delete_certificate().certificate_id(id).send();
    assert_eq!(refused(delete().await), refusal(406, "CertificateStateException"));
    iot.update_certificate().certificate_id(id).new_status(CertificateStatus::Inactive).send().await.unwrap();
    assert_eq!(refused(delete().await), refusal(409, "DeleteConflictException"));
    let thing = iot.delete_thing().thing_name("truck1").send().await;
    assert_eq!(refused(thing), refusal(400, "InvalidRequestException"));
    let policy = iot.delete_policy().policy_name("fleet").send().await;
    assert_eq!(refused(policy), refusal(409, "DeleteConflictException"));

    assert_eq!(iot.list_thing_principals().thing_name("truck1").send().await.unwrap().principals(), [arn]);
    assert_eq!(iot.list_principal_things().principal(arn).send().await.unwrap().things(), ["truck1"]);
    assert_eq!(iot.list_targets_for_policy().policy_name("fleet").send().await.unwrap().targets(), [arn]);
    let attached = iot.list_attached_policies().target(arn).send().await.unwrap();
    assert_eq!(attached.policies()[0].policy_name(), Some("fleet"));

    iot.detach_policy().policy_name("fleet").target(arn).send().await.unwrap();
    assert_eq!(refused(delete().await), refusal(409, "DeleteConflictException"));
    iot.detach_thing_principal().thing_name("truck1").principal(arn).send().await.unwrap();
    delete().await.unwrap();
    iot.delete_policy().policy_name("fleet").send().await.unwrap();
    iot.delete_thing().thing_name("truck1").send().await.unwrap();
    assert_eq!(refused(delete().await), refusal(404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn policies_are_read_before_they_are_kept() {
    let fixture = start().await;
    let create = |text: &str| fixture.iot.create_policy().policy_name("fleet").policy_document(text).send();
    assert_eq!(refused(create("{}").await), refusal(400, "MalformedPolicyException"));
    create(FLEET_POLICY).await.unwrap();
    assert_eq!(refused(create(FLEET_POLICY).await), refusal(409, "ResourceAlreadyExistsException"));
    let got = fixture.iot.get_policy().policy_name("fleet").send().await.unwrap();
    assert_eq!(got.policy_document(), Some(FLEET_POLICY));
    let missing = fixture.iot.attach_policy().policy_name("none").target("arn:aws:iot:eu-central-1:1:cert/1").send();
    assert_eq!(refused(missing.await), refusal(404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn shadows_are_served_over_http() {
    let fixture = start().await;
    let update = |document: Value| {
        fixture.data.update_thing_shadow().thing_name("t").payload(Blob::new(document.to_string())).send()
    };
    let get = || fixture.data.get_thing_shadow().thing_name("t").send();
    assert_eq!(refused(get().await), refusal(404, "ResourceNotFoundException"));
    update(json!({ "state": { "desired": { "interval_secs": 10 } } })).await.unwrap();
    let document: Value = serde_json::from_slice(get().await.unwrap().payload.unwrap().as_ref()).unwrap();
    assert_eq!(document["state"]["delta"], json!({ "interval_secs": 10 }));
    let stale = update(json!({ "state": { "desired": { "interval_secs": 5 } }, "version": 9 })).await;
    assert_eq!(refused(stale), refusal(409, "ConflictException"));
    let big = update(json!({ "state": { "desired": { "text": "x".repeat(9_000) } } })).await;
    assert_eq!(refused(big), refusal(413, "RequestEntityTooLargeException"));
    fixture.data.delete_thing_shadow().thing_name("t").send().await.unwrap();
    assert_eq!(refused(get().await), refusal(404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn strangers_and_wrong_clocks_are_turned_away() {
    let fixture = start().await;
    let with = |id: &str, secret: &str| iot(&fixture.cloud, Credentials::new(id, secret, None, None, "test"));
    let stranger = with("AKIASTRANGER", "x").list_things().send().await;
    assert_eq!(refused(stranger), refusal(403, "UnrecognizedClientException"));
    let forger = with(fixture.cloud.access_key_id(), "guess").list_things().send().await;
    assert_eq!(refused(forger), refusal(403, "InvalidSignatureException"));
    fixture.cloud.clock().set_ahead_secs(360);
    let late = fixture.iot.list_things().send().await.unwrap_err();
    assert!(format!("{:?}", late.into_service_error()).contains("Signature expired"));
}

#[tokio::test]
async fn endpoint_and_caller_are_told() {
    let fixture = start().await;
    let endpoint = fixture.iot.describe_endpoint().endpoint_type("iot:Data-ATS").send().await.unwrap();
    assert_eq!(endpoint.endpoint_address(), Some("localhost"));
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
        .region(aws_sdk_sts::config::Region::new(fixture.cloud.region()))
        .endpoint_url(fixture.cloud.endpoint_url())
        .credentials_provider(keys(&fixture.cloud));
    let sts = aws_sdk_sts::Client::from_conf(config.build());
    let caller = sts.get_caller_identity().send().await.unwrap();
    assert_eq!(caller.account(), Some("123456789012"));
}

#[tokio::test]
async fn a_restart_finds_everything_on_the_same_ports() {
    let dir = TempDir::new().unwrap();
    let cloud = Cloud::start(options(&dir)).await.unwrap();
    let made = iot(&cloud, keys(&cloud)).create_thing().thing_name("t").send().await.unwrap();

    let mut before = (cloud.endpoint_url(), cloud.mqtt_port());
    soon(cloud.stop()).await;
    let mut same_ports = false;
    // Another program may snatch a port in between, though not every time.
    for _ in 0..5 {
        let cloud = Cloud::start(options(&dir)).await.unwrap();
        let found = iot(&cloud, keys(&cloud)).describe_thing().thing_name("t").send().await.unwrap();
        assert_eq!(found.thing_id, made.thing_id);
        let now = (cloud.endpoint_url(), cloud.mqtt_port());
        same_ports |= now == before;
        before = now;
        soon(cloud.stop()).await;
    }
    assert!(same_ports);

    let elsewhere = TempDir::new().unwrap();
    let other = Cloud::start(options(&elsewhere)).await.unwrap();
    let same_seed = iot(&other, keys(&other)).create_thing().thing_name("t").send().await.unwrap();
    assert_eq!(same_seed.thing_id, made.thing_id);
}
