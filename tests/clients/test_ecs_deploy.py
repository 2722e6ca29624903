"""`ecs-deploy` of PyPI, unmodified: deploy, scale, run, update, diff and roll back.

It registers what DescribeTaskDefinition answered, with an empty role for one that is not there.
"""

import os
import re
import subprocess

import pytest

SLEEP = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]
# A deployment is followed with this many seconds of patience, looking every second.
FOLLOW = ["--timeout", "180", "--sleep-time", "1"]


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def ecs(outport):
    return outport.ecs


def tool(outport, *arguments, check=True):
    """What `ecs` says; it leaves with 0 unless it may fail."""
    done = subprocess.run(["ecs", *arguments], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **outport.env()})
    assert not check or done.returncode == 0, f"ecs {arguments}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def described(ecs, name):
    return ecs.describe_services(services=[name])["services"][0]


def definition_of(ecs, service):
    return ecs.describe_task_definition(
        taskDefinition=described(ecs, service)["taskDefinition"])["taskDefinition"]


@pytest.fixture(scope="module")
def service(outport, ecs):
    """A Fargate service of one task without roles, stable."""
    image = f"{outport.repository_uri('app')}:1.0"
    outport.register(
        "ecs-deploy", [{"name": "main", "image": image, "command": SLEEP, "stopTimeout": 2,
                        "environment": [{"name": "KEPT", "value": ""}]}],
        requiresCompatibilities=["FARGATE"], networkMode="awsvpc", cpu="256", memory="512")
    ecs.create_service(serviceName="ecs-deploy", taskDefinition="ecs-deploy", desiredCount=1,
                       launchType="FARGATE", networkConfiguration=outport.awsvpc(),
                       deploymentConfiguration={"minimumHealthyPercent": 0})
    waiter = {"Delay": 1, "MaxAttempts": 180}
    ecs.get_waiter("services_stable").wait(services=["ecs-deploy"], WaiterConfig=waiter)
    yield "ecs-deploy"
    ecs.delete_service(service="ecs-deploy", force=True)
    ecs.get_waiter("services_inactive").wait(services=["ecs-deploy"], WaiterConfig=waiter)


def test_deploy_registers_a_revision_and_follows_it(outport, ecs, service):
    before = definition_of(ecs, service)
    said = tool(outport, "deploy", "default", service, "--tag", "2.0",
                "-e", "main", "ADDED", "yes", *FOLLOW)
    assert "Deployment successful" in said
    after = definition_of(ecs, service)
    assert after["revision"] > before["revision"]
    container = after["containerDefinitions"][0]
    assert container["image"].endswith("/app:2.0")
    assert {"name": "ADDED", "value": "yes"} in container["environment"]
    assert {"name": "KEPT", "value": ""} in container["environment"]
    assert "taskRoleArn" not in after and "executionRoleArn" not in after
    old = ecs.describe_task_definition(taskDefinition=before["taskDefinitionArn"])
    assert old["taskDefinition"]["status"] == "INACTIVE"
    tasks = ecs.list_tasks(serviceName=service)["taskArns"]
    assert [outport.task(arn)["taskDefinitionArn"] for arn in tasks] == [after["taskDefinitionArn"]]


def test_deploy_takes_roles_and_a_new_size(outport, ecs, service):
    role = outport.execution_role("execution")
    tool(outport, "deploy", "default", service, "--execution-role", role, "--task-cpu", "512",
         "--task-memory", "1024", "--no-deregister", *FOLLOW)
    after = definition_of(ecs, service)
    assert (after["executionRoleArn"], after["cpu"], after["memory"]) == (role, "512", "1024")


def test_scale(outport, ecs, service):
    for count in (2, 1):
        said = tool(outport, "scale", "default", service, str(count), *FOLLOW)
        assert "Scaling successful" in said
        found = described(ecs, service)
        assert (found["desiredCount"], found["runningCount"]) == (count, count)


def test_run_update_and_diff(outport, ecs, service):
    groups = outport.client("ec2").describe_security_groups()["SecurityGroups"]
    said = tool(outport, "run", "default", "ecs-deploy", "1", "--launchtype", "FARGATE",
                "--subnet", outport.subnet(), "--securitygroup", groups[0]["GroupId"],
                "-e", "main", "RUN", "once", "-c", "main", "true")
    task = outport.task(re.search(r"- (arn:\S+)", said)[1])
    assert task["startedBy"] == "ECS Deploy"
    override = task["overrides"]["containerOverrides"][0]
    assert {"name": "RUN", "value": "once"} in override["environment"]
    assert outport.reaches(task["taskArn"], "STOPPED")["containers"][0]["exitCode"] == 0

    before = ecs.describe_task_definition(taskDefinition="ecs-deploy")["taskDefinition"]["revision"]
    tool(outport, "update", "ecs-deploy", "-e", "main", "UPDATED", "yes", "--no-deregister")
    assert ecs.describe_task_definition(
        taskDefinition="ecs-deploy")["taskDefinition"]["revision"] == before + 1
    said = tool(outport, "diff", "ecs-deploy", str(before), str(before + 1))
    assert "UPDATED" in said


def test_a_deployment_that_cannot_start_is_rolled_back(outport, ecs, service):
    before = definition_of(ecs, service)
    done = tool(outport, "deploy", "default", service, "--tag", "no-such-tag", "--rollback",
                "--timeout", "5", "--sleep-time", "1", check=False)
    assert "Rolling back" in done
    found = definition_of(ecs, service)
    assert found["containerDefinitions"][0]["image"] == before["containerDefinitions"][0]["image"]


def test_what_is_not_there_is_said(outport):
    assert "Service not found" in tool(outport, "deploy", "default", "gone", check=False)
    assert "Unknown task definition" in tool(outport, "update", "gone", check=False)
