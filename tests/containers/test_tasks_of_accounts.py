"""Tasks of several accounts and regions on one node: each with an address, images and logs of its own."""

import json
import uuid

import pytest
from support.accounts import Account, client_in
from support.wait import until

ECS = {"Service": "ecs-tasks.amazonaws.com"}
EXECUTION = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def team(outport):
    team = Account(outport, f"tasks-{uuid.uuid4().hex[:8]}")
    team.execution = team.role("execution", ECS)
    team.client("iam").attach_role_policy(RoleName="execution", PolicyArn=EXECUTION)
    return team


def run(account, region, image, group=None, group_region=None):
    """The ARN of a Fargate task of an account in a region, which says hello and stays."""
    ecs, ec2 = account.client("ecs", region), account.client("ec2", region)
    container = {"name": "web", "image": image, "essential": True, "stopTimeout": 2,
                 "command": ["sh", "-c", "echo hello; exec sleep 1000"]}
    if group:
        container["logConfiguration"] = {"logDriver": "awslogs", "options": {
            "awslogs-group": group, "awslogs-region": group_region or region, "awslogs-stream-prefix": "s"}}
    ecs.register_task_definition(
        family="elsewhere", containerDefinitions=[container], networkMode="awsvpc", cpu="256", memory="512",
        requiresCompatibilities=["FARGATE"], executionRoleArn=account.execution)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    answer = ecs.run_task(taskDefinition="elsewhere", launchType="FARGATE",
                          networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}})
    assert not answer["failures"], answer
    return answer["tasks"][0]["taskArn"]


def ends_as(account, region, task, status):
    ecs = account.client("ecs", region)

    def look():
        shown = ecs.describe_tasks(tasks=[task])["tasks"][0]
        assert status == "STOPPED" or shown["lastStatus"] != "STOPPED", shown
        return shown if shown["lastStatus"] == status else None
    return until(look, lambda: f"{task} is {status}\n{account.outport.log()[-3000:]}", 60)


def stop(account, region, task):
    account.client("ecs", region).stop_task(task=task)
    ends_as(account, region, task, "STOPPED")


def why(task):
    return "\n".join([task["stoppedReason"], *(container.get("reason") or "" for container in task["containers"])])


def test_an_account_runs_the_image_of_another_once_its_repository_allows(outport, team):
    image = "000000000000.dkr.ecr.us-east-1.amazonaws.com/app:1.0"
    stopped = ends_as(team, "us-east-1", run(team, "us-east-1", image), "STOPPED")
    arn = "arn:aws:ecr:us-east-1:000000000000:repository/app"
    assert f"is not authorized to perform: ecr:BatchGetImage on resource: {arn}" in why(stopped), why(stopped)
    statement = {"Sid": "team", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{team.id}:root"},
                 "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]}
    ecr = outport.client("ecr")
    ecr.set_repository_policy(repositoryName="app", policyText=json.dumps(
        {"Version": "2012-10-17", "Statement": [statement]}))
    try:
        # Also from another region than that of the registry.
        for region in ("us-east-1", "eu-west-1"):
            task = run(team, region, image)
            shown = ends_as(team, region, task, "RUNNING")
            assert shown["taskArn"].startswith(f"arn:aws:ecs:{region}:{team.id}:task/"), shown
            stop(team, region, task)
    finally:
        ecr.delete_repository_policy(repositoryName="app")
    # The account's own registry has no such repository.
    own = f"{team.id}.dkr.ecr.us-east-1.amazonaws.com/app:1.0"
    stopped = ends_as(team, "us-east-1", run(team, "us-east-1", own), "STOPPED")
    assert "CannotPullContainerError" in why(stopped), why(stopped)


def test_logs_go_where_the_definition_says(outport):
    class Home:
        outport = None

        def client(self, service, region="us-east-1"):
            return client_in(self.outport, service, region)

    home = Home()
    home.outport, home.execution = outport, outport.execution_role()
    group = f"/ecs/{uuid.uuid4().hex[:8]}"
    image = f"{outport.repository_uri('app')}:1.0".replace(
        outport.repository_uri("app").split("/")[0], "000000000000.dkr.ecr.us-east-1.amazonaws.com")
    logs = home.client("logs", "eu-central-1")
    logs.create_log_group(logGroupName=group)
    task = run(home, "eu-west-1", image, group, "eu-central-1")
    ends_as(home, "eu-west-1", task, "RUNNING")
    stream = f"s/web/{task.rsplit('/', 1)[1]}"

    def look():
        try:
            return logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return None
    assert until(look, "the line is there")[0]["message"] == "hello"
    stop(home, "eu-west-1", task)
    task = run(home, "eu-west-1", image, group, "mars-1")
    stopped = ends_as(home, "eu-west-1", task, "STOPPED")
    assert "awslogs-region is mars-1, which is not served here" in why(stopped), why(stopped)
