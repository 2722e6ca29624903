"""Tests with an Outport in a container, by Testcontainers for Python: needs Docker, and nothing installed beside.

    docker load --input outport-0.1.0-linux-amd64.oci.tar
    pip install testcontainers boto3 pytest
    pytest examples/testcontainers

It makes containers itself, so it is privileged, and it shares the network of the host: its tasks are reached from the tests.
"""

import json
import os
import socket

import boto3
import pytest
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

IMAGE = os.environ.get("OUTPORT_IMAGE", "outport:0.1.0")
# Or piece by piece, as docs/guide/install.md has it: cap_add, security_opt, device_cgroup_rules.
PRIVILEGES = {"privileged": True}
# Tasks are stopped with it, and may take their stopTimeout.
STOP_PATIENCE_S = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OutportContainer(DockerContainer):
    """`docker run` as docs/guide/install.md has it."""

    def __init__(self, image=IMAGE):
        super().__init__(image, network_mode="host", cgroupns="host", **PRIVILEGES)
        self.port = free_port()
        self.with_command(["up", "--listen", f"127.0.0.1:{self.port}"])
        ready = LogMessageWaitStrategy("outport is ready at")
        self.waiting_for(ready.with_startup_timeout(90))
        self.with_volume_mapping("/sys/fs/cgroup", "/sys/fs/cgroup", "rw")
        self.with_volume_mapping("/dev", "/dev", "rw")

    def stop(self, **options):
        if self._container:
            # Not killed: it takes away what its tasks have on the host.
            self._container.stop(timeout=STOP_PATIENCE_S)
        super().stop(**options)

    def environment(self):
        """What `outport env` sets."""
        code, said = self.exec(["outport", "env", "--format", "json"])
        assert code == 0, said
        return json.loads(said)

    def client(self, service):
        own = self.environment()
        return boto3.client(
            service, endpoint_url=own["AWS_ENDPOINT_URL"], region_name=own["AWS_REGION"],
            aws_access_key_id=own["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=own["AWS_SECRET_ACCESS_KEY"])


@pytest.fixture(scope="session")
def outport():
    with OutportContainer() as outport:
        yield outport


def test_a_cluster_is_there(outport):
    ecs = outport.client("ecs")
    assert [arn.rsplit("/", 1)[1] for arn in ecs.list_clusters()["clusterArns"]] == ["default"]


def test_a_revision_is_registered(outport):
    containers = [{"name": "app", "image": "app:1.0", "memory": 64}]
    answer = outport.client("ecs").register_task_definition(
        family="app", containerDefinitions=containers)
    assert answer["taskDefinition"]["revision"] == 1
