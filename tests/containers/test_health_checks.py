"""Health checks through the API: what they say of a container and of its task, and what waits for them."""

import pytest

from support.wait import until

# Longer than a check takes to say something, with the interval of 5 seconds that is the shortest.
PATIENCE = 90


def check(*command, **numbers):
    return {"command": list(command), "interval": 5, "timeout": 2, "retries": 1, **numbers}


def container(outport, name, command, **members):
    return {"name": name, "image": f"{outport.repository_uri('app')}:1.0", "memory": 64,
            "command": ["sh", "-c", command], "stopTimeout": 2, **members}


def run(outport, *containers):
    definition = outport.register("health", list(containers), networkMode="none")
    return outport.run(definition)["taskArn"]


def healths(outport, arn):
    """Of the task, and of its containers in the order of their names."""
    task = outport.task(arn)
    containers = sorted(task["containers"], key=lambda one: one["name"])
    return [task["healthStatus"]] + [one["healthStatus"] for one in containers]


def becomes(outport, arn, *expected):
    until(lambda: healths(outport, arn) == list(expected), lambda: f"it is {healths(outport, arn)}", PATIENCE)


def stop(outport, arn):
    outport.ecs.stop_task(task=arn)
    return outport.reaches(arn, "STOPPED")


def test_a_standalone_task_that_becomes_unhealthy_runs_on(shared_outport):
    outport = shared_outport
    ill_and_well_again = "sleep 8; touch /tmp/ill; sleep 12; rm /tmp/ill; sleep 600"
    arn = run(outport, container(outport, "a", ill_and_well_again, healthCheck=check("CMD-SHELL", "test ! -e /tmp/ill")),
              container(outport, "b", "sleep 600"),
              container(outport, "c", "sleep 600", essential=False, healthCheck=check("CMD", "false")))
    first = outport.reaches(arn, "RUNNING")
    assert first["healthStatus"] == "UNKNOWN"
    # One without a check is UNKNOWN and does not count, nor does one that is not essential.
    becomes(outport, arn, "HEALTHY", "HEALTHY", "UNKNOWN", "UNHEALTHY")
    healthy = outport.task(arn)
    assert healthy["version"] > first["version"]
    becomes(outport, arn, "UNHEALTHY", "UNHEALTHY", "UNKNOWN", "UNHEALTHY")
    assert outport.task(arn)["version"] > healthy["version"]
    assert outport.task(arn)["lastStatus"] == "RUNNING"
    becomes(outport, arn, "HEALTHY", "HEALTHY", "UNKNOWN", "UNHEALTHY")
    stopped = stop(outport, arn)
    assert stopped["stopCode"] == "UserInitiated"


def test_a_container_waits_until_another_is_healthy(shared_outport):
    outport = shared_outport
    arn = run(outport, container(outport, "db", "sleep 7; touch /tmp/up; sleep 600",
                                 healthCheck=check("CMD", "test", "-e", "/tmp/up", startPeriod=60)),
              container(outport, "web", "sleep 600", dependsOn=[{"containerName": "db", "condition": "HEALTHY"}]))
    def statuses():
        return {one["name"]: one["lastStatus"] for one in outport.task(arn)["containers"]}
    until(lambda: statuses()["db"] == "RUNNING", statuses, PATIENCE)
    assert statuses()["web"] == "PENDING"
    assert outport.task(arn)["lastStatus"] in ("PENDING", "ACTIVATING")
    running = outport.reaches(arn, "RUNNING")
    assert running["healthStatus"] == "HEALTHY"
    stop(outport, arn)


def test_a_dependency_that_is_not_healthy_in_time_ends_the_task(shared_outport):
    outport = shared_outport
    arn = run(outport, container(outport, "db", "sleep 600", startTimeout=3, healthCheck=check("CMD", "false")),
              container(outport, "web", "sleep 600", dependsOn=[{"containerName": "db", "condition": "HEALTHY"}]))
    stopped = outport.reaches(arn, "STOPPED")
    assert stopped["stopCode"] == "TaskFailedToStart"
    reasons = " ".join(one.get("reason", "") for one in stopped["containers"])
    assert "dependency [db] for target [web] has timed out" in reasons


def test_the_health_of_a_task_survives_restarts(outport, app_image):
    outport.start()
    outport.push(app_image, "app", "1.0")
    script = 'n=$(cat /tmp/n 2>/dev/null || echo 0); echo $((n+1)) > /tmp/n; test $n -lt 1 -o $n -gt 5'
    arn = run(outport, container(outport, "a", "sleep 600", healthCheck=check("CMD-SHELL", script)))
    becomes(outport, arn, "HEALTHY", "HEALTHY")
    # Its checks go on while nobody looks, and what they say meanwhile is told.
    outport.kill()
    outport.start()
    assert outport.task(arn)["lastStatus"] == "RUNNING"
    becomes(outport, arn, "UNHEALTHY", "UNHEALTHY")
    outport.kill()
    outport.start()
    assert healths(outport, arn) == ["UNHEALTHY", "UNHEALTHY"]
    becomes(outport, arn, "HEALTHY", "HEALTHY")
    stop(outport, arn)


@pytest.mark.parametrize("health_check, words", [
    (check("CMD-SHELL", "true", interval=4), "HealthCheck.interval must be between 5 and 300."),
    (check("curl", "localhost"), "HealthCheck.command must start with CMD or CMD-SHELL"),
    (check("CMD"), "HealthCheck.command must start with CMD or CMD-SHELL"),
])
def test_what_is_no_health_check_is_refused(shared_outport, health_check, words):
    outport = shared_outport
    with pytest.raises(outport.ecs.exceptions.ClientException, match=words):
        outport.register("health", [container(outport, "a", "true", healthCheck=health_check)])
