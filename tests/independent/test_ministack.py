"""The whole job against an AWS stand-in that nobody here wrote: registry, certificates and broker are ministack's."""

import os
import pathlib
import socket
import subprocess
import time
import urllib.request

import pytest

from conftest import VENV, Sandbox, environment, events


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Ministack:
    """ministack with IAM and IoT policies enforced, on loopback."""

    def __init__(self, folder):
        self.http, self.mqtt = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.log = open(folder / "ministack.log", "wb")
        program = os.environ.get("COLDBENCH_MINISTACK", str(VENV / "bin" / "ministack"))
        self.process = subprocess.Popen(
            [program], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=folder,
            env=environment(BIND_HOST="127.0.0.1", GATEWAY_PORT=self.http, IOT_MTLS_PORT=self.mqtt, SFTP_ENABLED="0", AUTH="true", HOME=folder),
        )
        self.ca = folder / "ministack-ca.pem"
        deadline = time.monotonic() + 120
        while True:
            try:
                self.ca.write_bytes(urllib.request.urlopen(f"{self.url}/_ministack/iot/ca.pem", timeout=5).read())
                socket.create_connection(("127.0.0.1", self.mqtt), 5).close()
                return
            except OSError:
                assert self.process.poll() is None, "ministack ended at once"
                assert time.monotonic() < deadline, "ministack is not ready"
                time.sleep(0.5)

    def client(self, service):
        import boto3

        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.log.close()


@pytest.fixture
def bench(tmp_path):
    """An imitated board of the sandbox, and ministack as its cloud."""
    stack = Ministack(tmp_path)
    box = Sandbox(tmp_path / "box")
    site = tmp_path / "ministack-site.toml"
    site.write_text(
        f'region = "us-east-1"\naws_endpoint_url = "{stack.url}"\niot_endpoint = "localhost"\niot_port = {stack.mqtt}\nca_file = "{stack.ca}"\n'
    )
    env = environment(HOME=tmp_path, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1")

    def run(*arguments):
        return box.run(*arguments, env=env)

    yield box, stack, pathlib.Path(site), run
    box.stop()
    stack.stop()


def test_the_whole_job_passes_and_undo_leaves_nothing(bench):
    box, stack, site, run = bench
    done = run(
        "commission", "--port", box.port, "--truck", "T001", "--thing", "truckSensor01", "--site", site,
        "--ledger", box.ledger, "--calibration", "skip", "--json",
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    iot = stack.client("iot")
    things = iot.list_things()["things"]
    assert [t["thingName"] for t in things] == ["truckSensor01"]
    assert things[0]["attributes"]["deviceID"] == "T001"
    certificates = iot.list_certificates()["certificates"]
    assert [c["status"] for c in certificates] == ["ACTIVE"], certificates
    assert len(iot.list_thing_principals(thingName="truckSensor01")["principals"]) == 1
    assert len(iot.list_attached_policies(target=certificates[0]["certificateArn"])["policies"]) == 1

    job = events(done.stdout)[0]["job"]
    shown = run("shadow", "get", "truckSensor01", "--site", site)
    assert '"interval_secs"' in shown.stdout, shown.stderr
    undone = run("undo", job, "--site", site, "--ledger", box.ledger, "--json")
    assert undone.returncode == 0, undone.stdout[-3000:] + undone.stderr
    assert iot.list_things()["things"] == []
    assert iot.list_certificates()["certificates"] == []
