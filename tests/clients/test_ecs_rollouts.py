"""What deploy tools stand on: round trips, roll-outs and their history, capacity providers, what is left."""

import json
import time

import botocore.exceptions
import pytest

from support.wait import until

# What RegisterTaskDefinition does not take back.
ANSWERED_ONLY = {"taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities",
                 "registeredAt", "registeredBy", "deregisteredAt"}
SLEEP = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def ecs(outport):
    return outport.ecs


@pytest.fixture(scope="module")
def image(outport):
    return f"{outport.repository_uri('app')}:1.0"


def sleeper(image, **container):
    return {"name": "main", "image": image, "memory": 16, "stopTimeout": 2, "command": SLEEP,
            **container}


def refused(call):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call()
    error = error.value.response["Error"]
    return error["Code"], error["Message"]


def service(ecs, name):
    return ecs.describe_services(services=[name])["services"][0]


def steady(ecs, name):
    """The service once its one deployment is through."""
    def look():
        found = service(ecs, name)
        states = [one["rolloutState"] for one in found["deployments"]]
        is_there = states == ["COMPLETED"] and found["runningCount"] == found["desiredCount"]
        return found if is_there else None
    return until(look, f"{name} is steady", 180)


def rollout(ecs, arn):
    return ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]


def gone(ecs, name):
    ecs.delete_service(service=name, force=True)
    ecs.get_waiter("services_inactive").wait(
        services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 180})


