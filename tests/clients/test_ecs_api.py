"""Every ECS operation that is built, through boto3: happy path, pages, waiters, and what is refused."""

import botocore.exceptions
import pytest

from support.wait import until

ROLE = "arn:aws:iam::000000000000:role/ecsTaskExecutionRole"


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def image(outport):
    return f"{outport.repository_uri('app')}:1.0"


def sleeper(image, **container):
    return {"name": "main", "image": image, "memory": 16, "stopTimeout": 2,
            "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"],
            **container}


def everything(client, operation, **arguments):
    """All items of all pages, two to a page."""
    paginator = client.get_paginator(operation)
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}, **arguments))
    key = paginator.result_keys[0].expression
    assert all(len(page[key]) <= 2 for page in pages)
    return [item for page in pages for item in page[key]]


def check_refused(call, code, message=""):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    assert (error["Code"], message in error["Message"]) == (code, True), error


def wait(outport, waiter, **arguments):
    config = {"Delay": 1, "MaxAttempts": 180}
    outport.ecs.get_waiter(waiter).wait(WaiterConfig=config, **arguments)


def test_clusters(outport):
    ecs = outport.ecs
    names = [f"pages-{n}" for n in range(5)]
    for name in names:
        made = ecs.create_cluster(clusterName=name, tags=[{"key": "n", "value": name}],
                                  settings=[{"name": "containerInsights", "value": "enabled"}])
        assert made["cluster"]["status"] == "ACTIVE"
    again = ecs.create_cluster(clusterName=names[0])["cluster"]
    assert again["clusterArn"].endswith(":cluster/pages-0")
    listed = everything(ecs, "list_clusters")
    assert {f"pages-{n}" for n in range(5)} < {arn.split("/")[1] for arn in listed}

    plain = ecs.describe_clusters(clusters=[names[0]])["clusters"][0]
    assert plain["settings"] == [] and plain["tags"] == [] and plain["statistics"] == []
    full = ecs.describe_clusters(clusters=[names[0], "absent"], include=[
        "TAGS", "SETTINGS", "STATISTICS", "CONFIGURATIONS"])
    assert full["clusters"][0]["tags"] == [{"key": "n", "value": "pages-0"}]
    assert full["clusters"][0]["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert [failure["reason"] for failure in full["failures"]] == ["MISSING"]

    disabled = [{"name": "containerInsights", "value": "disabled"}]
    assert ecs.update_cluster(cluster=names[0], settings=disabled)["cluster"]["settings"] == disabled
    enabled = [{"name": "containerInsights", "value": "enabled"}]
    updated = ecs.update_cluster_settings(cluster=names[0], settings=enabled)["cluster"]
    assert updated["settings"] == enabled
    for name in names:
        assert ecs.delete_cluster(cluster=name)["cluster"]["status"] == "INACTIVE"
    assert not [arn for arn in everything(ecs, "list_clusters") if "/pages-" in arn]
    check_refused(lambda: ecs.delete_cluster(cluster="absent"), "ClusterNotFoundException",
                  "Cluster not found.")
    check_refused(lambda: ecs.list_tasks(cluster="absent"), "ClusterNotFoundException")
    check_refused(lambda: ecs.create_cluster(clusterName="bad name"), "InvalidParameterException")


def test_task_definitions(outport, image):
    ecs = outport.ecs
    for _ in range(5):
        made = ecs.register_task_definition(
            family="many", containerDefinitions=[sleeper(image)], cpu=".25 vCPU", memory="1 GB",
            tags=[{"key": "a", "value": "b"}])
    definition = made["taskDefinition"]
    assert (definition["revision"], definition["status"]) == (5, "ACTIVE")
    assert (definition["cpu"], definition["memory"]) == ("256", "1024")
    assert definition["containerDefinitions"][0]["essential"] is True
    assert made["tags"] == [{"key": "a", "value": "b"}]

    arns = everything(ecs, "list_task_definitions", familyPrefix="many", sort="DESC")
    assert [arn.rsplit(":", 1)[1] for arn in arns] == ["5", "4", "3", "2", "1"]
    assert everything(ecs, "list_task_definition_families", familyPrefix="man") == ["many"]
    newest = ecs.describe_task_definition(taskDefinition="many", include=["TAGS"])
    assert newest["taskDefinition"]["revision"] == 5 and newest["tags"] == made["tags"]

    gone = ecs.deregister_task_definition(taskDefinition="many:5")["taskDefinition"]
    assert gone["status"] == "INACTIVE" and gone["deregisteredAt"]
    assert ecs.describe_task_definition(taskDefinition="many")["taskDefinition"]["revision"] == 4
    check_refused(lambda: ecs.run_task(taskDefinition="many:5"), "InvalidParameterException")
    deleted = ecs.delete_task_definitions(taskDefinitions=["many:5", "many:1"])
    assert [d["revision"] for d in deleted["taskDefinitions"]] == [5]
    assert len(deleted["failures"]) == 1
    check_refused(lambda: ecs.describe_task_definition(taskDefinition="absent"), "ClientException",
                  "Unable to describe task definition.")
    sixth = ecs.register_task_definition(family="many", containerDefinitions=[sleeper(image)])
    assert sixth["taskDefinition"]["revision"] == 6, "a revision never comes again"


@pytest.mark.parametrize("arguments, message", [
    ({"containerDefinitions": []}, "Container list cannot be empty."),
    ({"containerDefinitions": [{"name": "a"}]}, "Container.image should not be null or empty."),
    ({"containerDefinitions": [{"name": "a", "image": "i", "memory": 8, "essential": False}]},
     "Task definition doesn't have any essential container."),
    ({"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256",
      "memory": "4096", "containerDefinitions": [{"name": "a", "image": "i"}]},
     "No Fargate configuration exists for given values"),
    ({"requiresCompatibilities": ["FARGATE"], "networkMode": "host", "cpu": "256",
      "memory": "512", "containerDefinitions": [{"name": "a", "image": "i"}]},
     "Fargate only supports network mode"),
    ({"networkMode": "none", "containerDefinitions": [
        {"name": "a", "image": "i", "memory": 8, "portMappings": [{"containerPort": 80}]}]},
     "Port mappings are not supported when networkMode=none."),
    ({"containerDefinitions": [{"name": "a", "image": "i", "memory": 8, "dependsOn": [
        {"containerName": "b", "condition": "START"}]}]}, "does not exist"),
])
def test_task_definitions_that_are_refused(outport, arguments, message):
    check_refused(lambda: outport.ecs.register_task_definition(family="bad", **arguments),
                  "ClientException", message)


def test_what_is_not_built_is_refused_and_named(outport, image):
    definition = outport.register("volumes", [sleeper(image, mountPoints=[
        {"sourceVolume": "v", "containerPath": "/v"}])], networkMode="none",
        volumes=[{"name": "v", "host": {"sourcePath": "/tmp"}}])
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        outport.ecs.run_task(taskDefinition=definition)
    assert "volumes" in str(refused.value) or "mountPoints" in str(refused.value)


def test_tasks(outport, image):
    ecs = outport.ecs
    definition = outport.register("tasks", [sleeper(image)], networkMode="none")
    started = ecs.run_task(taskDefinition=definition, launchType="EC2", count=5, startedBy="me",
                           group="batch", tags=[{"key": "k", "value": "v"}])
    assert started["failures"] == [] and len(started["tasks"]) == 5
    arns = [task["taskArn"] for task in started["tasks"]]
    wait(outport, "tasks_running", tasks=arns)
    assert sorted(everything(ecs, "list_tasks", family="tasks")) == sorted(arns)
    assert sorted(everything(ecs, "list_tasks", startedBy="me")) == sorted(arns)
    assert everything(ecs, "list_tasks", family="tasks", desiredStatus="STOPPED") == []
    described = ecs.describe_tasks(tasks=[arns[0], "0" * 32], include=["TAGS"])
    task = described["tasks"][0]
    assert task["tags"] == [{"key": "k", "value": "v"}]
    assert (task["group"], task["startedBy"], task["launchType"]) == ("batch", "me", "EC2")
    assert task["containers"][0]["imageDigest"].startswith("sha256:")
    assert task["createdAt"] <= task["pullStartedAt"] <= task["pullStoppedAt"] <= task["startedAt"]
    assert [failure["reason"] for failure in described["failures"]] == ["MISSING"]

    instance = ecs.describe_container_instances(
        containerInstances=[task["containerInstanceArn"]])["containerInstances"][0]
    assert instance["runningTasksCount"] >= 5 and instance["agentConnected"]
    assert everything(ecs, "list_container_instances") == [task["containerInstanceArn"]]
    for arn in arns:
        stopping = ecs.stop_task(task=arn, reason="enough")["task"]
        assert stopping["desiredStatus"] == "STOPPED"
    wait(outport, "tasks_stopped", tasks=arns)
    assert sorted(everything(ecs, "list_tasks", family="tasks", desiredStatus="STOPPED")) \
        == sorted(arns)
    check_refused(lambda: ecs.stop_task(task="0" * 32), "InvalidParameterException",
                  "The referenced task was not found.")
    check_refused(lambda: ecs.describe_tasks(tasks=[]), "InvalidParameterException",
                  "Tasks cannot be empty.")
    check_refused(lambda: ecs.run_task(taskDefinition=definition, count=11),
                  "InvalidParameterException", "count")


def test_a_client_token_runs_once(outport, image):
    ecs = outport.ecs
    definition = outport.register("token", [sleeper(image)], networkMode="none")
    request = {"taskDefinition": definition, "launchType": "EC2", "clientToken": "once"}
    first = ecs.run_task(**request)["tasks"][0]
    assert ecs.run_task(**request)["tasks"][0]["taskArn"] == first["taskArn"]
    check_refused(lambda: ecs.run_task(**request, group="other"), "ConflictException")
    ecs.stop_task(task=first["taskArn"])
    wait(outport, "tasks_stopped", tasks=[first["taskArn"]])


def test_a_task_that_fits_nowhere_is_a_failure(outport, image):
    definition = outport.register("large", [sleeper(image)], networkMode="none", memory="900 GB")
    answer = outport.ecs.run_task(taskDefinition=definition, launchType="EC2")
    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:MEMORY"]


def test_services(outport, image):
    ecs = outport.ecs
    definition = outport.register("svc", [sleeper(image)], networkMode="none")
    names = [f"svc-{n}" for n in range(3)]
    for name in names:
        made = ecs.create_service(serviceName=name, taskDefinition=definition, desiredCount=1,
                                  launchType="EC2", tags=[{"key": "s", "value": name}])["service"]
        assert made["status"] == "ACTIVE" and made["deploymentController"] == {"type": "ECS"}
        assert [d["status"] for d in made["deployments"]] == ["PRIMARY"]
        assert made["deploymentConfiguration"]["maximumPercent"] == 200
    wait(outport, "services_stable", services=names)
    listed = everything(ecs, "list_services")
    assert {arn.rsplit("/", 1)[1] for arn in listed} >= set(names)
    def settled():
        service = ecs.describe_services(services=["svc-0"], include=["TAGS"])["services"][0]
        return service if "steady state" in str(service["events"]) else None
    service = until(settled, "(service svc-0) has reached a steady state.")
    assert service["tags"] == [{"key": "s", "value": "svc-0"}]
    assert service["runningCount"] == 1
    deployment = service["deployments"][0]
    assert deployment["rolloutState"] == "COMPLETED" and deployment["id"].startswith("ecs-svc/")
    task = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="svc-0")["taskArns"])["tasks"][0]
    assert task["group"] == "service:svc-0" and task["startedBy"] == deployment["id"]

    second = outport.register("svc", [sleeper(image)], networkMode="none")
    updated = ecs.update_service(service="svc-0", taskDefinition=second, desiredCount=2)["service"]
    assert [d["status"] for d in updated["deployments"]] == ["PRIMARY", "ACTIVE"]
    wait(outport, "services_stable", services=["svc-0"])
    deployments = everything(ecs, "list_service_deployments", service="svc-0") \
        if ecs.can_paginate("list_service_deployments") \
        else ecs.list_service_deployments(service="svc-0")["serviceDeployments"]
    assert len(deployments) == 2
    full = ecs.describe_service_deployments(
        serviceDeploymentArns=[d["serviceDeploymentArn"] for d in deployments])
    assert {d["status"] for d in full["serviceDeployments"]} == {"SUCCESSFUL"}
    newest = max(full["serviceDeployments"], key=lambda d: d["createdAt"])
    revision = newest["targetServiceRevision"]["arn"]
    revision = ecs.describe_service_revisions(
        serviceRevisionArns=[revision])["serviceRevisions"][0]
    assert revision["taskDefinition"].endswith(f":task-definition/{second}")
    assert revision["containerImages"][0]["imageDigest"].startswith("sha256:")

    check_refused(lambda: ecs.create_service(serviceName="svc-1", taskDefinition=definition,
                                             desiredCount=1), "InvalidParameterException",
                  "Creation of service was not idempotent.")
    check_refused(lambda: ecs.update_service(service="absent", desiredCount=1),
                  "ServiceNotFoundException")
    check_refused(lambda: ecs.delete_service(service="svc-1"), "InvalidParameterException",
                  "The service cannot be stopped while it is scaled above 0.")
    check_refused(lambda: ecs.delete_cluster(cluster="default"),
                  "ClusterContainsContainerInstancesException")
    missing = ecs.describe_services(services=["absent"])["failures"]
    assert [failure["reason"] for failure in missing] == ["MISSING"]

    ecs.update_service(service="svc-1", desiredCount=0)
    until(lambda: not ecs.list_tasks(serviceName="svc-1")["taskArns"], "it was scaled to nothing")
    ecs.delete_service(service="svc-1")
    for name in ("svc-0", "svc-2"):
        assert ecs.delete_service(service=name, force=True)["service"]["status"] == "DRAINING"
    wait(outport, "services_inactive", services=names)
    assert not [arn for arn in everything(ecs, "list_services") if "/svc-" in arn]


