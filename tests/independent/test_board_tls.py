"""The board's own TLS and MQTT (`firmware/board-tls`), against the sandbox's broker and ministack's: what is right works,
and every wrong thing has an error of its own. mosquitto is asked the same in `firmware/board-tls/tests`."""

import datetime
import json
import os
import pathlib
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conftest import ROOT, Sandbox
from test_ministack import Ministack

SESSION = pathlib.Path(os.environ.get("COLDBENCH_BOARD_SESSION", ROOT / "target" / "board-tls" / "debug" / "examples" / "session"))
THING = "truckSensor01"
TOPIC = f"dt/coldchain/depot1/{THING}/readings"
MAY_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}
# Far behind the end of every certificate, and well before the first.
YEAR_2096, YEAR_2015 = 4_000_000_000, 1_430_000_000
NEWEST = pytest.mark.parametrize("newest", ["tls13", "tls12"])


def name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def authority(common):
    """A certificate authority that nobody knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    today = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name(common)).issuer_name(name(common)).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1)).not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )
    return key, certificate


def pem(thing):
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Board:
    """A board's key and certificate, and what becomes of its session."""

    def __init__(self, peer, key, certificate_pem, certificate_id=None):
        self.peer, self.id = peer, certificate_id
        self.folder = peer.folder / os.urandom(4).hex()
        self.folder.mkdir()
        (self.folder / "key.pem").write_bytes(pem(key))
        (self.folder / "certificate.pem").write_bytes(certificate_pem)

    def session(self, newest="tls13", host="localhost", ca=None, unix_secs=None):
        """The code of how the session ended."""
        assert SESSION.exists(), "run tests/run: it builds the board's session"
        ended = subprocess.run(
            [
                SESSION, str(self.peer.port), host, ca or self.peer.ca, self.folder / "certificate.pem", self.folder / "key.pem",
                THING, TOPIC, str(unix_secs or int(time.time())), newest,
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.split(":")[0]


class Peer:
    """A cloud with its broker."""

    def __init__(self, kind, folder, iot, port, ca):
        self.kind, self.folder, self.iot, self.port, self.ca = kind, folder, iot, port, ca
        iot.create_policy(policyName="may-all", policyDocument=json.dumps(MAY_ALL))
        iot.create_thing(thingName=THING)

    def board(self, policy=True):
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(name(THING)).sign(key, hashes.SHA256())
        made = self.iot.create_certificate_from_csr(
            certificateSigningRequest=request.public_bytes(serialization.Encoding.PEM).decode(), setAsActive=True
        )
        self.iot.attach_thing_principal(thingName=THING, principal=made["certificateArn"])
        if policy:
            self.iot.attach_policy(policyName="may-all", target=made["certificateArn"])
        return Board(self, key, made["certificatePem"].encode(), made["certificateId"])

    def stranger(self):
        """A board whose certificate comes from elsewhere."""
        ca_key, ca = authority("Another depot")
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder().subject_name(name(THING)).issuer_name(ca.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ca.not_valid_before_utc).not_valid_after(ca.not_valid_after_utc).sign(ca_key, hashes.SHA256())
        )
        return Board(self, key, pem(certificate))


@pytest.fixture(scope="module", params=["sandbox", "ministack"])
def peer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    box = Sandbox(folder) if request.param == "sandbox" else Ministack(folder)
    try:
        if request.param == "sandbox":
            yield Peer("sandbox", folder, box.boto("iot"), box.facts["iot_port"], box.facts["ca_file"])
        else:
            yield Peer("ministack", folder, box.client("iot"), box.mqtt, box.ca)
    finally:
        box.stop()


@NEWEST
def test_a_good_board_sends_a_reading(peer, newest):
    assert peer.board().session(newest) == "acknowledged"


def test_a_broker_that_cannot_be_trusted_is_refused_and_the_reason_named(peer):
    board = peer.board()
    _, another = authority("Another depot")
    wrong_ca = peer.folder / "another-ca.pem"
    wrong_ca.write_bytes(pem(another))
    assert board.session(ca=wrong_ca) == "tls.issuer"
    assert board.session(host="other.depot.example") == "tls.host-name"
    assert board.session(unix_secs=YEAR_2096) == "tls.expired"
    assert board.session(unix_secs=YEAR_2015) == "tls.not-yet-valid"


# The sandbox says why in an alert, which TLS 1.3 hides; ministack closes the line.
STRANGER = {
    ("sandbox", "tls13"): "session.certificate",
    ("sandbox", "tls12"): "tls.refused.issuer",
    ("ministack", "tls13"): "session.not-admitted",
    ("ministack", "tls12"): "tls.closed",
}


@NEWEST
def test_a_board_that_the_broker_does_not_know_is_refused(peer, newest):
    assert peer.stranger().session(newest) == STRANGER[peer.kind, newest]


@NEWEST
def test_a_board_that_is_revoked_inactive_or_not_allowed_is_not_admitted(peer, newest):
    """As AWS IoT does it: the handshake is good, and then the broker closes the line without a word."""
    for status in ("REVOKED", "INACTIVE"):
        board = peer.board()
        assert board.session(newest) == "acknowledged"
        peer.iot.update_certificate(certificateId=board.id, newStatus=status)
        assert board.session(newest) == "session.not-admitted", status
    assert peer.board(policy=False).session(newest) == "session.not-admitted"
