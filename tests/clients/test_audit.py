"""The audit trail: who called what, as boto3, the AWS CLI and `outport iam advise` see it."""

import json
import os
import stat
import subprocess
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.registry import Registry, digest_of
from support.wait import until


def name(kind):
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def client(outport, service, key):
    """A client with the credentials of an answer of IAM or STS."""
    return boto3.client(service, endpoint_url=outport.url, region_name="us-east-1",
                        aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"],
                        aws_session_token=key.get("SessionToken"), config=Config(retries={"max_attempts": 1}))


def lookup(outport, key, value, count=1):
    """The records of the events with this attribute, newest first, once there are so many."""
    trail = outport.client("cloudtrail")
    attributes = [{"AttributeKey": key, "AttributeValue": value}]

    def found():
        pages = trail.get_paginator("lookup_events").paginate(LookupAttributes=attributes)
        events = [event for page in pages for event in page["Events"]]
        return events if len(events) >= count else None

    return until(found, f"{count} events with {key} {value}")


def record(event):
    return json.loads(event["CloudTrailEvent"])


@pytest.fixture
def role(shared_outport):
    """A role that who is of the account and is allowed to may assume: its name and ARN."""
    iam, role = shared_outport.client("iam"), name("role")
    statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    yield role, arn
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    iam.delete_role(RoleName=role)


@pytest.fixture
def user(shared_outport):
    """A user without any policy, and its key."""
    iam, user = shared_outport.client("iam"), name("user")
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    yield user, key
    for policy in iam.list_user_policies(UserName=user)["PolicyNames"]:
        iam.delete_user_policy(UserName=user, PolicyName=policy)
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=user)


def test_a_call_is_an_event(shared_outport):
    cluster = name("cluster")
    shared_outport.ecs.create_cluster(clusterName=cluster)
    shared_outport.ecs.delete_cluster(cluster=cluster)
    arn = f"arn:aws:ecs:us-east-1:000000000000:cluster/{cluster}"
    deleted = next(event for event in lookup(shared_outport, "ResourceName", arn) if event["EventName"] == "DeleteCluster")
    assert (deleted["EventSource"], deleted["Username"], deleted["ReadOnly"]) == ("ecs.amazonaws.com", "root", "false")
    assert {"ResourceType": "AWS::ECS::Cluster", "ResourceName": arn} in deleted["Resources"]
    event = record(deleted)
    assert event["requestParameters"] == {"cluster": cluster}
    assert event["responseElements"]["cluster"]["clusterArn"] == arn
    assert (event["userIdentity"]["type"], event["sourceIPAddress"]) == ("Root", "127.0.0.1")
    assert "boto" in event["userAgent"].lower()
    allowed = {"action": "ecs:DeleteCluster", "resource": arn, "decision": "Allow"}
    assert allowed in event["additionalEventData"]["authorization"]
    by_id = lookup(shared_outport, "EventId", deleted["EventId"])
    assert [found["EventId"] for found in by_id] == [deleted["EventId"]]


