"""Credentials of a task while its control plane, and then its node, are away."""

import pytest

from support.halves import Halves
from support.task_roles import make_role, start
from support.wait import until


@pytest.fixture
def halves(outport):
    halves = Halves(outport)
    yield halves
    halves.destroy()


def test_a_task_keeps_its_credentials_while_nobody_answers(halves, outport, app_image):
    halves.server()
    halves.node()
    outport.push(app_image, "app", "1.0")
    task = start(outport, make_role(outport))
    uri = task.environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
    status, given = task.ask(uri)
    assert status == 200, given
    halves.kill("server")
    assert task.ask(uri) == (200, given)
    # A node that starts meanwhile waits for its control plane, and serves all the same.
    halves.kill("node")
    halves.node(wait=False)
    assert task.answers(uri) == (200, given)
    assert given["SecretAccessKey"] not in halves.log("node") + halves.log("server")
    halves.server()
    until(lambda: halves.log("node").count("outport node is ready") > 1, "the node is ready", 90)
    assert task.ask(uri)[0] == 200
    task.stop()
