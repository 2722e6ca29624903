"""The same with the plugin (clients/pytest-outport), which starts an Outport by itself:

    pip install clients/pytest-outport
    IMAGE=docker:app sudo --preserve-env=IMAGE pytest examples/pytest/test_image.py
"""

import os

import pytest

pytest.importorskip("pytest_outport", reason="the plugin pytest-outport is not installed")


@pytest.fixture(scope="session")
def image(outport):
    """What a task definition calls the image; loaded once."""
    if "IMAGE" not in os.environ:
        pytest.skip("IMAGE names none, such as docker:app")
    return outport.load_image(os.environ["IMAGE"], "app:1.0")


def test_a_task_runs(outport_boto3, image):
    ecs = outport_boto3("ecs")
    containers = [{"name": "app", "image": image, "memory": 64, "stopTimeout": 2}]
    ecs.register_task_definition(family="app", networkMode="none", containerDefinitions=containers)
    task = ecs.run_task(taskDefinition="app")["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(tasks=[task], WaiterConfig={"Delay": 1})
