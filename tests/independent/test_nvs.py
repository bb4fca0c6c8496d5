"""The board's identity partition against ESP-IDF's own tool, both ways.

The imitated board keeps its data in its flash file by the code of the real one, so what holds for this file holds for a
chip. The reader below follows the vendor's description of the format (ESP-IDF Programming Guide, "NVS Flash").
"""

import csv
import hashlib
import struct
import subprocess
import zlib

import pytest
from conftest import VENV, Sandbox, events
from cryptography import x509
from cryptography.hazmat.primitives import serialization

PAGE, ENTRY = 4096, 32
ACTIVE, FULL = 0xFFFFFFFE, 0xFFFFFFFC
U8, U16, U32, TEXT, BLOB_DATA, BLOB_INDEX = 0x01, 0x02, 0x04, 0x21, 0x42, 0x48
NUMBERS = {U8: "<B", U16: "<H", U32: "<I"}


def crc(data):
    return zlib.crc32(data, 0xFFFFFFFF) & 0xFFFFFFFF


def partition(flash, label):
    """Start and length, from the partition table in the flash file."""
    for at in range(0x8000, 0x8C00, 32):
        magic, _, _, start, length, name = struct.unpack_from("<HBBII16s", flash, at)
        if magic == 0x50AA and name.rstrip(b"\0") == label:
            return start, length
    raise AssertionError(f"no partition {label}")


def pages(image):
    """Pages in use in the order of their numbers, their header checked."""
    found = []
    for at in range(0, len(image), PAGE):
        page = image[at : at + PAGE]
        state, sequence = struct.unpack_from("<II", page)
        if state == 0xFFFFFFFF:
            assert page == b"\xff" * PAGE, "an unused page is blank"
            continue
        assert state in (ACTIVE, FULL), hex(state)
        assert page[8] == 0xFE, "version 2"
        assert struct.unpack_from("<I", page, 28)[0] == crc(page[4:28])
        found.append((sequence, page))
    return [page for _, page in sorted(found)]