def test_a_deployment_that_cannot_start_says_why(outport, image):
    ecs = outport.ecs
    definition = outport.register("absent-image", [sleeper(image.replace(":1.0", ":absent"))],
                                  networkMode="none")
    ecs.create_service(serviceName="stuck", taskDefinition=definition, desiredCount=1,
                       launchType="EC2", deploymentConfiguration={
                           "deploymentCircuitBreaker": {"enable": True, "rollback": False}})
    def failed():
        service = ecs.describe_services(services=["stuck"])["services"][0]
        return service if service["deployments"][0]["rolloutState"] == "FAILED" else None
    service = until(failed, "the circuit breaker opens", 180)
    assert service["deployments"][0]["failedTasks"] >= 3
    ecs.delete_service(service="stuck", force=True)
    wait(outport, "services_inactive", services=["stuck"])


def test_tags(outport):
    ecs = outport.ecs
    arn = ecs.create_cluster(clusterName="tagged")["cluster"]["clusterArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    check_refused(lambda: ecs.tag_resource(resourceArn=arn, tags=[{"key": "aws:x", "value": ""}]),
                  "InvalidParameterException")
    check_refused(lambda: ecs.list_tags_for_resource(resourceArn="nonsense"),
                  "InvalidParameterException")
    ecs.delete_cluster(cluster="tagged")


def test_account_settings(outport):
    ecs = outport.ecs
    def effective():
        settings = everything(ecs, "list_account_settings", name="containerInsights",
                              effectiveSettings=True)
        return [setting["value"] for setting in settings]
    made = ecs.put_account_setting(name="containerInsights", value="enabled")["setting"]
    assert (made["name"], made["value"]) == ("containerInsights", "enabled")
    assert effective() == ["enabled"]
    # The root user's own setting is the account's default.
    ecs.put_account_setting_default(name="containerInsights", value="disabled")
    assert effective() == ["disabled"]
    ecs.delete_account_setting(name="containerInsights")
    check_refused(lambda: ecs.put_account_setting(name="noSuchSetting", value="enabled"),
                  "InvalidParameterException")


def test_pages_that_were_not_given(outport):
    check_refused(lambda: outport.ecs.list_clusters(nextToken="nonsense"),
                  "InvalidParameterException")
    check_refused(lambda: outport.ecs.list_clusters(maxResults=101), "InvalidParameterException")
