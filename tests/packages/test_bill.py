"""Bill of materials, licences and sums."""

import hashlib
import json
import re

from conftest import PACKAGES, ROOT, run, the_one


def test_the_bill_names_every_library_once_with_licence_and_digest():
    bill = json.loads(the_one("coldbench-*.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    references = [part["bom-ref"] for part in bill["components"]]
    assert len(references) == len(set(references)) > 300
    assert {"rustls", "espflash", "eframe", "aws-sdk-iot"} <= {part["name"] for part in bill["components"]}
    for part in bill["components"]:
        assert part["licenses"], part["name"]
        assert re.fullmatch(r"[0-9a-f]{64}", part["hashes"][0]["content"]), part["name"]
    for edge in bill["dependencies"]:
        assert edge["ref"] in references and set(edge["dependsOn"]) <= set(references)


def test_licences_are_collected_for_what_is_linked():
    said = run(ROOT / "packaging/licences", "--check", cwd=ROOT)
    assert "all in" in said


def test_the_sums_are_right():
    lines = (PACKAGES / "SHA256SUMS").read_text().splitlines()
    named = dict(reversed(line.split("  ", 1)) for line in lines)
    there = {file.name for file in PACKAGES.iterdir() if file.name != "SHA256SUMS"}
    assert set(named) == there
    for name, digest in named.items():
        assert hashlib.sha256((PACKAGES / name).read_bytes()).hexdigest() == digest, name
