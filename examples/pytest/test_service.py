"""A test of something that uses AWS. Run it with an Outport of its own:

    sudo outport run --logs outport-logs -- pytest examples/pytest

boto3 takes endpoint, region and credentials from the environment that `outport run` sets.
"""

import boto3
import pytest


@pytest.fixture
def ecs():
    return boto3.client("ecs")


def test_a_cluster_is_empty_at_first(ecs):
    ecs.create_cluster(clusterName="tested")
    cluster = ecs.describe_clusters(clusters=["tested"])["clusters"][0]
    assert cluster["status"] == "ACTIVE"
    assert cluster["runningTasksCount"] == 0


def test_a_revision_counts_on(ecs):
    containers = [{"name": "app", "image": "app:1.0", "memory": 64}]
    for revision in (1, 2):
        answer = ecs.register_task_definition(family="app", containerDefinitions=containers)
        assert answer["taskDefinition"]["revision"] == revision
