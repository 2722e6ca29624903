"""The main job, as a person types it: the stock AWS CLI against a running Outport."""

import contextlib
import json
import os
import signal
import urllib.request

from support.wait import until

LOG_OPTIONS = {"awslogs-group": "/ecs/app", "awslogs-region": "us-east-1",
               "awslogs-stream-prefix": "app", "awslogs-create-group": "true"}


def task_definition(uri, tag):
    return {
        "family": "app",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::000000000000:role/ecsTaskExecutionRole",
        "containerDefinitions": [{
            "name": "web",
            "image": f"{uri}:{tag}",
            "portMappings": [{"containerPort": 8000}],
            "logConfiguration": {"logDriver": "awslogs", "options": LOG_OPTIONS},
        }],
    }


def register(outport, path, document):
    path.write_text(json.dumps(document))
    answer = outport.aws("ecs", "register-task-definition", "--cli-input-json", f"file://{path}")
    definition = answer["taskDefinition"]
    return f"{definition['family']}:{definition['revision']}"


def page(address):
    with urllib.request.urlopen(f"http://{address}:8000/", timeout=5) as answer:
        return answer.read().decode()


def serves(address, text):
    try:
        return text in page(address)
    except OSError:
        return False


def network(outport):
    subnets = outport.aws("ec2", "describe-subnets")["Subnets"]
    return json.dumps({"awsvpcConfiguration": {"subnets": [s["SubnetId"] for s in subnets]}})


def running(outport, service):
    arns = outport.aws("ecs", "list-tasks", "--service-name", service)["taskArns"]
    if not arns:
        return []
    tasks = outport.aws("ecs", "describe-tasks", "--tasks", *arns)["tasks"]
    return [task for task in tasks if task["lastStatus"] == "RUNNING"]


def test_the_main_job(outport, app_image, tmp_path):
    outport.start()
    identity = outport.aws("sts", "get-caller-identity")
    assert identity["Arn"] == "arn:aws:iam::000000000000:root"
    uri = outport.push(app_image, "app", "1.0", "2.0")
    outport.execution_role()
    first = register(outport, tmp_path / "task.json", task_definition(uri, "1.0"))
    assert first == "app:1"

    started = outport.aws("ecs", "run-task", "--launch-type", "FARGATE", "--task-definition", first,
                          "--network-configuration", network(outport))
    assert started["failures"] == []
    arn = started["tasks"][0]["taskArn"]
    outport.aws("ecs", "wait", "tasks-running", "--tasks", arn)
    task = outport.task(arn)
    address = outport.address(task)
    until(lambda: serves(address, "hello from app 1.0"), f"the page of {address}")

    task_id = arn.rsplit("/", 1)[1]
    stream = f"app/web/{task_id}"
    events = until(lambda: outport.aws("logs", "get-log-events", "--log-group-name", "/ecs/app",
                                       "--log-stream-name", stream)["events"], "its log")
    assert events[0]["message"] == "app 1.0 is starting"
    assert "app 1.0 is starting" in outport.aws("logs", "tail", "/ecs/app")

    outport.aws("ecs", "create-service", "--service-name", "web", "--desired-count", "3",
                "--launch-type", "FARGATE", "--task-definition", first,
                "--network-configuration", network(outport))
    outport.aws("ecs", "wait", "services-stable", "--services", "web")
    assert len(running(outport, "web")) == 3

    second = register(outport, tmp_path / "task.json", task_definition(uri, "2.0"))
    outport.aws("ecs", "update-service", "--service", "web", "--task-definition", second)
    outport.aws("ecs", "wait", "services-stable", "--services", "web")
    tasks = running(outport, "web")
    assert [task["taskDefinitionArn"].rsplit("/", 1)[1] for task in tasks] == [second] * 3
    for task in tasks:
        address = outport.address(task)
        until(lambda: serves(address, "hello from app 2.0"), f"the page of {address}")

    kill_one_container(outport, tasks[0])
    gone = tasks[0]["taskArn"]
    until(lambda: len([t for t in running(outport, "web") if t["taskArn"] != gone]) == 3,
          "a new task took the place of the killed one")
    stopped = outport.task(gone)
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert stopped["containers"][0]["exitCode"] == 137

    outport.aws("ecs", "delete-service", "--service", "web", "--force")
    until(lambda: not running(outport, "web"), "the service's tasks stopped")
    outport.aws("ecs", "stop-task", "--task", arn, "--reason", "done")
    outport.aws("ecs", "wait", "tasks-stopped", "--tasks", arn)
    stopped = outport.task(arn)
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "done")
    assert stopped["containers"][0]["exitCode"] == 0
    outport.stop()
    outport.assert_nothing_left()


def kill_one_container(outport, task):
    """As a crash would: SIGKILL to the container's processes, found by their control group."""
    task_id = task["taskArn"].rsplit("/", 1)[1]
    killed = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            groups = open(f"/proc/{entry}/cgroup").read()
        except OSError:
            continue
        if f"/{task_id}/web" in groups:
            # The kernel ends the others when the container's first process is killed.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry), signal.SIGKILL)
                killed += 1
    assert killed, "the container's processes were found"
