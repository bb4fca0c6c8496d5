"""Desktop file, AppStream metadata, icons, manual and udev rule, each by its own validator."""

import pathlib
import plistlib
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, run

LINUX = ROOT / "packaging" / "linux"


@pytest.fixture(scope="module")
def installed(deb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deb")
    run("dpkg-deb", "--extract", deb, folder)
    return folder


def test_the_desktop_file_is_valid_and_names_the_window(installed):
    file = installed / "usr/share/applications/coldbench.desktop"
    run("desktop-file-validate", "--warn-kde", file)
    app_id = re.search(r'with_app_id\("([^"]+)"\)', (ROOT / "src/ui/app.rs").read_text()).group(1)
    assert f"StartupWMClass={app_id}\n" in file.read_text()
    assert file.stem == app_id, "Wayland finds the desktop file by the app id"


def test_the_metadata_is_valid(installed):
    file = installed / "usr/share/metainfo/io.github.coldbench.coldbench.metainfo.xml"
    run("appstreamcli", "validate", "--no-net", "--pedantic", file, check=False)
    run("appstreamcli", "validate", "--no-net", file)
    assert "@" not in re.sub(r"<[^>]*>", "", file.read_text()), "a placeholder was left"


def test_manual_pages_format_without_a_complaint(installed):
    pages = sorted((installed / "usr/share/man/man1").glob("*.1.gz"))
    assert len(pages) > 10
    for page in pages:
        text = subprocess.run(["zcat", page], stdout=subprocess.PIPE, timeout=60, check=True).stdout
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=text, capture_output=True, timeout=60)
        assert done.returncode == 0 and not done.stderr, f"{page.name}: {done.stderr.decode()}"


def test_completions_are_accepted_by_bash(installed):
    run("bash", "-n", installed / "usr/share/bash-completion/completions/coldbench")


def rule_for(**facts):
    """What the rule sets for a device: a small reading of udev's own language, for the operators that the rule uses."""
    lines = [line for line in (LINUX / "70-coldbench.rules").read_text().splitlines() if line and not line.startswith("#")]
    given, labels, set_here = {}, {}, []
    for number, line in enumerate(lines):
        for label in re.findall(r'LABEL="([^"]*)"', line):
            labels[label] = number
    number = 0
    while number < len(lines):
        parts = re.findall(r'([A-Za-z_]+(?:\{[^}]*\})?)(==|!=|\+=|=)"([^"]*)"', lines[number])
        holds = all(
            (str(facts.get(key, "")) in value.split("|")) == (operator == "==")
            for key, operator, value in parts
            if operator in ("==", "!=")
        )
        number += 1
        if not holds:
            continue
        set_here += [f"{key}{operator}{value}" for key, operator, value in parts if operator in ("=", "+=") and key not in ("GOTO", "LABEL")]
        for key, operator, value in parts:
            if key == "GOTO":
                number = labels[value]
    return set_here


BOARDS = ["303a:1001", "10c4:ea60", "1a86:7523", "1a86:55d3", "0403:6001", "0403:6010", "0403:6015"]


@pytest.mark.parametrize("board", BOARDS)
def test_the_rule_opens_a_board_and_keeps_the_modem_manager_away(board):
    vendor, product = board.split(":")
    by_property = {"ACTION": "add", "SUBSYSTEM": "tty", "ENV{ID_VENDOR_ID}": vendor, "ENV{ID_MODEL_ID}": product}
    by_attribute = {"ACTION": "add", "SUBSYSTEM": "tty", "ATTRS{idVendor}": vendor, "ATTRS{idProduct}": product}
    for facts in (by_property, by_attribute):
        assert rule_for(**facts) == ["TAG+=uaccess", "ENV{ID_MM_DEVICE_IGNORE}=1"], facts
    assert rule_for(**{**by_property, "ACTION": "remove"}) == []
    assert rule_for(**{**by_property, "SUBSYSTEM": "block"}) == []
    assert rule_for(**{**by_property, "ENV{ID_MODEL_ID}": "0000"}) == []


def test_the_rule_knows_every_bridge_that_the_program_knows():
    known = re.search(r"fn guess\(.*?\n}", (ROOT / "src/adapters/ports_list.rs").read_text(), re.S).group(0)
    rule = (LINUX / "70-coldbench.rules").read_text()
    ids = [(vendor, product) for vendor, products in re.findall(r"\(0x(\w{4}), ([0-9A-Fx| ]+)\)", known) for product in re.findall(r"0x(\w{4})", products)]
    assert len(ids) == len(BOARDS), ids
    for vendor, product in ids:
        assert f"{vendor.lower()}:{product.lower()}" in BOARDS and vendor.lower() in rule and product.lower() in rule


def test_udev_accepts_the_rule():
    """`udevadm verify` came with systemd 254; where udev is older, `udevadm test` loads the rules and complains."""
    assert pathlib.Path(LINUX / "70-coldbench.rules").name < "73-seat-late.rules"
    udevadm = shutil.which("udevadm")
    if udevadm and "verify" in run(udevadm, "--help"):
        run(udevadm, "verify", "--resolve-names=never", LINUX / "70-coldbench.rules")
        return
    syntax = r'^(#.*|)$|^([A-Za-z_]+(\{[^}]*\})?(==|!=|\+=|=)"[^"]*")(, [A-Za-z_]+(\{[^}]*\})?(==|!=|\+=|=)"[^"]*")*$'
    for line in (LINUX / "70-coldbench.rules").read_text().splitlines():
        assert re.match(syntax, line), line


def test_the_mac_bundle_is_described():
    folder = ROOT / "packaging" / "macos"
    info = plistlib.loads((folder / "Info.plist.in").read_bytes())
    assert info["CFBundleExecutable"] == "coldbench"
    assert info["CFBundleIconFile"] == "coldbench.icns"
    assert info["CFBundleShortVersionString"] == "@VERSION@"
    rights = plistlib.loads((folder / "entitlements.plist").read_bytes())
    assert rights["com.apple.security.device.serial"] is True
    for script in ("notarise", "dmg", "stage.sh"):
        run("bash", "-n", folder / script)