@pytest.mark.parametrize("changes", [
    {},
    {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": ".5 vCPU",
     "memory": "1GB", "runtimePlatform": {"cpuArchitecture": "X86_64",
                                          "operatingSystemFamily": "LINUX"},
     "executionRoleArn": "arn:aws:iam::000000000000:role/execution"},
    {"networkMode": "bridge", "volumes": [{"name": "v", "host": {"sourcePath": "/srv"}}],
     "placementConstraints": [{"type": "memberOf", "expression": "attribute:a == b"}],
     "pidMode": "task"},
])
def test_a_task_definition_comes_back_as_it_is_shown(ecs, image, changes):
    containers = [
        sleeper(image, portMappings=[{"containerPort": 80, "name": "http", "appProtocol": "http"}],
                environment=[{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
                linuxParameters={"capabilities": {"drop": ["ALL"]}, "initProcessEnabled": True},
                healthCheck={"command": ["CMD-SHELL", "true"]}, dockerLabels={"a": "b"},
                logConfiguration={"logDriver": "awslogs", "options": {
                    "awslogs-group": "/g", "awslogs-region": "us-east-1",
                    "awslogs-stream-prefix": "p"}}),
        {"name": "side", "image": image, "memory": 16, "essential": False,
         "dependsOn": [{"containerName": "main", "condition": "START"}]},
    ]
    shown = ecs.register_task_definition(family="round-trip", containerDefinitions=containers,
                                         **changes)["taskDefinition"]
    again = {name: value for name, value in shown.items() if name not in ANSWERED_ONLY}
    # As a tool reads it from a file.
    answer = ecs.register_task_definition(**json.loads(json.dumps(again)))["taskDefinition"]
    assert {name: answer[name] for name in again} == again
    assert answer.keys() == shown.keys()
    described = ecs.describe_task_definition(taskDefinition="round-trip")["taskDefinition"]
    assert described == answer


def test_what_terraform_checks_of_a_rollout(outport, ecs, image):
    first = outport.register("tf", [sleeper(image)], networkMode="none")
    second = outport.register("tf", [sleeper(image)], networkMode="none")
    ecs.create_service(serviceName="tf", taskDefinition=first, desiredCount=2)
    steady(ecs, "tf")
    for change in ({"taskDefinition": second}, {"forceNewDeployment": True}):
        # In whole milliseconds, as the answers are.
        asked_at = int(time.time() * 1000) / 1000
        ecs.update_service(service="tf", **change)
        found = service(ecs, "tf")
        primary = found["deployments"][0]
        assert found["deploymentController"] == {"type": "ECS"}
        assert primary["status"] == "PRIMARY" and primary["createdAt"].timestamp() >= asked_at
        number = primary["id"].removeprefix("ecs-svc/")
        briefs = ecs.list_service_deployments(
            service="tf", cluster="default", createdAt={"after": asked_at})["serviceDeployments"]
        assert [number in one["targetServiceRevisionArn"] for one in briefs] == [True]
        arn = briefs[0]["serviceDeploymentArn"]
        assert arn == found["currentServiceDeployment"]
        def done():
            one = rollout(ecs, arn)
            assert one["status"] in ("PENDING", "IN_PROGRESS", "SUCCESSFUL"), one
            return one if one["status"] == "SUCCESSFUL" else None
        one = until(done, "the roll-out is through", 180)
        assert one["createdAt"] <= one["startedAt"] <= one["finishedAt"] <= one["updatedAt"]
        assert one["targetServiceRevision"]["runningTaskCount"] == 2
        assert len(steady(ecs, "tf")["deployments"]) == 1
    for count in (0, 1):
        ecs.update_service(service="tf", desiredCount=count)
        assert len(steady(ecs, "tf")["deployments"]) == 1, "a count begins no deployment"
    gone(ecs, "tf")


def test_a_rollout_is_stopped_and_comes_back(outport, ecs, image):
    good = outport.register("back", [sleeper(image)], networkMode="none")
    bad = outport.register("back", [sleeper(image.replace(":1.0", ":absent"))], networkMode="none")
    ecs.create_service(serviceName="back", taskDefinition=good, desiredCount=2)
    steady(ecs, "back")
    arn = ecs.update_service(service="back", taskDefinition=bad)["service"][
        "currentServiceDeployment"]
    def failure():
        arns = ecs.list_tasks(family="back", desiredStatus="STOPPED")["taskArns"]
        tasks = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return next((task for task in tasks if task["lastStatus"] == "STOPPED"), None)
    failed = until(failure, "a task fails to start", 180)
    assert service(ecs, "back")["runningCount"] == 2, "what runs stays"
    # On EC2 the container says why; on Fargate the task does.
    assert (failed["stopCode"], failed["stoppedReason"]) \
        == ("TaskFailedToStart", "Task failed to start")
    assert failed["containers"][0]["reason"].startswith("CannotPullContainerError: ")
    assert "exitCode" not in failed["containers"][0] and "startedAt" not in failed
    assert failed["overrides"]["containerOverrides"] == [{"name": "main"}]

    assert ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")[
        "serviceDeploymentArn"] == arn
    one = until(lambda: next((one for one in [rollout(ecs, arn)]
                              if one["status"] == "ROLLBACK_SUCCESSFUL"), None),
                "the roll-out is rolled back", 180)
    assert one["finishedAt"] and one["rollback"]["serviceRevisionArn"]
    assert steady(ecs, "back")["taskDefinition"].endswith(f"/{good}")
    assert refused(lambda: ecs.stop_service_deployment(serviceDeploymentArn=arn))[0] \
        == "ConflictException"
    gone(ecs, "back")


def test_a_service_is_deleted_and_made_again(outport, ecs, image):
    definition = outport.register("again", [sleeper(image)], networkMode="none")
    first = ecs.create_service(serviceName="again", taskDefinition=definition, desiredCount=0)
    steady(ecs, "again")
    assert ecs.delete_service(service="again")["service"]["status"] == "DRAINING"
    ecs.get_waiter("services_inactive").wait(
        services=["again"], WaiterConfig={"Delay": 1, "MaxAttempts": 180})
    old = service(ecs, "again")
    assert (old["status"], old["deployments"], old["desiredCount"]) == ("INACTIVE", [], 0)
    assert not [arn for arn in ecs.list_services()["serviceArns"] if arn.endswith("/again")]
    assert refused(lambda: ecs.update_service(service="again", desiredCount=1)) \
        == ("ServiceNotActiveException", "Service was not ACTIVE.")
    second = ecs.create_service(serviceName="again", taskDefinition=definition, desiredCount=1)
    assert second["service"]["serviceArn"] == first["service"]["serviceArn"]
    assert second["service"]["createdAt"] > first["service"]["createdAt"]
    assert len(steady(ecs, "again")["deployments"]) == 1
    gone(ecs, "again")


def test_capacity_providers(outport, ecs, image):
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    shown = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    ecs.create_cluster(clusterName="spot")
    cluster = ecs.put_cluster_capacity_providers(
        cluster="spot", capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=strategy)["cluster"]
    assert cluster["defaultCapacityProviderStrategy"] == shown
    definition = outport.register(
        "spot", [sleeper(image)], networkMode="awsvpc", requiresCompatibilities=["FARGATE"],
        cpu="256", memory="512")
    ask = {"cluster": "spot", "taskDefinition": definition,
           "networkConfiguration": outport.awsvpc()}
    task = ecs.run_task(**ask)["tasks"][0]
    assert (task["launchType"], task["capacityProviderName"]) == ("FARGATE", "FARGATE_SPOT")
    made = ecs.create_service(serviceName="spot", desiredCount=1, **ask)["service"]
    assert made["capacityProviderStrategy"] == shown and "launchType" not in made
    def tasks():
        arns = ecs.list_tasks(cluster="spot", serviceName="spot")["taskArns"]
        return ecs.describe_tasks(cluster="spot", tasks=arns)["tasks"] if arns else None
    assert {one["capacityProviderName"] for one in until(tasks, "it has a task")} \
        == {"FARGATE_SPOT"}
    assert refused(lambda: ecs.run_task(**ask, capacityProviderStrategy=[
        {"capacityProvider": "absent"}])) == ("InvalidParameterException",
        "The specified capacity provider 'absent' was not found. Specify a valid name or ARN and "
        "try again.")
    ecs.delete_service(cluster="spot", service="spot", force=True)
    ecs.stop_task(cluster="spot", task=task["taskArn"])
    until(lambda: ecs.describe_clusters(clusters=["spot"])["clusters"][0]["runningTasksCount"] == 0
          and not tasks(), "the cluster is empty")
    def delete():
        try:
            return ecs.delete_cluster(cluster="spot")["cluster"]["status"]
        except ecs.exceptions.ClientError as error:
            assert "ClusterContains" in error.response["Error"]["Code"], error
            return None
    assert until(delete, "the cluster is deleted") == "INACTIVE"


def test_an_instance_shows_what_its_tasks_hold(outport, ecs, image):
    arn = ecs.list_container_instances()["containerInstanceArns"][0]
    def left():
        instance = ecs.describe_container_instances(containerInstances=[arn])[
            "containerInstances"][0]
        return {one["name"]: one.get("stringSetValue", one["integerValue"])
                for one in instance["remainingResources"]}
    before = left()
    definition = outport.register("holds", [sleeper(
        image, cpu=128, memory=64, portMappings=[{"containerPort": 80}, {
            "containerPort": 81, "hostPort": 18081, "protocol": "udp"}])], networkMode="bridge")
    task = outport.run(definition)
    held = left()
    bindings = task["containers"][0]["networkBindings"]
    assert [(one["containerPort"], one["protocol"]) for one in bindings] \
        == [(80, "tcp"), (81, "udp")]
    assert before["CPU"] - held["CPU"] == 128 and before["MEMORY"] - held["MEMORY"] == 64
    assert set(held["PORTS"]) - set(before["PORTS"]) == {str(bindings[0]["hostPort"])}
    assert held["PORTS_UDP"] == ["18081"]
    again = ecs.run_task(taskDefinition=definition)
    assert [(one["arn"], one["reason"]) for one in again["failures"]] == [(arn, "RESOURCE:PORTS")]
    outport.reaches(task["taskArn"], "RUNNING")
    ecs.stop_task(task=task["taskArn"], reason="enough")
    ended = outport.reaches(task["taskArn"], "STOPPED")
    assert (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "enough")
    order = ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt",
             "executionStoppedAt", "stoppedAt"]
    assert [ended[name] for name in order] == sorted(ended[name] for name in order)
    assert left() == before


