"""The official device SDK, with a certificate that a job made, against the sandbox's broker."""

import json
import threading

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from conftest import wait_until


def board_key(flash, certificate_pem):
    """The key of this certificate in the imitated board's flash: the 32 bytes whose public key the certificate has."""
    wanted = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key().public_numbers()
    # The credentials stand in the partition `nvs`; erased flash is 0xff and cannot be a key.
    nvs = flash[0x9000 : 0x9000 + 0xC000]
    blank = bytes([0xFF]) * 8
    for start in range(len(nvs) - 32):
        candidate = nvs[start : start + 32]
        if blank in candidate:
            continue
        try:
            key = ec.derive_private_key(int.from_bytes(candidate, "big"), ec.SECP256R1())
        except ValueError:
            continue
        if key.public_key().public_numbers() == wanted:
            return key
    raise AssertionError("the key is not in the flash")


def test_the_official_sdk_reads_and_updates_the_shadow(commissioned, tmp_path):
    from awscrt import mqtt
    from awsiot import iotshadow, mqtt_connection_builder

    iot = commissioned.boto("iot")
    certificate = iot.list_certificates()["certificates"][0]["certificateId"]
    pem = iot.describe_certificate(certificateId=certificate)["certificateDescription"]["certificatePem"]
    flashes = list((commissioned.dir / "sandbox").rglob("*.flash.bin"))
    assert len(flashes) == 1
    key = board_key(flashes[0].read_bytes(), pem).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The board itself holds this client id: it is kicked off for a moment and comes back, as on AWS.
    connection = mqtt_connection_builder.mtls_from_bytes(
        cert_bytes=pem.encode(),
        pri_key_bytes=key,
        endpoint=commissioned.facts["iot_endpoint"],
        port=commissioned.facts["iot_port"],
        ca_filepath=commissioned.facts["ca_file"],
        client_id="truckSensor01",
        clean_session=True,
        keep_alive_secs=30,
    )
    answers = []
    arrived = threading.Event()

    def keep(response):
        answers.append(response)
        arrived.set()

    connection.connect().result(60)
    try:
        shadow = iotshadow.IotShadowClient(connection)
        subscribed, _ = shadow.subscribe_to_get_shadow_accepted(
            iotshadow.GetShadowSubscriptionRequest(thing_name="truckSensor01"), mqtt.QoS.AT_LEAST_ONCE, keep
        )
        subscribed.result(60)
        shadow.publish_get_shadow(iotshadow.GetShadowRequest(thing_name="truckSensor01"), mqtt.QoS.AT_LEAST_ONCE).result(60)
        assert arrived.wait(60)
        assert answers[0].state.reported["interval_secs"] >= 5
        updated = threading.Event()
        subscribed, _ = shadow.subscribe_to_update_shadow_accepted(
            iotshadow.UpdateShadowSubscriptionRequest(thing_name="truckSensor01"), mqtt.QoS.AT_LEAST_ONCE, lambda _: updated.set()
        )
        subscribed.result(60)
        request = iotshadow.UpdateShadowRequest(thing_name="truckSensor01", state=iotshadow.ShadowState(reported={"checked_by": "sdk"}))
        shadow.publish_update_shadow(request, mqtt.QoS.AT_LEAST_ONCE).result(60)
        assert updated.wait(60)
    finally:
        connection.disconnect().result(60)
    document = json.loads(commissioned.boto("iot-data").get_thing_shadow(thingName="truckSensor01")["payload"].read())
    assert document["state"]["reported"]["checked_by"] == "sdk"
    # And the board is back on line afterwards, with its own readings.
    before = document["version"]
    wait_until(
        lambda: json.loads(commissioned.boto("iot-data").get_thing_shadow(thingName="truckSensor01")["payload"].read())["version"] > before + 1, 120
    )
