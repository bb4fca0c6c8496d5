"""The official device SDK, with a certificate that a job made, against the sandbox's broker."""

import json
import re
import threading

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_der_private_key

from conftest import wait_until


def board_key(flash):
    """The P-256 key in the imitated board's flash: PKCS#8 or SEC 1 as DER or PEM, found by its shape."""
    pem = re.search(rb"-----BEGIN (EC )?PRIVATE KEY-----.+?-----END (EC )?PRIVATE KEY-----", flash, re.S)
    if pem:
        return serialization.load_pem_private_key(pem.group(0).replace(b"\x00", b""), None)
    start = flash.find(bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107"))
    assert start > 0, "no key in the flash"
    for length in range(100, 200):
        for header in (6, 5):
            try:
                return load_der_private_key(flash[start - header : start - header + length], None)
            except ValueError:
                continue
    raise AssertionError("the key in the flash cannot be read")


def test_the_official_sdk_reads_and_updates_the_shadow(commissioned, tmp_path):
    from awscrt import mqtt
    from awsiot import iotshadow, mqtt_connection_builder

    iot = commissioned.boto("iot")
    certificate = iot.list_certificates()["certificates"][0]["certificateId"]
    pem = iot.describe_certificate(certificateId=certificate)["certificateDescription"]["certificatePem"]
    flashes = list((commissioned.dir / "sandbox").rglob("*.flash.bin"))
    assert len(flashes) == 1
    key = board_key(flashes[0].read_bytes()).private_bytes(
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
