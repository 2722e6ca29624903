"""A start that is refused leaves nothing half-started, and a stop leaves nothing at any moment."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support.reservation import Reservation
from support.wait import until


@pytest.fixture
def taken_range():
    """A route of the host over a range that a VPC might want."""
    reserved = Reservation()
    taken = reserved.vpc_cidr
    subprocess.run(["ip", "route", "add", taken, "dev", "lo"], check=True)
    yield taken
    subprocess.run(["ip", "route", "del", taken, "dev", "lo"], check=True)


def refused(binary, outport, *options, vpc_cidr=None):
    """The one line that a start says when it is refused."""
    done = subprocess.run(
        [binary, "up", "--data-dir", outport.data_dir, "--listen", f"127.0.0.1:{outport.port}",
         "--default-vpc-cidr", vpc_cidr or outport.vpc_cidr, *options],
        capture_output=True, text=True, timeout=90)
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_clash_with_the_host_is_said_once_and_another_range_then_works(
        binary, outport, taken_range):
    wanted = taken_range.replace(".0.0/16", ".16.0/20")
    line = refused(binary, outport, vpc_cidr=wanted)
    assert line.count(f"{wanted} overlaps {taken_range}") == 1, line
    assert "--default-vpc-cidr" in line
    assert not (Path("/run/outport") / outport.instance()).exists()
    outport.start()
    outport.stop()
    outport.assert_nothing_left()


def test_an_oci_runtime_that_is_not_there_is_refused(binary, outport):
    assert "no such program" in refused(binary, outport, "--oci-runtime", "/no/such/runtime")
    assert not outport.data_dir.exists()


def test_a_signal_during_the_start_leaves_nothing(outport):
    """At several moments of the start, from the first sign of life on."""
    for marker in ("instance", "endpoint", "node/node-id", "node/tasks"):
        outport.start(ready=False)
        until((outport.data_dir / marker).exists, marker, 90)
        outport.process.send_signal(signal.SIGTERM)
        # The start is finished before it is undone, and given a minute for that.
        assert outport.process.wait(timeout=120) in (0, -signal.SIGTERM)
        outport.assert_nothing_left()
        shutil.rmtree(outport.data_dir)
    outport.process = None


def test_a_stop_takes_along_what_was_just_started(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register("web", [{"name": "web", "image": f"{uri}:1.0", "memory": 16}],
                                  networkMode="awsvpc")
    network = {"awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    tasks = outport.ecs.run_task(taskDefinition=definition, launchType="EC2", count=8,
                                 networkConfiguration=network)["tasks"]
    outport.stop()
    outport.assert_nothing_left()
    assert len(tasks) == 8


def test_two_signals_at_once_are_one_request(outport):
    outport.start()
    outport.process.send_signal(signal.SIGTERM)
    outport.process.send_signal(signal.SIGINT)
    assert outport.process.wait(timeout=60) == 0
    outport.assert_nothing_left()


def test_up_makes_the_cluster_that_its_machine_joins(binary, outport):
    assert "--cluster" in refused(binary, outport, "--cluster", "no such name")
    outport.start("--cluster", "edge")
    (instance,) = outport.ecs.list_container_instances(cluster="edge")["containerInstanceArns"]
    assert "/edge/" in instance
    assert not outport.ecs.list_container_instances(cluster="default")["containerInstanceArns"]
    outport.stop()
    outport.assert_nothing_left()
