"""The vendor's flasher against the imitated board: it must not notice that the chip is none.

Run by `tests/run` with pytest. COLDBENCH_BIN names the built program; esptool is the pinned one of the test environment.
"""

import json
import os
import random
import subprocess
import sys

import pytest

TIMEOUT_SECS = 120
WRITE_ADDRESS = 0x100000


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Serial device of one imitated board, served by the program under test."""
    program = os.environ["COLDBENCH_BIN"]
    folder = tmp_path_factory.mktemp("sandbox")
    command = [program, "demo", "--serve", "--json", "--boards", "1", "--dir", str(folder), "--seed", "42"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as served:
        try:
            line = served.stdout.readline()
            assert line, "the sandbox ended before it said where its boards are"
            yield json.loads(line)["ports"][0]
        finally:
            served.terminate()
            served.wait(timeout=TIMEOUT_SECS)


def esptool(port, *arguments):
    """Runs esptool without reset wires and returns what it printed."""
    command = [sys.executable, "-m", "esptool", "--chip", "esp32c3", "--port", port]
    command += ["--before", "no-reset", "--after", "no-reset", *map(str, arguments)]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_SECS
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """200 kB, half of it noise and half of it compressible."""
    noise = random.Random(42).randbytes(100_000)
    path = tmp_path_factory.mktemp("images") / "image.bin"
    path.write_bytes(noise + bytes(index // 100 % 256 for index in range(100_000)))
    return path


def test_version_is_the_pinned_major():
    result = subprocess.run([sys.executable, "-m", "esptool", "version"], capture_output=True, text=True, check=True)
    assert result.stdout.strip().splitlines()[-1].startswith("5."), result.stdout


def test_the_chip_is_recognised(port):
    printed = esptool(port, "read-mac")
    assert "ESP32-C3" in printed
    assert "Embedded Flash 4MB" in printed
    assert "62:55:f9:" in printed


def test_security_information(port):
    printed = esptool(port, "get-security-info")
    assert "Secure Boot: Disabled" in printed
    assert "Flash Encryption: Disabled" in printed


@pytest.mark.parametrize("stub", [[], ["--no-stub"]], ids=["stub", "rom"])
def test_flash_id(port, stub):
    printed = esptool(port, *stub, "flash-id")
    assert "Manufacturer: 20" in printed
    assert "Detected flash size: 4MB" in printed


def test_write_verify_and_read(port, image, tmp_path):
    assert "Hash of data verified" in esptool(port, "--baud", 921600, "write-flash", WRITE_ADDRESS, image)
    assert "digest matched" in esptool(port, "verify-flash", WRITE_ADDRESS, image)
    read = tmp_path / "read.bin"
    esptool(port, "read-flash", WRITE_ADDRESS, image.stat().st_size, read)
    assert read.read_bytes() == image.read_bytes()


def test_write_without_stub_and_without_compression(port, tmp_path):
    image = tmp_path / "image.bin"
    image.write_bytes(bytes(index % 251 for index in range(20_000)))
    for options in (["--no-stub"], []):
        esptool(port, *options, "write-flash", "--no-compress", WRITE_ADDRESS + 0x80000, image)
        read = tmp_path / "read.bin"
        esptool(port, "--no-stub", "read-flash", WRITE_ADDRESS + 0x80000, 200, read)
        assert read.read_bytes() == image.read_bytes()[:200]


def test_erase(port, image, tmp_path):
    esptool(port, "write-flash", WRITE_ADDRESS, image)
    esptool(port, "erase-region", WRITE_ADDRESS, 0x1000)
    read = tmp_path / "read.bin"
    esptool(port, "read-flash", WRITE_ADDRESS, 0x2000, read)
    content = read.read_bytes()
    assert content[:0x1000] == b"\xff" * 0x1000
    assert content[0x1000:] == image.read_bytes()[0x1000:0x2000], "the next sector is untouched"


def test_erase_the_whole_chip(port, tmp_path):
    esptool(port, "erase-flash")
    read = tmp_path / "read.bin"
    esptool(port, "read-flash", WRITE_ADDRESS, 0x1000, read)
    assert read.read_bytes() == b"\xff" * 0x1000
