"""What the tests of packages share. They test what packaging/build made, in target/packages."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PACKAGES = TARGET / "packages"

# Slow machines are slow: these end a hang, they measure nothing.
COMMAND_SECS = 120
JOB_SECS = 300

# The most that a package and what it installs may take.
MAX_PACKAGE_BYTES = 25_000_000
MAX_INSTALLED_BYTES = 60_000_000

STEPS = ["identify", "preflight", "flash", "boot", "key", "register", "install", "calibrate", "prove", "seal"]


def run(*command, seconds=COMMAND_SECS, check=True, **options):
    """Runs a command to its end and gives back what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        **options,
    )
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def the_one(pattern):
    """The one package whose name fits."""
    found = sorted(PACKAGES.glob(pattern))
    assert len(found) == 1, f"{pattern} in {PACKAGES}: {[file.name for file in found]}; run packaging/build"
    return found[0]


def sealed_job(lines):
    """Holds the JSON lines of a whole job to PASS, with every step in its place."""
    events = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    assert events, f"no events in:\n{lines}"
    text = json.dumps(events)
    for step in STEPS:
        assert f'"{step}"' in text, f"no step {step} in:\n{lines}"
    assert events[-1].get("outcome") == "passed", events[-1]


def is_small(capsys, package, installed_bytes):
    """Prints the sizes, and judges them where the package is made as it is published."""
    report(capsys, f"{package.name}: {package.stat().st_size / 1e6:.1f} MB, installed {installed_bytes / 1e6:.1f} MB")
    profile = os.environ.get("PACKAGE_PROFILE", "dist")
    if profile != "dist":
        report(capsys, f"made with the profile {profile}: not the size of what is published")
        return
    assert package.stat().st_size <= MAX_PACKAGE_BYTES
    assert installed_bytes <= MAX_INSTALLED_BYTES


def report(capsys, text):
    """Prints a figure past pytest's capture."""
    with capsys.disabled():
        print(f"\n    {text}", end="")


@pytest.fixture(scope="session")
def deb():
    return the_one("coldbench_*.deb")


@pytest.fixture(scope="session")
def rpm():
    return the_one("coldbench-*.rpm")


@pytest.fixture(scope="session")
def setup_exe():
    return the_one("coldbench-*-setup.exe")
