"""A data directory that the first slice wrote opens whole: every row, log line, image and record of it is there.

The fixture, and how it was made, is in `tests/fixtures/first-slice`.
"""

import json
import secrets
import signal
import socket
import subprocess
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support import image_tools
from support.wait import until

FIXTURE = Path(__file__).parent.parent / "fixtures/first-slice"
VPC_CIDR = "10.249.0.0/16"
#: Fields whose value is of the address, the moment or the node, not of what was stored.
OF_THE_MOMENT = {"repositoryUri", "agentConnected", "versionInfo", "remainingResources",
                 "registeredResources"}


@pytest.fixture
def old(outport):
    """The directory, and its address range, for as long as the test runs: as an instance of its own."""
    with tarfile.open(FIXTURE / "data.tar.xz") as tar:
        tar.extractall(outport.directory, filter="fully_trusted")
    (outport.data_dir / "instance").write_text(secrets.token_hex(4) + "\n")
    outport.vpc_cidr = VPC_CIDR
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def is_held():
        try:
            holder.bind("\0outport-tests-first-slice")
            return True
        except OSError:
            return False

    until(is_held, "no other run of this test uses the range", 300)
    yield outport
    holder.close()


@pytest.fixture
def server(old):
    """The control plane alone: nobody runs the tasks, and nobody says that they are gone."""
    log = (old.directory / "server.log").open("wb")
    process = subprocess.Popen(
        [old.binary, "server", "--data-dir", old.data_dir, "--listen", f"127.0.0.1:{old.port}",
         "--default-vpc-cidr", VPC_CIDR],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def is_healthy():
        assert process.poll() is None, (old.directory / "server.log").read_text()
        try:
            with urllib.request.urlopen(f"{old.url}/_outport/health") as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False

    until(is_healthy, "the server answers", 90)
    yield old
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=90) == 0, (old.directory / "server.log").read_text()


def expected():
    return json.loads((FIXTURE / "expected.json").read_text())


def live(tasks):
    """A stopped task is shown for an hour, as at AWS: the fixture's is forgotten by whoever opens it later."""
    return [task for task in tasks if task["lastStatus"] != "STOPPED"]


def said_before(services, was):
    """A service that stands goes on to say that it is steady, every six hours: what it said before is there still."""
    known = {event["id"] for service in was for event in service["events"]}
    return [{**service, "events": [event for event in service["events"] if event["id"] in known]}
            for service in services]


def plain(document):
    """As the fixture has it: times are seconds."""
    return json.loads(json.dumps(document, default=lambda time: time.timestamp()))


def check(was, now, at=""):
    """Everything that was said is said still; later versions may say more."""
    if isinstance(was, dict):
        for name, value in was.items():
            assert name in now, f"{at}/{name} is gone"
            if name not in OF_THE_MOMENT:
                check(value, now[name], f"{at}/{name}")
    elif isinstance(was, list):
        assert len(was) == len(now), f"{at}: {len(was)} were there, {len(now)} are"
        for number, (before, after) in enumerate(zip(was, now)):
            check(before, after, f"{at}/{number}")
    else:
        assert was == now, f"{at}: {was!r} is {now!r}"


def test_every_row_and_every_log_line_is_there(server):
    was = expected()
    ecs, ecr, logs = server.ecs, server.client("ecr"), server.client("logs")
    tasks = ecs.list_tasks()["taskArns"] + ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]
    definitions = [arn for status in ("ACTIVE", "INACTIVE")
                   for arn in ecs.list_task_definitions(status=status)["taskDefinitionArns"]]
    instances = ecs.list_container_instances()["containerInstanceArns"]
    now = plain({
        "clusters": ecs.describe_clusters(clusters=["default", "second"],
                                          include=["TAGS", "SETTINGS"])["clusters"],
        "definitions": [ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
                        for arn in sorted(definitions)],
        "services": ecs.describe_services(services=["web"], include=["TAGS"])["services"],
        "tasks": sorted(ecs.describe_tasks(tasks=tasks)["tasks"], key=lambda task: task["taskArn"]),
        "instances": ecs.describe_container_instances(
            containerInstances=instances)["containerInstances"],
        "settings": ecs.list_account_settings()["settings"],
        "repositories": sorted(ecr.describe_repositories()["repositories"],
                               key=lambda one: one["repositoryName"]),
        "images": sorted(ecr.describe_images(repositoryName="team/app")["imageDetails"],
                         key=lambda one: one["imageDigest"]),
        "groups": logs.describe_log_groups()["logGroups"],
    })
    events = was.pop("events")
    was["tasks"], now["tasks"] = live(was["tasks"]), live(now["tasks"])
    now["services"] = said_before(now["services"], was["services"])
    assert len(was["tasks"]) == 2
    check(was, now)
    for group, lines in events.items():
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        found = sorted([event["timestamp"], event["logStreamName"], event["message"]]
                       for page in pages for event in page["events"])
        assert found == lines, group
    assert len(events["/by-hand"]) == 50 and len(events["/web"]) == 30


def test_every_image_is_pulled_as_it_was_pushed(server, tmp_path):
    uri = server.repository_uri("team/app")
    password = server.aws("ecr", "get-login-password").strip()
    auth_file = tmp_path / "auth.json"
    image_tools.run("skopeo", "login", "--authfile", auth_file, "--username", "AWS",
                    "--password-stdin", uri.split("/")[0], input=password)
    digests = {image["imageTags"][0]: image["imageDigest"] for image in expected()["images"]}
    assert sorted(digests) == ["1.0", "2.0"]
    for tag, digest in digests.items():
        layout = tmp_path / tag
        image_tools.run("skopeo", "copy", "--insecure-policy", "--authfile", auth_file,
                        f"docker://{uri}:{tag}", f"oci:{layout}:{tag}")
        [manifest] = json.loads((layout / "index.json").read_text())["manifests"]
        assert manifest["digest"] == digest


def test_every_record_of_the_node_is_read(old):
    """Nothing runs any more, as after a boot: what ran is reported stopped, and not as lost."""
    arns = [task["taskArn"] for task in live(expected()["tasks"])]
    records = [path.parent.name for path in (old.data_dir / "node/tasks").glob("*/task.json")]
    images = len(list((old.data_dir / "node/images/images").iterdir()))
    old.start("--cpu-units", "2048", "--memory-mib", "2048", "--no-user-namespaces")
    assert sorted(arn.rsplit("/")[-1] for arn in arns) == sorted(records)
    for arn in arns:
        assert "lost its record" not in old.reaches(arn, "STOPPED")["stoppedReason"]
    log = old.log()
    assert "task_record_" not in log and "image_dropped" not in log, log
    assert len(list((old.data_dir / "node/images/images").iterdir())) == images == 2

    old.stop()