def test_identifiers_that_cannot_be(ecs):
    invalid = "InvalidParameterException"
    for call, message in [
        (lambda: ecs.describe_tasks(tasks=["None"]), "taskId length should be one of [32,36]"),
        (lambda: ecs.stop_task(task="None"), "taskId length should be one of [32,36]"),
        (lambda: ecs.describe_tasks(tasks=["a/b/c"]),
         "Invalid identifier: Unexpected number of separators"),
        (lambda: ecs.describe_tasks(tasks=["0" * 32] * 101), "taskIds can have at most 100 items."),
        (lambda: ecs.describe_services(services=["a"] * 11),
         "service names can have at most 10 items."),
        (lambda: ecs.describe_container_instances(containerInstances=["None"]),
         "instanceId length should be one of [32,36]"),
    ]:
        assert refused(call) == (invalid, message)


def test_logs_are_non_blocking_unless_asked_otherwise(ecs):
    settings = ecs.list_account_settings(name="defaultLogDriverMode", effectiveSettings=True)
    assert [one["value"] for one in settings["settings"]] == ["non-blocking"]


def test_the_first_subnet_is_that_of_the_first_zone(outport):
    ec2 = outport.client("ec2")
    zones = [one["AvailabilityZone"] for one in ec2.describe_subnets()["Subnets"]]
    assert zones == [one["ZoneName"] for one in
                     ec2.describe_availability_zones()["AvailabilityZones"]]