def items(image):
    """(namespace number, type, chunk, key) -> value of each written item, everything checked."""
    found = {}
    for page in pages(image):
        index = 0
        while index < 126:
            state = page[32 + index // 4] >> (index % 4 * 2) & 0b11
            entry = page[64 + index * ENTRY : 64 + (index + 1) * ENTRY]
            if state == 0b11:
                assert entry == b"\xff" * ENTRY, "an unused entry is blank"
            if state != 0b10:
                index += 1
                continue
            namespace, kind, span, chunk, checksum = struct.unpack_from("<BBBBI", entry)
            assert checksum == crc(entry[:4] + entry[8:])
            key = entry[8:24].split(b"\0")[0].decode()
            if kind in (TEXT, BLOB_DATA):
                size, _, data_crc = struct.unpack_from("<HHI", entry, 24)
                value = page[64 + (index + 1) * ENTRY :][:size]
                assert data_crc == crc(value) and span == 1 + -(-size // ENTRY)
            elif kind == BLOB_INDEX:
                value = struct.unpack_from("<IBB", entry, 24)
            else:
                value = struct.unpack_from(NUMBERS[kind], entry, 24)[0]
            assert (namespace, kind, chunk, key) not in found, f"{key} is there twice"
            found[namespace, kind, chunk, key] = value
            index += span
    return found


def values(image):
    """{namespace: {key: value}} as an application sees it."""
    found = items(image)
    names = {value: key for (namespace, _, _, key), value in found.items() if namespace == 0}
    result = {name: {} for name in names.values()}
    for (namespace, kind, _, key), value in found.items():
        if namespace == 0 or kind == BLOB_DATA:
            continue
        if kind == BLOB_INDEX:
            size, count, start = value
            value = b"".join(found[namespace, BLOB_DATA, start + chunk, key] for chunk in range(count))
            assert len(value) == size
        elif kind == TEXT:
            assert value.endswith(b"\0")
            value = value[:-1].decode()
        result[names[namespace]][key] = value
    return result


def check_of(identity):
    """The board's own check over all values of an identity."""
    order = ["key", "cert", "ca", "thing", "endpoint", "port", "topic"] + (["ssid", "passphrase"] if "ssid" in identity else [])
    total = 0
    for name in order:
        value = identity[name]
        data = struct.pack("<H", value) if name == "port" else value.encode() if isinstance(value, str) else value
        total = zlib.crc32(struct.pack("<I", len(data)) + data, total)
    return total


def generated(folder, namespaces, size):
    """The partition as the vendor's tool makes it."""
    rows = [("key", "type", "encoding", "value")]
    for namespace, entries in namespaces.items():
        rows.append((namespace, "namespace", "", ""))
        for key, value in entries.items():
            if isinstance(value, bytes):
                file = folder / f"{namespace}-{key}.bin"
                file.write_bytes(value)
                rows.append((key, "file", "binary", str(file)))
            elif isinstance(value, str):
                rows.append((key, "data", "string", value))
            else:
                rows.append((key, "data", {"port": "u16", "check": "u32", "active": "u8"}[key], str(value)))
    table, image = folder / "nvs.csv", folder / "nvs.bin"
    with open(table, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    tool = [VENV / "bin" / "python", "-m", "esp_idf_nvs_partition_gen", "generate", table, image, hex(size)]
    done = subprocess.run([str(part) for part in tool], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return image.read_bytes()


def flash_file(box):
    found = [file for file in box.dir.rglob("*") if file.is_file() and file.stat().st_size == 4 * 1024 * 1024]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="module")
def kept(commissioned):
    """The board's own nvs partition after a job."""
    flash = flash_file(commissioned).read_bytes()
    start, length = partition(flash, b"nvs")
    return flash[start : start + length]


def test_the_boards_partition_is_nvs_and_holds_the_installed_identity(commissioned, kept):
    found = values(kept)
    slot = {1: "id_a", 2: "id_b"}[found["coldbench"]["active"]]
    other = {"id_a": "id_b", "id_b": "id_a"}[slot]
    identity = found[slot]
    assert not found.get(other), "the slot that does not count is empty"
    assert "pending" not in found["coldbench"], "the key is installed and waits no longer"
    assert identity["thing"] == "truckSensor01"
    assert identity["endpoint"] == commissioned.facts["iot_endpoint"] and identity["port"] == commissioned.facts["iot_port"]
    assert identity["check"] == check_of(identity)

    key = serialization.load_der_private_key(identity["key"], None)
    certificate = x509.load_der_x509_certificate(identity["cert"])
    point = lambda public: public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert point(key.public_key()) == point(certificate.public_key())
    described = commissioned.boto("iot").list_certificates()["certificates"]
    assert [one["certificateId"] for one in described] == [hashlib.sha256(identity["cert"]).hexdigest()]
    ca = x509.load_pem_x509_certificates(open(commissioned.facts["ca_file"], "rb").read())
    assert identity["ca"] == b"".join(one.public_bytes(serialization.Encoding.DER) for one in ca)


def test_the_vendors_tool_writes_the_same_items(kept, tmp_path):
    found = values(kept)
    theirs = generated(tmp_path, found, len(kept))
    assert values(theirs) == found
    # Single entries are the same to the byte; blobs may lie in other chunks.
    ours, theirs = items(kept), items(theirs)
    names = {value: key for (namespace, _, _, key), value in ours.items() if namespace == 0}
    single = lambda entries: {(kind, key): value for (_, kind, _, key), value in entries.items() if kind in (U8, U16, U32, TEXT)}
    assert single(ours).keys() == single(theirs).keys() and len(names) >= 2


def test_the_board_reads_what_the_vendors_tool_wrote(tmp_path):
    box = Sandbox(tmp_path / "first")
    try:
        done = box.commission("--thing", "truckSensor01")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    finally:
        box.stop()
    file = flash_file(box)
    flash = file.read_bytes()
    start, length = partition(flash, b"nvs")
    before = values(flash[start : start + length])
    identity = dict(before[{1: "id_a", 2: "id_b"}[before["coldbench"]["active"]]], thing="truckSensor77")
    identity["check"] = check_of(identity)
    image = generated(tmp_path, {"coldbench": {"active": 2}, "id_b": identity}, length)
    file.write_bytes(flash[:start] + image + flash[start + length :])

    again = Sandbox(tmp_path / "first")
    try:
        live = again.run("live", "--port", again.port, "--site", again.site, "--count", 2, "--json", timeout=120)
        assert live.returncode == 0, live.stderr
        assert {reading["thing"] for reading in events(live.stdout)} == {"truckSensor77"}
    finally:
        again.stop()


def test_a_decommissioned_board_shows_no_key(tmp_path):
    box = Sandbox(tmp_path)
    try:
        done = box.commission("--thing", "truckSensor01")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        file = flash_file(box)
        flash = file.read_bytes()
        start, length = partition(flash, b"nvs")
        found = values(flash[start : start + length])
        key = found[{1: "id_a", 2: "id_b"}[found["coldbench"]["active"]]]["key"]
        parts = [key[at : at + 16] for at in range(0, len(key) - 16, 16)]
        assert all(part in flash for part in parts)
        done = box.run(
            "decommission", "--thing", "truckSensor01", "--port", box.port, "--site", box.site, "--ledger", box.ledger
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        flash = file.read_bytes()
        assert not any(part in flash for part in parts)
        found = values(flash[start : start + length])
        assert "active" not in found["coldbench"] and not found.get("id_a") and not found.get("id_b")
    finally:
        box.stop()
