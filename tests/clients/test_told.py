"""What people are told who ask the wrong directory, the wrong region, with the wrong key, or for more than there is."""

import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.exceptions
import pytest

from support.halves import Halves
from support.outport import Outport
from support.wait import until


def ask(binary, *arguments, **options):
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60,
                          **options)


def health(outport):
    try:
        with urllib.request.urlopen(f"{outport.url}/_outport/health", timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""


def test_an_outport_that_stops_says_so_and_one_that_has_stopped_is_warned_of(outport, app_image):
    outport.start()
    assert health(outport).startswith("ready")
    uri = outport.push(app_image, "app", "1.0")
    stubborn = outport.register("stubborn", [{
        "name": "main", "image": f"{uri}:1.0", "memory": 32, "stopTimeout": 20,
        "command": ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"]}], networkMode="none")
    outport.reaches(outport.run(stubborn)["taskArn"], "RUNNING")
    assert ask(outport.binary, "env", "--data-dir", outport.data_dir).stderr == ""
    outport.process.send_signal(signal.SIGTERM)
    until(lambda: health(outport).startswith("stopping"), "it says that it stops")
    # The task need not have its time.
    outport.process.send_signal(signal.SIGTERM)
    assert outport.process.wait(timeout=60) == 0, outport.log()
    env = ask(outport.binary, "env", "--data-dir", outport.data_dir)
    assert env.returncode == 0 and "export AWS_ENDPOINT_URL=" in env.stdout
    assert f"no Outport runs with {outport.data_dir} now" in env.stderr, env.stderr
    outport.assert_nothing_left()


def test_the_directory_of_a_node_says_whom_to_ask_and_what_it_leaves(outport, app_image):
    halves = Halves(outport)
    try:
        halves.server()
        halves.node()
        for command in (["env"], ["ps"], ["status"]):
            done = ask(outport.binary, command[0], "--data-dir", halves.node_dir, *command[1:])
            assert done.returncode == 1
            assert f"{halves.node_dir} is the data directory of a node" in done.stderr, done.stderr
            assert f"Ask its control plane, https://127.0.0.1:{outport.port}," in done.stderr, done.stderr
        # What its tasks wrote it has itself.
        done = ask(outport.binary, "logs", "--data-dir", halves.node_dir, "x")
        assert done.returncode == 1
        assert "no task whose id begins with x has output on this node" in done.stderr, done.stderr
        uri = outport.push(app_image, "app", "1.0")
        stays = outport.register("stays", [{
            "name": "main", "image": f"{uri}:1.0", "memory": 32, "command": ["sleep", "600"]}],
            networkMode="none")
        arn = outport.run(stays)["taskArn"]
        outport.reaches(arn, "RUNNING")
        # Its keeper is known by its name.
        instance = (halves.node_dir / "instance").read_text().strip()
        shims = subprocess.run(["pgrep", "-af", f"shim /run/outport/{instance}/"],
                               capture_output=True, text=True).stdout
        assert " outport shim " in shims, shims
        halves.terminate("node")
        assert "1 task runs on without this process" in halves.log("node"), halves.log("node")
        assert f"outport cleanup --data-dir {halves.node_dir}" in halves.log("node")
        # And it does.
        halves.node()
        outport.ecs.stop_task(task=arn)
        outport.reaches(arn, "STOPPED")
    finally:
        halves.destroy()


def test_another_users_directory_says_how_to_ask(binary):
    # Where everybody may enter, as the directories of the tests are not.
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        place = Path(place)
        place.chmod(0o755)
        program = place / "outport"
        shutil.copy(binary, program)
        program.chmod(0o755)
        directory = place / "data"
        directory.mkdir(mode=0o700)
        done = subprocess.run([program, "env", "--data-dir", directory], user=65534, group=65534,
                              extra_groups=[], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "is readable by its owner only: run this with sudo" in done.stderr, done.stderr
    assert f'eval "$(sudo outport env --data-dir {directory})"' in done.stderr, done.stderr


def refused(outport, service="ecs", operation="list_clusters", region="us-east-1", key=None,
            **arguments):
    env = outport.env()
    client = boto3.client(
        service, endpoint_url=outport.url, region_name=region,
        aws_access_key_id=key or env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"])
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        getattr(client, operation)(**arguments)
    return refusal.value.response["Error"]["Message"]


def test_region_key_and_what_is_not_served_are_told_with_what_to_do(shared_outport):
    said = refused(shared_outport, region="mars-1")
    assert said == ("Credential should be scoped to a valid region, not 'mars-1'. "
                    "This Outport serves us-east-1 and 35 other regions.")
    said = refused(shared_outport, key="test")
    assert said.startswith("The security token included in the request is invalid.")
    assert "`outport env`" in said
    assert refused(shared_outport, key="AKIAOTHER") == \
        "The security token included in the request is invalid."
    place = "/_outport/compatibility"
    assert place in refused(shared_outport, operation="create_capacity_provider", name="x",
                            autoScalingGroupProvider={"autoScalingGroupArn": "x"})
    assert place in refused(shared_outport, "kinesis", "list_streams")
    with urllib.request.urlopen(shared_outport.url + place) as page:
        assert "# Compatibility" in page.read().decode()


def test_a_task_that_never_fits_is_told_so_with_the_machine(shared_outport, app_image):
    outport = shared_outport
    definition = outport.register(
        "giant", [{"name": "main", "image": "app"}], networkMode="awsvpc", cpu="16384",
        memory="122880", requiresCompatibilities=["FARGATE"])
    answer = outport.ecs.run_task(taskDefinition=definition, launchType="FARGATE",
                                  networkConfiguration=outport.awsvpc())
    (failure,) = answer["failures"]
    assert failure["reason"].startswith("Capacity is unavailable at this time.")
    (arn,) = outport.ecs.list_container_instances()["containerInstanceArns"]
    assert "wanted: 16384 CPU units, 122880 MiB" in failure["detail"]
    assert f"({arn.rsplit('/', 1)[1]})" in failure["detail"]
    assert "larger than any machine" in failure["detail"]


def test_two_that_offer_one_machine_are_warned(outport, shared_outport):
    other = shared_outport.instance()
    outport.start()
    warned = f"another Outport, {other}, runs tasks on this machine too"
    until(lambda: warned in outport.log(), "it warns of the other one")
    assert "--cpu-units and --memory-mib" in outport.log()
    outport.stop()
    before = outport.log().count(warned)
    outport.start("--cpu-units", "256", "--memory-mib", "256")
    # What looks for others has looked when the dead are told of, or at the latest at the end.
    outport.stop()
    assert outport.log().count(warned) == before


def test_a_range_that_another_took_says_how_to_get_it_back(outport, tmp_path):
    outport.start()
    outport.stop()
    other = Outport(outport.binary, tmp_path / "other")
    other.directory.mkdir()
    other.vpc_cidr = outport.vpc_cidr
    other.start()
    try:
        done = ask(outport.binary, "up", "--data-dir", outport.data_dir, "--listen",
                   str(outport.port))
        assert done.returncode == 1
        assert f"stop the other Outport with `kill {other.process.pid}`" in done.stderr, done.stderr
        assert "`outport up --data-dir DIR`" in done.stderr
        assert other.instance() in done.stderr
    finally:
        other.stop()
    outport.start()
    outport.stop()
    outport.assert_nothing_left()
