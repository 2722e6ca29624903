"""Placement through boto3: constraints, strategies, the cluster query language, draining, StartTask."""

import pytest

from support.halves import Halves
from support.wait import until

SLEEP = {"name": "main", "memory": 16, "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]}


def registered(outport, app_image):
    uri = outport.push(app_image, "app", "1.0")
    return outport.register("placed", [{**SLEEP, "image": f"{uri}:1.0"}], networkMode="none")


@pytest.fixture
def ecs(outport):
    outport.start()
    return outport.ecs


@pytest.fixture
def definition(ecs, outport, app_image):
    return registered(outport, app_image)


@pytest.fixture
def instance(ecs, outport):
    until(outport.connected_instances, "the node is connected", 60)
    return outport.connected_instances()[0]["containerInstanceArn"]


def member(expression):
    return [{"type": "memberOf", "expression": expression}]


def stop_all(ecs):
    for arn in ecs.list_tasks()["taskArns"]:
        ecs.stop_task(task=arn)


def test_constraints_are_obeyed_and_said(ecs, definition, instance):
    ecs.put_attributes(attributes=[{"name": "stack", "value": "prod", "targetId": instance}])
    answer = ecs.run_task(taskDefinition=definition, count=2, group="db",
                          placementConstraints=member("attribute:stack =~ pr.* and agentConnected == true"),
                          placementStrategy=[{"type": "spread", "field": "attribute:stack"},
                                             {"type": "binpack", "field": "memory"}])
    assert (len(answer["tasks"]), answer["failures"]) == (2, [])
    answer = ecs.run_task(taskDefinition=definition,
                          placementConstraints=member("attribute:stack == test"))
    assert answer["tasks"] == []
    assert answer["failures"] == [
        {"arn": instance, "reason": "MemberOf placement constraint unsatisfied."}]
    answer = ecs.run_task(taskDefinition=definition, group="db",
                          placementConstraints=[{"type": "distinctInstance"}])
    assert answer["failures"][0]["reason"] == "DistinctInstance placement constraint unsatisfied."
    for expression, listed in (("task:group == db", [instance]), ("not(task:group == db)", []),
                               ("attribute:ecs.os-type == linux", [instance]),
                               ("attribute:stack in [a, b]", [])):
        assert ecs.list_container_instances(filter=expression)["containerInstanceArns"] == listed
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="unknown subject 'x'"):
        ecs.run_task(taskDefinition=definition, placementConstraints=member("x == y"))
    stop_all(ecs)


def test_a_service_says_why_it_places_nothing(ecs, definition, instance):
    strategy = [{"type": "spread", "field": "host"}]
    made = ecs.create_service(serviceName="web", taskDefinition=definition, desiredCount=2,
                              placementConstraints=[{"type": "distinctInstance"}],
                              placementStrategy=strategy)["service"]
    assert made["placementStrategy"] == [{"type": "spread", "field": "instanceId"}]

    def event():
        found = ecs.describe_services(services=["web"])["services"][0]
        wanted = ('(service web) was unable to place a task because no container instance met all of its requirements. '
                  f'The closest matching (container-instance {instance.rsplit("/", 1)[1]}) encountered error '
                  '"DistinctInstance placement constraint unsatisfied.".')
        return any(one["message"].startswith(wanted) for one in found["events"])
    until(event, "the event", 60)
    # The constraint goes, and the second task starts without another deployment.
    ecs.update_service(service="web", placementConstraints=[])
    ecs.get_waiter("services_stable").wait(
        services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    found = ecs.describe_services(services=["web"])["services"][0]
    assert (found["runningCount"], found["placementConstraints"]) == (2, [])
    ecs.delete_service(service="web", force=True)


def test_an_instance_drains_and_comes_back(ecs, definition, instance):
    started = ecs.start_task(taskDefinition=definition, containerInstances=[instance],
                             startedBy="hand")
    assert started["failures"] == []
    alone = started["tasks"][0]["taskArn"]
    assert started["tasks"][0]["containerInstanceArn"] == instance
    ecs.create_service(serviceName="web", taskDefinition=definition, desiredCount=1,
                       deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100})
    ecs.get_waiter("services_stable").wait(
        services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    first = ecs.list_tasks(serviceName="web")["taskArns"]
    answer = ecs.update_container_instances_state(containerInstances=[instance], status="DRAINING")
    assert answer["containerInstances"][0]["status"] == "DRAINING"

    def stopped():
        return ecs.describe_tasks(tasks=first)["tasks"][0]["lastStatus"] == "STOPPED"
    until(stopped, "the task of the service is stopped", 60)
    # There is no other instance; the standalone task goes on.
    assert ecs.describe_tasks(tasks=[alone])["tasks"][0]["desiredStatus"] == "RUNNING"
    refused = ecs.start_task(taskDefinition=definition, containerInstances=[instance])
    assert refused["failures"] == [{"arn": instance, "reason": "AGENT"}]
    ecs.update_container_instances_state(containerInstances=[instance], status="ACTIVE")
    ecs.get_waiter("services_stable").wait(
        services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    assert ecs.list_tasks(serviceName="web")["taskArns"] != first
    ecs.delete_service(service="web", force=True)
    stop_all(ecs)


def test_what_an_operator_says_of_a_machine(outport, app_image):
    halves = Halves(outport)
    try:
        halves.server()
        halves.node(options=("--attributes", "rack=7,ecs.availability-zone=us-east-1c"))
        until(outport.connected_instances, "the node is connected", 60)
        ecs, definition = outport.ecs, registered(outport, app_image)
        answer = ecs.run_task(taskDefinition=definition,
                              placementConstraints=member("attribute:rack > 6"))
        assert answer["failures"] == []
        assert answer["tasks"][0]["availabilityZone"] == "us-east-1c"
        listed = ecs.list_attributes(targetType="container-instance", attributeName="rack")
        assert [one["value"] for one in listed["attributes"]] == ["7"]
        ecs.stop_task(task=answer["tasks"][0]["taskArn"])
        outport.reaches(answer["tasks"][0]["taskArn"], "STOPPED")
    finally:
        halves.destroy()
