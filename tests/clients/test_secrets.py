"""Secrets Manager, as boto3 and the AWS CLI see it: who reads a value, and that nobody else finds it."""

import json
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def secrets(outport):
    return outport.client("secretsmanager")


def name(kind):
    return f"{kind}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def secret(secrets):
    made = secrets.create_secret(
        Name=name("prod/db"),
        Description="Of the database",
        SecretString=json.dumps({"user": "app", "password": "first"}),
        Tags=[{"Key": "team", "Value": "red"}],
    )
    yield made
    secrets.delete_secret(SecretId=made["ARN"], ForceDeleteWithoutRecovery=True)


@pytest.fixture
def user(outport):
    """A user without any policy: its ARN, and a client of its own."""
    iam, user = outport.client("iam"), name("user")
    arn = iam.create_user(UserName=user)["User"]["Arn"]
    key = iam.create_access_key(UserName=user)["AccessKey"]
    yield arn, boto3.client(
        "secretsmanager",
        endpoint_url=outport.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=Config(retries={"max_attempts": 1}),
    )
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    for policy in iam.list_user_policies(UserName=user)["PolicyNames"]:
        iam.delete_user_policy(UserName=user, PolicyName=policy)
    iam.delete_user(UserName=user)


def refused(call, code, *parts):
    with pytest.raises(ClientError) as error:
        call()
    found = error.value.response["Error"]
    assert found["Code"] == code, found
    for part in parts:
        assert part in found["Message"], found


def test_a_secret_lives_from_its_making_to_its_deletion(secrets, secret):
    arn, first = secret["ARN"], secret["VersionId"]
    read = secrets.get_secret_value(SecretId=secret["Name"])
    assert json.loads(read["SecretString"])["password"] == "first"
    assert (read["ARN"], read["VersionStages"]) == (arn, ["AWSCURRENT"])
    second = secrets.put_secret_value(SecretId=arn, SecretBinary=b"\x00\x01")["VersionId"]
    assert secrets.get_secret_value(SecretId=arn[:-7])["SecretBinary"] == b"\x00\x01"
    shown = secrets.describe_secret(SecretId=arn)
    assert shown["VersionIdsToStages"] == {first: ["AWSPREVIOUS"], second: ["AWSCURRENT"]}
    assert shown["Tags"] == [{"Key": "team", "Value": "red"}]
    secrets.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSCURRENT", RemoveFromVersionId=second, MoveToVersionId=first
    )
    assert secrets.get_secret_value(SecretId=arn)["VersionId"] == first
    listed = secrets.get_paginator("list_secrets").paginate(
        Filters=[{"Key": "name", "Values": [secret["Name"]]}]
    )
    assert [found["ARN"] for page in listed for found in page["SecretList"]] == [arn]
    batch = secrets.batch_get_secret_value(SecretIdList=[arn, "none"])
    assert [value["ARN"] for value in batch["SecretValues"]] == [arn]
    assert [error["ErrorCode"] for error in batch["Errors"]] == ["ResourceNotFoundException"]

    secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    refused(lambda: secrets.get_secret_value(SecretId=arn), "InvalidRequestException",
            "because it was marked for deletion.")
    secrets.restore_secret(SecretId=arn)
    assert secrets.get_secret_value(SecretId=arn)["VersionId"] == first
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    refused(lambda: secrets.get_secret_value(SecretId=arn), "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.")
    refused(lambda: secrets.replicate_secret_to_regions(SecretId=arn, AddReplicaRegions=[{"Region": "eu-west-1"}]),
            "NotImplemented")


def test_who_reads_is_said_by_user_and_secret(outport, secrets, secret, user):
    arn, (user_arn, of_user) = secret["ARN"], user
    read = lambda: of_user.get_secret_value(SecretId=arn)
    refused(read, "AccessDeniedException", f"User: {user_arn} is not authorized to perform: secretsmanager:GetSecretValue"
            f" on resource: {arn} because no identity-based policy allows the secretsmanager:GetSecretValue action")
    # A secret that is not there is refused in the same words.
    refused(lambda: of_user.get_secret_value(SecretId="none"), "AccessDeniedException", "on resource: none because no")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": user_arn},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
        "Condition": {"StringEquals": {"secretsmanager:VersionStage": "AWSCURRENT"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    secrets.put_resource_policy(SecretId=arn, ResourcePolicy=json.dumps(policy), BlockPublicPolicy=True)
    assert json.loads(read()["SecretString"])["user"] == "app"
    refused(lambda: of_user.get_secret_value(SecretId=arn, VersionStage="AWSPREVIOUS"), "AccessDeniedException")
    refused(lambda: of_user.describe_secret(SecretId=arn), "AccessDeniedException")

    # What the user's own policy says by tag, and what the secret denies.
    iam, user_name = outport.client("iam"), user_arn.rsplit("/", 1)[1]
    by_tag = {**statement, "Condition": {"StringEquals": {"secretsmanager:ResourceTag/team": "red"}}}
    del by_tag["Principal"]
    secrets.delete_resource_policy(SecretId=arn)
    refused(read, "AccessDeniedException")
    iam.put_user_policy(UserName=user_name, PolicyName="p",
                        PolicyDocument=json.dumps({**policy, "Statement": [by_tag]}))
    read()
    denying = {**policy, "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}]}
    secrets.put_resource_policy(SecretId=arn, ResourcePolicy=json.dumps(denying))
    refused(read, "AccessDeniedException", "with an explicit deny in a resource-based policy")


def test_a_value_is_nowhere_in_clear(outport, secrets):
    clear, other = f"clear-{uuid.uuid4().hex}", f"other-{uuid.uuid4().hex}"
    made = secrets.create_secret(Name=name("s"), SecretString=clear)
    secrets.put_secret_value(SecretId=made["ARN"], SecretBinary=other.encode())
    # What is refused is not written either.
    refused(lambda: secrets.put_secret_value(SecretId=made["ARN"], SecretString=clear * 2000), "ValidationException")
    assert secrets.get_secret_value(SecretId=made["ARN"])["SecretBinary"] == other.encode()
    files = [path for path in outport.data_dir.rglob("*") if path.is_file()]
    assert any(path.parts[-2] == "control" for path in files), files
    found = [path for path in files for value in (clear, other) if value.encode() in path.read_bytes()]
    assert not found
    log = outport.log()
    assert clear not in log and other not in log
    secrets.delete_secret(SecretId=made["ARN"], ForceDeleteWithoutRecovery=True)


def test_the_aws_cli_makes_reads_and_deletes(outport):
    secret = name("cli")
    make = ("secretsmanager", "create-secret", "--name", secret, "--secret-string", "s3cret")
    arn = outport.aws(*make)["ARN"]
    assert arn.startswith(f"arn:aws:secretsmanager:us-east-1:000000000000:secret:{secret}-")
    assert outport.aws("secretsmanager", "get-secret-value", "--secret-id", secret)["SecretString"] == "s3cret"
    password = outport.aws("secretsmanager", "get-random-password", "--password-length", "20")
    assert len(password["RandomPassword"]) == 20
    outport.aws("secretsmanager", "delete-secret", "--secret-id", arn, "--force-delete-without-recovery")
