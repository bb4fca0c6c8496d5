"""A board imitated on one of two crossed serial ports: what stands for the line where there are no pseudo-terminals."""

import json
import os
import selectors
import subprocess
import threading
import tty

import pytest

from conftest import BIN, JOB_SECS, environment


@pytest.fixture
def crossed():
    """Two serial ports and a cable between them."""
    ends = [os.openpty(), os.openpty()]
    for _, slave in ends:
        tty.setraw(slave)
    stop_reading, stop = os.pipe()
    masters = [master for master, _ in ends]

    def carry():
        other = {masters[0]: masters[1], masters[1]: masters[0]}
        with selectors.DefaultSelector() as ready:
            for source in [*masters, stop_reading]:
                ready.register(source, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fd == stop_reading:
                        return
                    os.write(other[key.fd], os.read(key.fd, 4096))

    cable = threading.Thread(target=carry, daemon=True)
    cable.start()
    yield [os.ttyname(slave) for _, slave in ends]
    os.write(stop, b"x")
    cable.join(timeout=JOB_SECS)
    for descriptor in [*masters, *(slave for _, slave in ends), stop, stop_reading]:
        os.close(descriptor)


def test_the_whole_job_passes_over_crossed_ports(crossed):
    board, tool = crossed
    command = [BIN, "demo", "--terminal", "--json", "--line", f"{board}={tool}"]
    done = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=JOB_SECS)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert events[0]["port"] == tool
    assert events[-1]["outcome"] == "passed", events[-1]


def test_a_line_that_names_no_two_ports_is_refused():
    done = subprocess.run([BIN, "demo", "--line", "COM20"], env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "COM20=COM21" in done.stderr
