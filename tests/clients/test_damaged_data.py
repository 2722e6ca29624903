"""A server that finds less than it acknowledged, or not what it wrote, does not start: it names the file and what can be
done, and leaves all as it is, so that putting back what is missing is enough.
"""

import subprocess
import time
import urllib.error
import urllib.request

import pytest

from support.registry import Registry
from support.wait import until

GROUP, STREAM, REPOSITORY = "/kept", "s", "kept"


#: Servers of this test, none of which is to outlive it.
STARTED = []


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    while STARTED:
        process = STARTED.pop()
        process.kill()
        process.wait(timeout=60)


@pytest.fixture
def killed(outport):
    """The data directory of a server that was killed after it acknowledged images and events."""
    process = start(outport)
    until(lambda: is_healthy(outport, process), "the server answers", 90)
    outport.client("ecr").create_repository(repositoryName=REPOSITORY)
    registry = Registry(outport, REPOSITORY)
    registry.push("latest", [b"a layer"])
    logs = outport.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    for number in range(3):
        logs.put_log_events(
            logGroupName=GROUP, logStreamName=STREAM,
            logEvents=[{"timestamp": int(time.time() * 1000), "message": f"line {number}"}])
    # Last: it is in the write-ahead log alone.
    outport.ecs.create_cluster(clusterName="kept")
    process.kill()
    process.wait(timeout=60)
    return outport


def start(outport):
    with (outport.directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [outport.binary, "server", "--data-dir", outport.data_dir, "--listen",
             f"127.0.0.1:{outport.port}", "--default-vpc-cidr", outport.vpc_cidr],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    STARTED.append(process)
    return process


def is_healthy(outport, process):
    assert process.poll() is None, (outport.directory / "server.log").read_text()
    try:
        with urllib.request.urlopen(f"{outport.url}/_outport/health") as answer:
            return answer.status == 200
    except urllib.error.URLError:
        return False


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


DAMAGES = [
    ("registry/registry.sqlite", remove), ("registry/registry.sqlite", empty),
    ("registry/registry.sqlite-wal", remove), ("registry/registry.sqlite-wal", empty),
    ("registry/registry.sqlite-wal", cut), ("registry/registry.sqlite-wal", flip),
    ("logs/catalog.sqlite", remove), ("logs/catalog.sqlite-wal", remove),
    ("logs/catalog.sqlite-wal", empty), ("logs/catalog.sqlite-wal", cut),
    ("logs/catalog.sqlite-wal", flip), ("logs/journals/0000000000000001.journal", remove),
    ("logs/journals/0000000000000001.journal", empty),
    ("logs/journals/0000000000000001.journal", cut),
    ("logs/journals/0000000000000001.journal", flip),
    ("control/journal.sqlite", remove), ("control/journal.sqlite-wal", remove),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_damage_is_refused_and_mended_by_putting_back(killed, name, damage):
    outport, path = killed, killed.data_dir / name
    whole = path.read_bytes()
    damage(path)
    process = start(outport)
    assert process.wait(timeout=90) != 0
    log = (outport.directory / "server.log").read_text()
    assert str(path.parent) in log and "is damaged" in log and "restore" in log, log
    path.write_bytes(whole)
    check_all_is_there(outport)


@pytest.mark.parametrize("name", [
    "control", "registry", "logs", "instance", "root-key", "sealing-key", "master-key", "tls", "join-token"])
def test_what_is_gone_as_a_whole_is_not_made_anew(killed, name):
    outport, path = killed, killed.data_dir / name
    aside = killed.directory / "aside"
    path.rename(aside)
    if aside.is_dir():
        # As a mount point is without its file system.
        path.mkdir()
    process = start(outport)
    assert process.wait(timeout=90) != 0
    log = (outport.directory / "server.log").read_text()
    assert f"{path} is gone" in log, log
    if path.exists():
        assert list(path.iterdir()) == []
        path.rmdir()
    aside.rename(path)
    check_all_is_there(outport)


def check_all_is_there(outport):
    process = start(outport)
    until(lambda: is_healthy(outport, process), "the server answers", 90)
    events = outport.client("logs").get_log_events(
        logGroupName=GROUP, logStreamName=STREAM, startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["line 0", "line 1", "line 2"]
    images = outport.client("ecr").list_images(repositoryName=REPOSITORY)["imageIds"]
    assert [image["imageTag"] for image in images] == ["latest"]
    assert any(arn.endswith("/kept") for arn in outport.ecs.list_clusters()["clusterArns"])
    process.terminate()
    assert process.wait(timeout=90) == 0
