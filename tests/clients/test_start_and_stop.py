"""A start that is refused leaves nothing half-started, and a stop leaves nothing at any moment."""

import shutil
import signal
import socket
import subprocess
import urllib.request

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
    # Nothing was made, so that the next one is a first start, too.
    assert not outport.data_dir.exists()
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


def run_deaf_task(outport, app_image):
    """A task that does not listen to SIGTERM and has two minutes to end."""
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register(
        "deaf", [{"name": "main", "image": f"{uri}:1.0", "memory": 16, "stopTimeout": 120,
                  "command": ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"]}])
    arn = outport.run(definition)["taskArn"]
    outport.reaches(arn, "RUNNING")
    return arn


def test_a_stop_says_what_it_waits_for_and_a_second_signal_kills(outport, app_image):
    outport.start()
    arn = run_deaf_task(outport, app_image)
    outport.process.send_signal(signal.SIGHUP)
    until(lambda: 'event="tasks_being_stopped"' in outport.log(), "it says what it waits for", 90)
    log = outport.log()
    assert "stopping 1 task, 150 seconds at most; another Ctrl-C kills what still runs" in log
    (line,) = [line for line in log.splitlines() if 'event="tasks_being_stopped"' in line][:1]
    assert f"{arn.rpartition('/')[2]} (deaf:1)" in line and "seconds_max=1" in line, line
    assert outport.process.poll() is None
    outport.process.send_signal(signal.SIGTERM)
    # Far less than the two minutes that the task has.
    assert outport.process.wait(timeout=60) == 0
    outport.assert_nothing_left()
    assert "killing the tasks" in outport.log()
    outport.start()
    (container,) = outport.task(arn)["containers"]
    assert (outport.task(arn)["lastStatus"], container["exitCode"]) == ("STOPPED", 137)
    outport.stop()


def test_a_stop_gives_a_task_the_time_of_its_definition(outport, app_image):
    """More than a task has that must go at once."""
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    command = "trap 'sleep 4; exit 7' TERM; while true; do sleep 0.1; done"
    definition = outport.register(
        "slow", [{"name": "main", "image": f"{uri}:1.0", "memory": 16, "stopTimeout": 60,
                  "command": ["sh", "-c", command]}])
    arn = outport.run(definition)["taskArn"]
    outport.reaches(arn, "RUNNING")
    # The minute of the task, and what a node may take on a loaded machine to let go of it.
    outport.stop(patience_s=180)
    outport.start()
    assert outport.task(arn)["containers"][0]["exitCode"] == 7
    outport.stop()


def test_a_service_manager_hears_that_it_is_ready_and_that_it_stops(outport, tmp_path):
    """What systemd's Type=notify asks for. A unit that is started answers; no container inherits the socket."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(90)
        outport.start(ready=False, env={"NOTIFY_SOCKET": str(path)})
        assert manager.recv(4096) == b"READY=1\n"
        with urllib.request.urlopen(f"{outport.env()['AWS_ENDPOINT_URL']}/_outport/health",
                                    timeout=60) as answer:
            assert answer.status == 200
        outport.process.send_signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1\n"
        assert outport.process.wait(timeout=120) == 0


def test_a_service_manager_that_is_gone_is_not_waited_for(outport, tmp_path):
    outport.start(env={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    outport.stop()
    outport.assert_nothing_left()
