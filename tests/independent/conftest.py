"""What the tests with independent counterparts share: the program under test and its sandbox as a process of its own."""

import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("COLDBENCH_BIN", ROOT / "target" / "debug" / "coldbench"))
VENV = pathlib.Path(os.environ.get("COLDBENCH_TEST_VENV", ROOT / "target" / "test-venv"))

# Slow machines are slow: these end a hang, they measure nothing.
START_SECS = 120
JOB_SECS = 300


def environment(**more):
    """The machine's environment without anything that could lead to a real account or the user's own files."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COLDBENCH_", "DISPLAY", "WAYLAND"))}
    kept.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/nonexistent", AWS_SHARED_CREDENTIALS_FILE="/nonexistent")
    kept.update({k: str(v) for k, v in more.items()})
    return kept


class Lines:
    """Lines of a stream, read by a thread so that every wait has an end."""

    def __init__(self, stream):
        self._lines = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)

    def next(self, seconds):
        return self._lines.get(timeout=seconds)


class Sandbox:
    """`coldbench demo --serve --json` with its facts and the environment to use it."""

    def __init__(self, folder, boards=1, seed=7, extra=()):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log = open(self.dir / "serve.log", "ab")
        arguments = [BIN, "demo", "--serve", "--json", "--dir", self.dir / "sandbox", "--boards", boards, "--seed", seed, *extra]
        self.process = subprocess.Popen(
            [str(a) for a in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment(HOME=self.dir),
            text=True,
        )
        line = Lines(self.process.stdout).next(START_SECS)
        assert line, f"the sandbox ended without a word; see {self.dir / 'serve.log'}"
        self.facts = json.loads(line)
        self.ledger = self.dir / "ledger.sqlite"

    @property
    def port(self):
        return self.facts["ports"][0]

    @property
    def site(self):
        return self.facts["site_file"]

    def environment(self, **more):
        return environment(
            HOME=self.dir,
            AWS_ACCESS_KEY_ID=self.facts["access_key_id"],
            AWS_SECRET_ACCESS_KEY=self.facts["secret_access_key"],
            AWS_REGION=self.facts["region"],
            **more,
        )

    def boto(self, service):
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.facts["aws_endpoint_url"],
            region_name=self.facts["region"],
            aws_access_key_id=self.facts["access_key_id"],
            aws_secret_access_key=self.facts["secret_access_key"],
        )

    def run(self, *arguments, timeout=JOB_SECS, env=None):
        """Runs the program and returns it ended; never raises for its exit code."""
        return subprocess.run(
            [str(BIN), *(str(a) for a in arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env or self.environment(),
            cwd=self.dir,
        )

    def commission(self, *more, port=None, truck="T001", calibration="skip"):
        return self.run(*self.order(port, truck, calibration), *more)

    def order(self, port=None, truck="T001", calibration="skip"):
        return [
            "commission", "--port", port or self.port, "--truck", truck, "--site", self.site,
            "--ledger", self.ledger, "--calibration", calibration, "--json",
        ]

    def kill_in(self, step):
        """Begins a job, kills it as soon as it begins a step, and returns its number."""
        process = subprocess.Popen(
            [str(BIN), *(str(a) for a in self.order())],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=self.environment(), cwd=self.dir,
        )
        lines = Lines(process.stdout)
        job = None
        while True:
            line = lines.next(JOB_SECS)
            assert line, f"the job ended before {step}"
            event = json.loads(line)
            job = job or event.get("job")
            if event["event"] == "step_started" and event["step"] == step:
                break
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        return job

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
        self.log.close()


def events(text):
    """The JSON lines of a run; anything else on standard output is an error."""
    return [json.loads(line) for line in text.splitlines()]


def wait_until(what, seconds=60):
    """Waits until `what()` is true; returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


@pytest.fixture
def sandbox(tmp_path):
    box = Sandbox(tmp_path)
    yield box
    box.stop()


@pytest.fixture(scope="session")
def commissioned(tmp_path_factory):
    """A sandbox whose one board has been commissioned as truck T001."""
    box = Sandbox(tmp_path_factory.mktemp("commissioned"))
    try:
        done = box.commission("--thing", "truckSensor01")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        box.events = events(done.stdout)
        yield box
    finally:
        box.stop()


@pytest.fixture(scope="session")
def esptool():
    program = VENV / "bin" / "esptool"
    assert program.exists(), "run tests/run: it prepares esptool"
    return program
