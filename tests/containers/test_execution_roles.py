"""What is done with the permissions of a task's execution role: pulls, secrets and logs, evaluated anew at each start."""

import json
import uuid
from pathlib import Path

import pytest
from support.private_registry import PrivateRegistry
from support.task_roles import SERVE, Inside, trust

PULL = [{"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {"Effect": "Allow", "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
         "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/app"}]


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


class Role:
    """An execution role, with one inline policy at a time."""

    def __init__(self, outport):
        self.iam, self.name = outport.client("iam"), f"exec-{uuid.uuid4().hex[:8]}"
        self.arn = f"arn:aws:iam::000000000000:role/{self.name}"
        self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=trust())

    def may(self, *statements):
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.iam.put_role_policy(RoleName=self.name, PolicyName="execution", PolicyDocument=document)

    def delete(self):
        for name in self.iam.list_role_policies(RoleName=self.name)["PolicyNames"]:
            self.iam.delete_role_policy(RoleName=self.name, PolicyName=name)
        self.iam.delete_role(RoleName=self.name)


@pytest.fixture
def role(outport):
    role = Role(outport)
    yield role
    role.delete()


def allow(action, resource):
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def run(outport, role, image=None, **container):
    container = {"name": "web", "image": image or f"{outport.repository_uri('app')}:1.0", "memory": 64, **container}
    definition = outport.register("execution", [container], executionRoleArn=role.arn, networkMode="awsvpc")
    network = {"awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    return outport.run(definition, networkConfiguration=network)["taskArn"]


def fails(outport, task):
    """Why it did not start."""
    stopped = outport.reaches(task, "STOPPED")
    assert stopped["stopCode"] == "TaskFailedToStart", stopped
    reasons = [stopped["stoppedReason"], *(container.get("reason") or "" for container in stopped["containers"])]
    return "\n".join(reasons)


def runs(outport, task):
    outport.reaches(task, "RUNNING")
    outport.ecs.stop_task(task=task)
    return outport.reaches(task, "STOPPED")


def who(role, task):
    return f"User: arn:aws:sts::000000000000:assumed-role/{role.name}/{task.rsplit('/', 1)[1]}"


def test_a_pull_needs_what_the_role_may(outport, role):
    task = run(outport, role)
    reason = fails(outport, task)
    assert "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: " \
           "unable to retrieve ecr registry auth: service call has been retried" in reason, reason
    assert f"AccessDeniedException: {who(role, task)} is not authorized to perform: ecr:GetAuthorizationToken on " \
           "resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action" in reason, reason
    role.may(PULL[0])
    task = run(outport, role)
    reason = fails(outport, task)
    assert "CannotPullContainerError: " in reason, reason
    assert f"{who(role, task)} is not authorized to perform: ecr:BatchGetImage on resource: " \
           "arn:aws:ecr:us-east-1:000000000000:repository/app" in reason, reason
    role.may(*PULL)
    runs(outport, run(outport, role))
    # It is here now, and the permission counts all the same.
    role.may(PULL[0])
    assert "ecr:BatchGetImage" in fails(outport, run(outport, role))


def test_a_role_that_ecs_may_not_assume_starts_nothing(outport, role):
    role.may(*PULL)
    other = json.loads(trust())
    other["Statement"][0]["Principal"] = {"Service": "ec2.amazonaws.com"}
    role.iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=json.dumps(other))
    reason = fails(outport, run(outport, role))
    assert f"ECS was unable to assume the role '{role.arn}' that was provided for this task." in reason, reason
    role.iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=trust())
    runs(outport, run(outport, role))


