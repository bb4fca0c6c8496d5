"""The terminal's contract, tried as a script would use it."""

import json
import pathlib
import re
import signal
import subprocess

import jsonschema
import pytest

from conftest import BIN, JOB_SECS, ROOT, Lines, Sandbox, environment, events, wait_until

SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "tests/schema/event.json").read_text()))
STEPS = ["identify", "preflight", "flash", "boot", "key", "register", "install", "calibrate", "prove", "seal"]


def test_demo_serves_with_the_facts_promised(sandbox):
    wanted = {"ports", "aws_endpoint_url", "iot_endpoint", "iot_port", "ca_file", "region", "access_key_id", "secret_access_key", "site_file"}
    assert wanted <= set(sandbox.facts)
    assert pathlib.Path(sandbox.facts["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_demo_without_a_display_ends_with_pass(tmp_path):
    done = subprocess.run(
        [str(BIN), "demo"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=JOB_SECS,
        env=environment(HOME=tmp_path), cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"^PASS ", done.stdout, re.M), done.stdout[-4000:]


def test_every_event_of_a_job_fits_the_schema_and_the_plan(commissioned):
    for event in commissioned.events:
        SCHEMA.validate(event)
    assert commissioned.events[0]["event"] == "plan"
    assert [s["step"] for s in commissioned.events[0]["steps"]] == STEPS
    finished = [e["step"] for e in commissioned.events if e["event"] == "step_finished"]
    assert sorted(finished) == sorted(STEPS)
    last = commissioned.events[-1]
    assert (last["event"], last["outcome"], last["thing"], last["truck"]) == ("finished", "passed", "truckSensor01", "T001")


def test_the_cloud_holds_exactly_what_the_job_made(commissioned):
    iot = commissioned.boto("iot")
    things = iot.list_things()["things"]
    assert [t["thingName"] for t in things] == ["truckSensor01"]
    attributes = things[0]["attributes"]
    assert attributes["deviceID"] == "T001" and attributes["powerRequirements"] == "12v"
    assert things[0]["thingTypeName"] == "sensor_DoorAndPower"
    certificates = iot.list_certificates()["certificates"]
    assert [c["status"] for c in certificates] == ["ACTIVE"]
    assert iot.list_thing_principals(thingName="truckSensor01")["principals"] == [certificates[0]["certificateArn"]]
    assert len(iot.list_attached_policies(target=certificates[0]["certificateArn"])["policies"]) == 1
    assert len(iot.list_thing_groups_for_thing(thingName="truckSensor01")["thingGroups"]) == 1
    shadow = json.loads(commissioned.boto("iot-data").get_thing_shadow(thingName="truckSensor01")["payload"].read())
    assert shadow["state"]["reported"]["interval_secs"] == 5
    assert "delta" not in shadow["state"]


def test_jobs_and_show_tell_the_record(commissioned):
    rows = events(commissioned.run("jobs", "--ledger", commissioned.ledger, "--json").stdout)
    assert {"job", "truck", "thing", "mac", "state"} <= set(rows[0])
    row = next(r for r in rows if r["thing"] == "truckSensor01")
    assert (row["truck"], row["state"]) == ("T001", "passed")
    shown = commissioned.run("show", row["job"], "--ledger", commissioned.ledger, "--json")
    assert shown.returncode == 0
    assert row["job"] in shown.stdout
    assert "PRIVATE KEY" not in shown.stdout
    plain = commissioned.run("show", row["job"], "--ledger", commissioned.ledger)
    assert "T001" in plain.stdout and "seal" in plain.stdout


def test_live_shows_readings_over_usb_and_from_the_cloud(commissioned):
    usb = commissioned.run("live", "--port", commissioned.port, "--site", commissioned.site, "--count", 2, "--json", timeout=120)
    assert usb.returncode == 0, usb.stderr
    cloud = commissioned.run("live", "--thing", "truckSensor01", "--site", commissioned.site, "--count", 2, "--json", timeout=120)
    assert cloud.returncode == 0, cloud.stderr
    for text in (usb.stdout, cloud.stdout):
        rows = events(text)
        assert len(rows) == 2
        assert all(-40 < r["freezer_celsius"] < 0 and r["time"].endswith("Z") for r in rows)


def test_shadow_get_and_set(commissioned):
    got = commissioned.run("shadow", "get", "truckSensor01", "--site", commissioned.site)
    assert json.loads(got.stdout)["state"]["reported"]["interval_secs"] == 5
    done = commissioned.run("shadow", "set", "truckSensor01", '{"interval_secs":6}', "--site", commissioned.site)
    assert done.returncode == 0, done.stderr

    def reported():
        text = commissioned.run("shadow", "get", "truckSensor01", "--site", commissioned.site).stdout
        return json.loads(text)["state"]["reported"]["interval_secs"] == 6

    wait_until(reported, 90)
    commissioned.run("shadow", "set", "truckSensor01", '{"interval_secs":5}', "--site", commissioned.site)
    bad = commissioned.run("shadow", "set", "truckSensor01", "{interval", "--site", commissioned.site)
    assert bad.returncode == 2 and "Traceback" not in bad.stderr


def test_a_commissioned_board_is_recognised_and_proven_again(commissioned):
    again = commissioned.commission("--thing", "truckSensor01")
    assert again.returncode == 0, again.stdout[-3000:]
    assert len(commissioned.boto("iot").list_certificates()["certificates"]) == 1
    flash = next(e for e in events(again.stdout) if e["event"] == "step_finished" and e["step"] == "flash")
    assert flash["outcome"] == "skipped"


def test_a_board_of_another_truck_is_refused(commissioned):
    other = commissioned.commission(truck="T002")
    assert other.returncode == 1
    problem = events(other.stdout)[-1]["problem"]
    assert "T001" in problem["sentence"] or "truckSensor01" in problem["sentence"]
    assert len(commissioned.boto("iot").list_things()["things"]) == 1


def test_undo_leaves_nothing_behind(sandbox):
    done = sandbox.commission()
    assert done.returncode == 0, done.stdout[-3000:]
    job = events(done.stdout)[0]["job"]
    undone = sandbox.run("undo", job, "--site", sandbox.site, "--ledger", sandbox.ledger, "--json")
    assert undone.returncode == 0, undone.stdout[-3000:] + undone.stderr
    for event in events(undone.stdout):
        SCHEMA.validate(event)
    iot = sandbox.boto("iot")
    assert iot.list_things()["things"] == []
    assert iot.list_certificates()["certificates"] == []
    rows = events(sandbox.run("jobs", "--ledger", sandbox.ledger, "--json").stdout)
    assert next(r for r in rows if r["job"] == job)["state"] == "undone"
    # The board is as new: it can be given to another truck.
    assert sandbox.commission(truck="T002").returncode == 0


def test_sweep_finds_leftovers_without_the_record_and_spares_proven_trucks(tmp_path):
    box = Sandbox(tmp_path, boards=2)
    try:
        proven = box.commission("--thing", "truckSensor02", port=box.facts["ports"][1], truck="T002")
        assert proven.returncode == 0, proven.stdout[-3000:]
        box.kill_in("prove")
        empty = box.dir / "another-ledger.sqlite"
        shown = box.run("sweep", "--site", box.site, "--ledger", empty)
        assert shown.returncode == 0 and "truckSensor-T001" in shown.stdout, shown.stdout + shown.stderr
        assert "truckSensor02" not in shown.stdout
        assert len(box.boto("iot").list_things()["things"]) == 2
        applied = box.run("sweep", "--apply", "--site", box.site, "--ledger", empty)
        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert [t["thingName"] for t in box.boto("iot").list_things()["things"]] == ["truckSensor02"]
        assert len(box.boto("iot").list_certificates()["certificates"]) == 1
    finally:
        box.stop()


def test_decommission_retires_thing_and_certificate(sandbox):
    assert sandbox.commission("--thing", "truckSensor09").returncode == 0
    done = sandbox.run("decommission", "--thing", "truckSensor09", "--site", sandbox.site, "--ledger", sandbox.ledger)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sandbox.boto("iot").list_things()["things"] == []
    assert sandbox.boto("iot").list_certificates()["certificates"] == []


def test_a_key_can_be_made_on_the_host_and_stays_out_of_every_output(sandbox):
    done = sandbox.commission("--host-key")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    assert b"PRIVATE KEY" not in sandbox.ledger.read_bytes()


def test_calibration_from_a_file(sandbox):
    file = sandbox.dir / "references.toml"
    file.write_text('thermometer_serial = "TL-1"\nmultimeter_serial = "MM-2"\n[[freezer]]\nreference_celsius = -20.0\n[[supply]]\nreference_volts = 12.6\n')
    done = sandbox.commission(calibration=file)
    assert done.returncode == 0, done.stdout[-3000:]
    for event in events(done.stdout):
        SCHEMA.validate(event)
    calibrate = next(e for e in events(done.stdout) if e["event"] == "step_finished" and e["step"] == "calibrate")
    assert calibrate["outcome"] in ("done", "warning")


@pytest.mark.parametrize("step", ["flash", "key", "install", "prove"])
def test_a_job_killed_in_a_step_is_resumed_to_pass(tmp_path, step):
    box = Sandbox(tmp_path)
    try:
        job = box.kill_in(step)
        resumed = box.run("resume", job, "--site", box.site, "--ledger", box.ledger, "--json")
        assert resumed.returncode == 0, resumed.stdout[-3000:] + resumed.stderr
        iot = box.boto("iot")
        assert len(iot.list_things()["things"]) == 1
        certificates = iot.list_certificates()["certificates"]
        assert [c["status"] for c in certificates] == ["ACTIVE"]
    finally:
        box.stop()


def test_an_interrupted_job_ends_with_3_and_can_be_undone(sandbox):
    process = subprocess.Popen(
        [str(BIN), "commission", "--port", sandbox.port, "--truck", "T001", "--site", str(sandbox.site), "--ledger", str(sandbox.ledger), "--calibration", "skip", "--json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=sandbox.environment(), cwd=sandbox.dir,
    )
    lines = Lines(process.stdout)
    seen = []
    while not (seen and seen[-1]["event"] == "step_started" and seen[-1]["step"] == "prove"):
        line = lines.next(JOB_SECS)
        assert line, "the job ended before prove"
        seen.append(json.loads(line))
    process.send_signal(signal.SIGINT)
    while (line := lines.next(JOB_SECS)) is not None:
        seen.append(json.loads(line))
    assert process.wait(60) == 3
    assert seen[-1]["event"] == "finished" and seen[-1]["outcome"] == "cancelled"
    undone = sandbox.run("undo", seen[0]["job"], "--site", sandbox.site, "--ledger", sandbox.ledger, "--json")
    assert undone.returncode == 0, undone.stdout[-3000:]
    assert sandbox.boto("iot").list_certificates()["certificates"] == []


def test_bad_usage_and_bad_input_end_with_2(sandbox):
    bad = [
        ["commission"],
        ["commission", "--port", sandbox.port, "--truck", "T 001", "--site", sandbox.site],
        ["resume", "nonsense"],
        ["frobnicate"],
        ["live"],
    ]
    for arguments in bad:
        done = sandbox.run(*arguments)
        assert done.returncode == 2, arguments
        assert done.stdout == "" and done.stderr, arguments
        assert "panicked" not in done.stderr
    site = sandbox.dir / "bad.toml"
    site.write_text('region = "x"\nthing_tipe = "y"\n')
    done = sandbox.run("commission", "--port", sandbox.port, "--truck", "T001", "--site", site, "--ledger", sandbox.ledger)
    assert done.returncode == 2 and "thing_type" in done.stderr and "line 2" in done.stderr, done.stderr


def test_a_missing_port_and_a_missing_job_are_told_with_advice(sandbox):
    done = sandbox.commission(port="/dev/ttyNothing7")
    assert done.returncode == 1
    assert events(done.stdout)[-1]["problem"]["code"] == "port.missing"
    shown = sandbox.run("show", "01JD5Z8W8K6Q2M3V4X5Y6Z7A8B", "--ledger", sandbox.ledger)
    assert shown.returncode == 2 and "coldbench jobs" in shown.stderr


def test_ports_and_doctor_answer(sandbox):
    assert sandbox.run("ports", "--json").returncode == 0
    done = sandbox.run("doctor", "--site", sandbox.site, "--json")
    rows = events(done.stdout)
    assert done.returncode in (0, 1) and len(rows) >= 5
    assert {"what", "state", "found", "advice"} <= set(rows[0])


def test_every_command_has_help_with_an_example(sandbox):
    for command in ("demo", "ports", "flash", "commission", "resume", "undo", "jobs", "show", "sweep", "live", "shadow", "decommission", "doctor"):
        done = sandbox.run(command, "--help")
        assert done.returncode == 0 and "Example" in done.stdout, command


def test_an_expired_or_wrong_login_is_told(sandbox):
    env = sandbox.environment()
    env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    env["AWS_ACCESS_KEY_ID"] = "AKIAWRONGWRONGWRONG1"
    done = sandbox.run(
        "commission", "--port", sandbox.port, "--truck", "T001", "--site", sandbox.site, "--ledger", sandbox.ledger,
        "--calibration", "skip", "--json", env=env,
    )
    assert done.returncode == 1
    assert events(done.stdout)[-1]["problem"]["code"] == "cloud.login-expired"
    assert sandbox.boto("iot").list_things()["things"] == []
