"""The flasher against a ROM loader that nobody here wrote: esp32-mock-bootloader behind a pseudo-terminal."""

import subprocess
import sys

import pytest

from conftest import BIN, START_SECS, VENV, Lines, environment, events

ADDRESS = "0x10000"


@pytest.fixture
def loader_port():
    """A mocked ESP32-C3 in its loader, and the path of its line."""
    program = VENV / "bin" / "esp32-mock-bootloader"
    assert program.exists(), "run tests/run: it prepares esp32-mock-bootloader"
    process = subprocess.Popen(
        [str(program), "run", "--pty", "--chip", "esp32c3", "--timeout", "600"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(PYTHONUNBUFFERED="1"),
        text=True,
    )
    try:
        lines = Lines(process.stdout)
        while not (line := lines.next(START_SECS) or pytest.fail("the mocked loader ended")).startswith("/dev/"):
            pass
        yield line.strip()
    finally:
        process.kill()
        process.wait(30)


def flash(folder, port, image, *more):
    """Runs the flasher; gives its JSON lines."""
    done = subprocess.run(
        [
            str(BIN), "flash", "--port", port, "--reset", "none", "--image", str(image), "--address", ADDRESS,
            "--ledger", str(folder / "ledger.sqlite"), "--json", *more,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(HOME=folder),
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return events(done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_writes_verifies_and_leaves_alone_what_is_right(tmp_path, loader_port, esptool):
    image = tmp_path / "blob.bin"
    # Half of it compresses, half does not; the length is no multiple of a word.
    noise = bytes((index * index * 2654435761 >> 13) & 0xFF for index in range(100_000))
    image.write_bytes(noise + b"coldbench" * 11_111 + b"end")

    first = flash(tmp_path, loader_port, image)
    assert first[-1]["outcome"] == "passed"

    verified = subprocess.run(
        [
            str(esptool), "--chip", "esp32c3", "--port", loader_port, "--before", "no-reset", "--after", "no-reset",
            "verify-flash", ADDRESS, str(image),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(),
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr

    again = flash(tmp_path, loader_port, image)
    assert again[-1]["outcome"] == "passed"
    said = next(event["message"] for event in again if event.get("step") == "flash" and "outcome" in event)
    assert "already" in said