def test_logs_are_written_as_the_role(outport, role):
    group = f"/execution/{uuid.uuid4().hex[:8]}"
    options = {"logDriver": "awslogs", "options": {"awslogs-group": group, "awslogs-region": "us-east-1",
                                                   "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}}
    said = {"command": ["sh", "-c", "echo said; sleep 60"], "logConfiguration": options}
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    steps = [("logs:CreateLogGroup", arn), ("logs:CreateLogStream", f"{arn}:log-stream:p/web")]
    statements = list(PULL)
    for action, resource in steps:
        role.may(*statements)
        task = run(outport, role, **said)
        reason = fails(outport, task)
        assert "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: " \
               "failed to create Cloudwatch log stream: AccessDeniedException: " in reason, reason
        assert f"{who(role, task)} is not authorized to perform: {action} on resource: {resource}" in reason, reason
        statements.append(allow(action, f"{arn}:*"))
    statements.append(allow("logs:PutLogEvents", f"{arn}:log-stream:p/*"))
    role.may(*statements)
    task = run(outport, role, **said)
    runs(outport, task)
    events = outport.client("logs").filter_log_events(logGroupName=group)["events"]
    assert [event["message"] for event in events] == ["said"]


def test_secrets_reach_the_container_and_nothing_else(outport, role):
    secrets, parameters = outport.client("secretsmanager"), outport.client("ssm")
    name, value = f"db-{uuid.uuid4().hex[:8]}", f"s3cret-{uuid.uuid4().hex}"
    document = json.dumps({"user": "app", "password": value, "port": 5432})
    secret = secrets.create_secret(Name=name, SecretString=document)["ARN"]
    old = secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
    secrets.put_secret_value(SecretId=secret, SecretString=json.dumps({"password": "newer-" + value}))
    first = next(iter(old))
    parameters.put_parameter(Name=f"/{name}/token", Value="token-" + value, Type="SecureString")
    parameters.put_parameter(Name=name, Value="plain-" + value, Type="String")
    sources = {"WHOLE": secret, "PASSWORD": f"{secret}:password::", "OLD": f"{secret}:password:AWSPREVIOUS:",
               "PORT": f"{secret}:port::{first}", "TOKEN": f"arn:aws:ssm:us-east-1:000000000000:parameter/{name}/token",
               "NAMED": name}
    wanted = {"secrets": [{"name": name, "valueFrom": source} for name, source in sources.items()]}
    serving = {"command": ["sh", "-c", SERVE], "portMappings": [{"containerPort": 8000}], **wanted}

    role.may(*PULL)
    task = run(outport, role, **wanted)
    reason = fails(outport, task)
    assert "unable to retrieve secrets from ssm: service call has been retried 1 time(s): AccessDeniedException: " \
           f"{who(role, task)} is not authorized to perform: ssm:GetParameters on resource: " in reason, reason
    read_parameters = allow("ssm:GetParameters", "*")
    role.may(*PULL, read_parameters)
    task = run(outport, role, **wanted)
    reason = fails(outport, task)
    assert "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret " \
           f"{secret} from secrets manager: AccessDeniedException: {who(role, task)} is not authorized to perform: " \
           "secretsmanager:GetSecretValue on resource: " in reason, reason
    role.may(*PULL, read_parameters, allow("secretsmanager:GetSecretValue", secret))
    reason = fails(outport, run(outport, role, secrets=[{"name": "A", "valueFrom": f"{secret}:nothing::"}]))
    assert "did not contain json key nothing" in reason, reason
    reason = fails(outport, run(outport, role, secrets=[{"name": "A", "valueFrom": f"{name}-not-there"}]))
    assert f"invalid parameters: {name}-not-there" in reason, reason

    task = run(outport, role, **serving)
    inside = Inside(outport, outport.reaches(task, "RUNNING"), "awsvpc")
    environment = inside.environment
    assert environment["WHOLE"] == json.dumps({"password": "newer-" + value})
    assert environment["PASSWORD"] == "newer-" + value
    assert (environment["OLD"], environment["PORT"]) == (value, "5432")
    assert (environment["TOKEN"], environment["NAMED"]) == ("token-" + value, "plain-" + value)
    assert value not in json.dumps(outport.task(task), default=str)
    assert value not in outport.log()
    # Not on a disk: the task's record, what the node keeps, the rows of the store.
    for kept in ("node", "control"):
        written = [path for path in (outport.data_dir / kept).rglob("*")
                   if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20
                   and "images" not in path.parts and "upper" not in path.parts]
        assert written
        found = [path for path in written if value.encode() in path.read_bytes()]
        # A parameter of type String is in clear in its row, as it is to who may read it.
        assert not [path for path in found if (b"newer-" + value.encode()) in path.read_bytes()], found
        assert kept == "control" or not found, found
    inside.stop()
    run_dir = Path("/run/outport") / outport.instance()
    # Namespaces are pinned at files, too, and have nothing in them.
    files = [path for path in run_dir.rglob("*") if path.is_file() and not {"users", "ns"} & set(path.parts)]
    left = [path for path in files if value.encode() in path.read_bytes()]
    assert not left, "nothing is left of a task that has stopped"


def test_an_image_of_a_private_registry_is_pulled_as_the_secret_says(outport, role, app_image):
    registry = PrivateRegistry(app_image, "team/app", "puller", "pa55word")
    secrets = outport.client("secretsmanager")
    name = f"registry-{uuid.uuid4().hex[:8]}"
    arn = secrets.create_secret(Name=name, SecretString=json.dumps({"username": "puller", "password": "wrong"}))["ARN"]
    given = {"image": f"{registry.uri}:1.0", "repositoryCredentials": {"credentialsParameter": arn}}
    try:
        task = run(outport, role, **given)
        reason = fails(outport, task)
        assert "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval " \
               "failed: unable to get registry auth from asm: service call has been retried 1 time(s): asm fetching " \
               f"secret from the service for {arn}: AccessDeniedException: {who(role, task)}" in reason, reason
        role.may(allow("secretsmanager:GetSecretValue", arn))
        reason = fails(outport, run(outport, role, **given))
        assert "CannotPullContainerError" in reason and "no basic auth credentials" in reason, reason
        secrets.put_secret_value(SecretId=arn, SecretString=json.dumps({"username": "puller", "password": "pa55word"}))
        runs(outport, run(outport, role, **given))
    finally:
        registry.close()
