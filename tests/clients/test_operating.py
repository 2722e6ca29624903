"""What an operator does now and then: tokens, keys, retention, and what takes the disk. As docs/guide/operating.md says it."""

import json
import os
import re
import subprocess

import botocore.exceptions
import pytest

from support.halves import Halves
from support.registry import Registry
from support.wait import until


@pytest.fixture
def halves(outport):
    halves = Halves(outport)
    yield halves
    halves.destroy()


def run(binary, *arguments, check=True):
    done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("is_running", [True, False])
def test_an_old_join_token_lets_nobody_join_and_those_that_joined_stay(
        binary, halves, outport, tmp_path, is_running):
    halves.server()
    token = outport.data_dir / "join-token"
    old = tmp_path / "old-token"
    old.write_bytes(token.read_bytes())
    halves.node(join_token_file=old)
    if not is_running:
        halves.terminate("server")
    told = run(binary, "node-token", "rotate", "--data-dir", outport.data_dir).stdout
    assert str(token) in told
    if not is_running:
        halves.server()
    assert token.read_text() != old.read_text()
    assert token.stat().st_mode & 0o777 == 0o600
    # Its pin is the same, its secret is not.
    assert token.read_text().split(".")[2] == old.read_text().split(".")[2]

    # One that has joined comes back with its certificate, whatever token it was given.
    halves.terminate("node")
    halves.node(join_token_file=old)
    until(outport.connected_instances, "the node is connected")
    halves.terminate("node")
    (first,) = outport.ecs.list_container_instances()["containerInstanceArns"]

    # Another machine, for which this host stands in, does not join with the old one, and does with the new one.
    run(binary, "cleanup", "--data-dir", halves.node_dir)
    halves.node_dir.rename(tmp_path / "first-node")
    halves.node(join_token_file=old, wait=False)
    until(lambda: "join token" in halves.log("node").rpartition("is ready")[2],
          lambda: halves.log("node"))
    halves.kill("node")
    halves.node()
    arns = until(lambda: len(arns := outport.ecs.list_container_instances()
                             ["containerInstanceArns"]) == 2 and arns, "the second one joined")
    assert first in arns
    halves.terminate("node")


def test_a_rotation_needs_a_control_plane(binary, tmp_path):
    refused = run(binary, "node-token", "rotate", "--data-dir", tmp_path, check=False)
    assert refused.returncode != 0 and "holds no control plane" in refused.stderr


def test_a_machine_that_is_gone_leaves_and_does_not_come_back(binary, halves, outport):
    halves.server()
    halves.node()
    (arn,) = outport.ecs.list_container_instances()["containerInstanceArns"]
    halves.kill("node")
    outport.ecs.deregister_container_instance(containerInstance=arn, force=True)
    assert outport.ecs.list_container_instances()["containerInstanceArns"] == []
    process = halves.node(wait=False)
    assert process.wait(timeout=60) != 0
    assert "deregistered" in halves.log("node")
    # With a new identity it joins as another one.
    run(binary, "cleanup", "--data-dir", halves.node_dir)
    halves.node_dir.rename(outport.directory / "gone")
    halves.node()
    (new,) = until(lambda: outport.ecs.list_container_instances()["containerInstanceArns"],
                   "it joined")
    assert new != arn
    halves.terminate("node")


def test_the_root_key_is_rotated_as_the_guide_says(halves, outport):
    halves.server()
    old = outport.ecs
    old.list_clusters()
    halves.terminate("server")
    (outport.data_dir / "root-key").unlink()
    made = outport.data_dir / "made"
    made.write_text("".join(line for line in made.read_text().splitlines(True)
                            if line != "root-key\n"))
    halves.server()
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        old.list_clusters()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    outport._clients.clear()
    assert outport.ecs.list_clusters()["clusterArns"]
    halves.terminate("server")


def test_new_log_groups_have_the_retention_of_the_option(binary, outport):
    outport.start("--log-retention-days", "7")
    logs = outport.client("logs")

    def retention():
        return {group["logGroupName"]: group.get("retentionInDays")
                for group in logs.describe_log_groups()["logGroups"]}
    for name in ("/plain", "/own", "/none"):
        logs.create_log_group(logGroupName=name)
    logs.put_retention_policy(logGroupName="/own", retentionInDays=30)
    logs.delete_retention_policy(logGroupName="/none")
    assert retention() == {"/plain": 7, "/own": 30, "/none": None}
    outport.stop()
    outport.start()
    logs = outport.client("logs")
    logs.create_log_group(logGroupName="/later")
    assert retention() == {"/plain": 7, "/own": 30, "/none": None, "/later": None}
    outport.stop()
    refused = run(binary, "up", "--log-retention-days", "8", check=False)
    assert refused.returncode != 0 and "AWS takes one of [1, 3, 5" in refused.stderr


def test_what_takes_the_disk_is_said_by_kind(binary, outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    Registry(outport, "large").put_blob(os.urandom(30 << 20))
    definition = outport.register("app", [{"name": "web", "image": f"{uri}:1.0", "memory": 32}],
                                  networkMode="none")
    outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    told = run(binary, "disk", "--data-dir", outport.data_dir).stdout
    for kind in ("state", "logs", "registry", "node images", "tasks"):
        assert re.search(rf"^  {kind} +\d+ MiB  \w", told, re.M), told
    found = json.loads(run(binary, "disk", "--json", "--data-dir", outport.data_dir).stdout)
    taken = {use["kind"]: use["bytes"] for use in found["uses"]}
    assert 30 << 20 <= taken["registry"] < 60 << 20, taken
    assert taken["node images"] > 1 << 20 and taken["audit"] > 0, taken
    assert found["bytesFree"] < found["bytesTotal"]
    outport.stop()
    refused = run(binary, "disk", "--data-dir", outport.directory, check=False)
    assert refused.returncode != 0 and "is not a data directory" in refused.stderr
