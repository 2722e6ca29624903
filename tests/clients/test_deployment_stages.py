"""Deployments in stages: two revisions beside each other, pauses, traffic weights, going back, giving up."""

import pytest

from support.wait import until

SLEEP = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]


@pytest.fixture(scope="module")
def ecs(shared_outport):
    return shared_outport.ecs


@pytest.fixture(scope="module")
def family(shared_outport, ecs):
    for version in ("1", "2"):
        ecs.register_task_definition(family="staged", networkMode="bridge", containerDefinitions=[{
            "name": "main", "image": f"{shared_outport.repository_uri('app')}:1.0", "memory": 16,
            "stopTimeout": 2, "command": SLEEP, "environment": [{"name": "V", "value": version}]}])
    return "staged"


def service(ecs, name):
    return ecs.describe_services(services=[name])["services"][0]


def rollout(ecs, arn):
    return ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]


@pytest.fixture
def staged(ecs, family, request):
    """Makes a service of two tasks of revision 1 that is steady; the function begins the deployment of revision 2."""
    name = request.node.name.replace("[", "-").strip("]")[-60:]

    def make(**configuration):
        # A pause would hold the first deployment, too.
        ecs.create_service(serviceName=name, desiredCount=2, taskDefinition=f"{family}:1", launchType="EC2")
        until(lambda: [one["rolloutState"] for one in service(ecs, name)["deployments"]] == ["COMPLETED"],
              "the first deployment is through", 120)
        updated = ecs.update_service(service=name, taskDefinition=f"{family}:2",
                                     deploymentConfiguration=configuration)["service"]
        return updated["currentServiceDeployment"]

    make.name = name
    yield make
    ecs.delete_service(service=name, force=True)
    ecs.get_waiter("services_inactive").wait(services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def pause(stage, **more):
    return [{"targetType": "PAUSE", "lifecycleStages": [stage], **more}]


def paused(ecs, arn, stage):
    def look():
        found = rollout(ecs, arn)
        waiting = [hook for hook in found.get("lifecycleHookDetails", []) if hook["status"] == "AWAITING_ACTION"]
        return found if found["lifecycleStage"] == stage and waiting else None
    return until(look, f"it waits at {stage}", 120)


def running(found):
    """Running tasks and the traffic of the new revision, then of the one before."""
    target, source = found["targetServiceRevision"], found["sourceServiceRevisions"][0]
    return [(one["runningTaskCount"], one["requestedProductionTrafficWeight"]) for one in (target, source)]


def ended(ecs, arn):
    over = {"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}
    return until(lambda: (found := rollout(ecs, arn))["status"] in over and found, "it is over", 120)


def test_green_waits_beside_blue_until_somebody_says_so(ecs, staged):
    arn = staged(strategy="BLUE_GREEN", bakeTimeInMinutes=0, lifecycleHooks=pause("POST_SCALE_UP"))
    found = paused(ecs, arn, "POST_SCALE_UP")
    assert running(found) == [(2, 0.0), (2, 100.0)]
    hook = found["lifecycleHookDetails"][0]
    assert (hook["targetType"], hook["timeoutAction"]) == ("PAUSE", "ROLLBACK")
    answer = ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook["hookId"])
    assert answer["serviceDeploymentArn"] == arn
    assert ended(ecs, arn)["status"] == "SUCCESSFUL"
    [deployment] = service(ecs, staged.name)["deployments"]
    assert (deployment["rolloutState"], deployment["runningCount"]) == ("COMPLETED", 2)
    assert deployment["taskDefinition"].endswith(":2")


def test_a_canary_goes_back_when_somebody_says_so(ecs, staged):
    arn = staged(strategy="CANARY", canaryConfiguration={"canaryPercent": 12.5, "canaryBakeTimeInMinutes": 60})
    found = until(lambda: (found := rollout(ecs, arn))["lifecycleStage"] == "PRODUCTION_TRAFFIC_SHIFT" and found,
                  "the first part is shifted", 120)
    assert running(found) == [(2, 12.5), (2, 87.5)]
    ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    assert ended(ecs, arn)["status"] == "ROLLBACK_SUCCESSFUL"
    found = service(ecs, staged.name)
    assert found["taskDefinition"].endswith(":1")
    assert found["runningCount"] == 2


def test_a_pause_of_a_rolling_deployment_goes_back(ecs, staged):
    arn = staged(lifecycleHooks=pause("PRE_SCALE_UP"))
    hook = paused(ecs, arn, "PRE_SCALE_UP")["lifecycleHookDetails"][0]
    assert service(ecs, staged.name)["runningCount"] == 2
    ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook["hookId"], action="ROLLBACK")
    found = ended(ecs, arn)
    assert (found["status"], found["statusReason"]) == ("ROLLBACK_SUCCESSFUL", "Service deployment rolled back by user.")


def test_an_early_success_is_said_while_old_tasks_still_run(ecs, staged):
    early = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"}
    arn = staged(minimumHealthyPercent=50, maximumPercent=150, earlySuccessCriteria=early)
    assert ended(ecs, arn)["status"] == "SUCCESSFUL"
    until(lambda: [one["runningCount"] for one in service(ecs, staged.name)["deployments"]] == [2],
          "the rest came after it", 120)


def test_a_breaker_that_trips_at_a_count(ecs, family, staged, shared_outport):
    ecs.register_task_definition(family="staged-bad", networkMode="bridge", containerDefinitions=[{
        "name": "main", "image": f"{shared_outport.repository_uri('app')}:none", "memory": 16}])
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 1}}
    staged(deploymentCircuitBreaker=breaker)
    updated = ecs.update_service(service=staged.name, taskDefinition="staged-bad")["service"]
    found = ended(ecs, updated["currentServiceDeployment"])
    assert found["status"] == "ROLLBACK_SUCCESSFUL"
    breaker = found["deploymentCircuitBreaker"]
    assert (breaker["status"], breaker["threshold"]) == ("TRIGGERED", 1)


def test_a_protected_task_outlives_a_smaller_count(ecs, family, staged):
    ecs.create_service(serviceName=staged.name, desiredCount=2, taskDefinition=f"{family}:1", launchType="EC2")
    until(lambda: service(ecs, staged.name)["runningCount"] == 2, "both run", 120)
    tasks = ecs.list_tasks(serviceName=staged.name)["taskArns"]
    kept = tasks[0]
    answer = ecs.update_task_protection(cluster="default", tasks=[kept], protectionEnabled=True, expiresInMinutes=5)
    [protected] = answer["protectedTasks"]
    assert (protected["taskArn"], protected["protectionEnabled"]) == (kept, True)
    ecs.update_service(service=staged.name, desiredCount=0)
    until(lambda: ecs.list_tasks(serviceName=staged.name)["taskArns"] == [kept], "the other stops", 120)
    said = "Reason: The number of protected tasks are more than the desired count of tasks."
    until(lambda: any(said in event["message"] for event in service(ecs, staged.name)["events"]), "it says why", 60)
    ecs.update_task_protection(cluster="default", tasks=[kept], protectionEnabled=False)
    until(lambda: ecs.list_tasks(serviceName=staged.name)["taskArns"] == [], "it stops, too", 120)