def test_secrets_are_not_in_the_trail(shared_outport):
    clear, secret, family = f"clear-{uuid.uuid4().hex}", name("secret"), name("family")
    manager, ssm = shared_outport.client("secretsmanager"), shared_outport.client("ssm")
    manager.create_secret(Name=secret, SecretString=clear)
    manager.get_secret_value(SecretId=secret)
    ssm.put_parameter(Name=f"/{secret}", Value=clear, Type="SecureString")
    ssm.get_parameter(Name=f"/{secret}", WithDecryption=True)
    shared_outport.ecs.register_task_definition(family=family, containerDefinitions=[
        {"name": "main", "image": "app", "memory": 64, "environment": [{"name": "PASSWORD", "value": clear}]}])
    definition = record(lookup(shared_outport, "EventName", "RegisterTaskDefinition")[0])
    assert definition["requestParameters"]["family"] == family
    container, = definition["requestParameters"]["containerDefinitions"]
    assert (container["image"], container["environment"]) == ("app", "HIDDEN_DUE_TO_SECURITY_REASONS")
    created = record(lookup(shared_outport, "EventName", "CreateSecret")[0])
    assert created["requestParameters"]["secretString"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    audit = shared_outport.data_dir / "audit"
    written = "".join(file.read_text() for file in audit.iterdir())
    assert "GetSecretValue" in written
    assert clear not in written
    manager.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    ssm.delete_parameter(Name=f"/{secret}")
    assert stat.S_IMODE(os.stat(audit).st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in audit.iterdir()} == {0o600}


def test_the_aws_cli_looks_up(shared_outport, user):
    who, key = user
    with pytest.raises(ClientError) as error:
        client(shared_outport, "ecs", key).list_clusters()
    message = error.value.response["Error"]["Message"]
    lookup(shared_outport, "AccessKeyId", key["AccessKeyId"])
    attribute = f"AttributeKey=Username,AttributeValue={who}"
    events = shared_outport.aws("cloudtrail", "lookup-events", "--lookup-attributes", attribute)["Events"]
    event = record(events[0])
    assert (event["errorCode"], event["errorMessage"]) == ("AccessDeniedException", message)
    assert event["userIdentity"]["userName"] == who
    assert event["additionalEventData"]["authorization"][0]["decision"] == "Deny"
    # Another account's, or without the permission: nothing.
    with pytest.raises(ClientError) as error:
        client(shared_outport, "cloudtrail", key).lookup_events()
    assert error.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(ClientError) as error:
        shared_outport.client("cloudtrail").create_trail(Name="a", S3BucketName="b")
    assert error.value.response["Error"]["Code"] == "NotImplemented"


def test_pushes_and_pulls_are_events(shared_outport, user):
    """At the registry's own endpoint as at the API, some for each layer and none for each chunk."""
    (who, key), repository = user, name("pushed")
    registry = Registry(shared_outport, repository)
    layer = b"layer " * 1000
    path = registry.begin_upload()
    for part in (layer[:3000], layer[3000:]):
        assert registry.call("PATCH", path, body=part, content_type="application/octet-stream")[0] == 202
    assert registry.finish_upload(path, b"", digest_of(layer))[0] == 201
    registry.push("1.0", [layer])
    assert registry.call("GET", f"/v2/{repository}/manifests/1.0")[0] == 200
    assert registry.call("GET", f"/v2/{repository}/blobs/{digest_of(layer)}")[0] == 200
    assert registry.call("GET", f"/v2/{repository}/manifests/2.0")[0] == 404

    arn = f"arn:aws:ecr:us-east-1:000000000000:repository/{repository}"
    events = lookup(shared_outport, "ResourceName", arn, count=12)
    names = [event["EventName"] for event in reversed(events)]
    blob = ["InitiateLayerUpload", "CompleteLayerUpload"]
    assert names == ["CreateRepository", "DescribeRepositories", *blob, *blob, *blob, "PutImage", "BatchGetImage", "GetDownloadUrlForLayer",
                     "BatchGetImage"], names
    missing, downloaded, pulled, put = [record(event) for event in events[:4]]
    assert missing["errorCode"] == "ImageNotFoundException"
    assert downloaded["requestParameters"]["layerDigest"] == digest_of(layer)
    assert pulled["requestParameters"] == {
        "repositoryName": repository, "registryId": "000000000000", "imageIds": [{"imageTag": "1.0"}]}
    assert (pulled["eventSource"], pulled["userIdentity"]["type"], pulled["readOnly"]) == ("ecr.amazonaws.com", "Root", True)
    assert (put["requestParameters"]["imageTag"], put["readOnly"]) == ("1.0", False)
    assert put["additionalEventData"]["authorization"] == [{"action": "ecr:PutImage", "resource": arn, "decision": "Allow"}]

    # Who may not is in it, also with what is not told otherwise.
    allowed = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    shared_outport.client("iam").put_user_policy(
        UserName=who, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    token = client(shared_outport, "ecr", key).get_authorization_token()["authorizationData"][0]["authorizationToken"]
    registry.authorization = f"Basic {token}"
    assert registry.call("GET", f"/v2/{repository}/manifests/1.0")[0] == 403
    assert registry.call("HEAD", f"/v2/{repository}/blobs/{digest_of(layer)}")[0] == 403
    denied = lookup(shared_outport, "Username", who, count=3)[:2]
    assert [event["EventName"] for event in denied] == ["BatchCheckLayerAvailability", "BatchGetImage"]
    for event in map(record, denied):
        assert event["errorCode"] == "AccessDeniedException" and who in event["errorMessage"]
        assert event["additionalEventData"]["authorization"][0]["decision"] == "Deny"
    registry.authorization = "Basic QVdTOng="
    assert registry.call("GET", f"/v2/{repository}/manifests/1.0")[0] == 401
    assert len(lookup(shared_outport, "ResourceName", arn, count=14)) == 14


def test_what_is_done_as_an_execution_role_is_an_event(shared_outport):
    role, secret, group = name("execution"), name("secret"), f"/{name('group')}"
    arn = shared_outport.execution_role(role)
    secret_arn = shared_outport.client("secretsmanager").create_secret(Name=secret, SecretString="clear-text")["ARN"]

    def run():
        definition = shared_outport.register(name("family"), [{
            "name": "main", "image": f"{shared_outport.repository_uri('app')}:1.0", "memory": 64,
            "secrets": [{"name": "S", "valueFrom": secret_arn}],
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
                "awslogs-create-group": "true"}}}],
            executionRoleArn=arn)
        return shared_outport.run(definition)["taskArn"]

    shared_outport.reaches(run(), "STOPPED")
    denied = record(lookup(shared_outport, "EventName", "GetSecretValue")[0])
    assert denied["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == arn
    assert (denied["errorCode"], denied["requestParameters"]) == ("AccessDeniedException", {"secretId": secret_arn})
    allowed = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret_arn}
    shared_outport.client("iam").put_role_policy(
        RoleName=role, PolicyName="secret", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    task = run()
    shared_outport.reaches(task, "RUNNING")
    session = task.rsplit("/", 1)[1]
    wanted = {"GetSecretValue", "GetAuthorizationToken", "BatchGetImage", "CreateLogStream"}
    made = record(lookup(shared_outport, "EventName", "CreateLogGroup")[0])
    assert made["requestParameters"] == {"logGroupName": group}

    def found():
        events = lookup(shared_outport, "Username", session)
        return wanted <= {event["EventName"] for event in events} and events

    for event in map(record, until(found, lambda: lookup(shared_outport, "Username", session))):
        assert event["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == arn
        assert "errorCode" not in event and "clear-text" not in json.dumps(event), event
        assert event["userAgent"], event
    shared_outport.ecs.stop_task(task=task)
    advised = json.loads(advise(shared_outport, role).stdout)
    actions = {action for statement in advised["Statement"] for action in statement["Action"]}
    assert {"secretsmanager:GetSecretValue", "ecr:BatchGetImage", "logs:CreateLogStream"} <= actions


def advise(outport, *words):
    command = [outport.binary, "iam", "advise", *words, "--data-dir", outport.data_dir]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_advised_policy_is_enough(shared_outport, role, user):
    """What a role was denied it may do with the policy that is advised, and nothing else."""
    (role, arn), (who, key) = role, user
    iam, cluster = shared_outport.client("iam"), name("cluster")
    shared_outport.ecs.create_cluster(clusterName=cluster)
    may_assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [may_assume]})
    iam.put_user_policy(UserName=who, PolicyName="p", PolicyDocument=document)
    assumed = client(shared_outport, "sts", key).assume_role(RoleArn=arn, RoleSessionName="session")
    ecs = client(shared_outport, "ecs", assumed["Credentials"])
    calls = [lambda: ecs.describe_clusters(clusters=[cluster]), lambda: ecs.list_clusters()]
    for call in calls:
        with pytest.raises(ClientError):
            call()
    lookup(shared_outport, "AccessKeyId", assumed["Credentials"]["AccessKeyId"], count=2)
    advised = advise(shared_outport, role)
    assert advised.returncode == 0, advised.stderr
    assert "was denied ecs:DescribeClusters" in advised.stderr
    policy = json.loads(advised.stdout)
    resource = f"arn:aws:ecs:us-east-1:000000000000:cluster/{cluster}"
    assert {"Effect": "Allow", "Action": ["ecs:DescribeClusters"], "Resource": [resource]} in policy["Statement"]
    iam.put_role_policy(RoleName=role, PolicyName="advised", PolicyDocument=advised.stdout)
    for call in calls:
        call()
    with pytest.raises(ClientError):
        ecs.delete_cluster(cluster=cluster)
    issued = record(lookup(shared_outport, "EventName", "AssumeRole")[0])
    assert issued["responseElements"]["credentials"]["secretAccessKey"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    said = json.loads(advise(shared_outport, role, "--json").stdout)
    assert (said["principal"], said["isCutShort"]) == (f"role {role}", False)
    shared_outport.ecs.delete_cluster(cluster=cluster)


def test_nothing_is_advised_of_who_did_nothing(shared_outport):
    advised = advise(shared_outport, "--user", "nobody")
    assert advised.returncode == 1
    assert "has no call of user nobody" in advised.stderr


def test_the_trail_goes_on_after_a_restart(outport):
    outport.start("--audit-mib", "16")
    outport.ecs.create_cluster(clusterName="before")
    outport.stop()
    outport.start("--audit-mib", "16")
    outport.ecs.create_cluster(clusterName="after")
    events = lookup(outport, "EventName", "CreateCluster", count=2)
    assert [record(event)["requestParameters"]["clusterName"] for event in events] == ["after", "before"]
    outport.stop()
