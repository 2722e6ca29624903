"""Parameter Store, as boto3 and the AWS CLI see it."""

import json
import subprocess
import uuid

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture
def path(outport):
    """A path of the test's own, which is empty after it."""
    ssm, path = outport.client("ssm"), f"/test-{uuid.uuid4().hex[:8]}"
    yield path
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
    for page in pages:
        names = [parameter["Name"] for parameter in page["Parameters"]]
        if names:
            ssm.delete_parameters(Names=names)


def refused(call, code):
    with pytest.raises(ClientError) as error:
        call()
    assert error.value.response["Error"]["Code"] == code, error.value.response


def test_parameters_live_in_a_hierarchy(outport, path):
    ssm, name = outport.client("ssm"), f"{path}/db/password"
    ssm.put_parameter(Name=name, Value="first", Type="SecureString", Tags=[{"Key": "team", "Value": "red"}])
    refused(lambda: ssm.put_parameter(Name=name, Value="x", Type="SecureString"), "ParameterAlreadyExists")
    assert ssm.put_parameter(Name=name, Value="second", Overwrite=True)["Version"] == 2
    ssm.label_parameter_version(Name=name, ParameterVersion=1, Labels=["live"])
    ssm.put_parameter(Name=f"{path}/hosts", Value="a,b", Type="StringList")
    read = lambda which: ssm.get_parameter(Name=which, WithDecryption=True)["Parameter"]
    assert (read(name)["Value"], read(f"{name}:1")["Value"]) == ("second", "first")
    assert read(f"{name}:live")["Version"] == 1
    assert read(read(name)["ARN"])["Value"] == "second"
    assert ssm.get_parameter(Name=name)["Parameter"]["Value"] != "second"
    below = ssm.get_parameters_by_path(Path=path)["Parameters"]
    assert [parameter["Name"] for parameter in below] == [f"{path}/hosts"]
    described = ssm.describe_parameters(ParameterFilters=[{"Key": "tag:team", "Values": ["red"]},
                                                          {"Key": "Path", "Option": "Recursive", "Values": [path]}])
    assert [(found["Name"], found["KeyId"]) for found in described["Parameters"]] == [(name, "alias/aws/ssm")]
    history = ssm.get_parameter_history(Name=name)["Parameters"]
    assert [version["Labels"] for version in history] == [["live"], []]
    ssm.delete_parameter(Name=name)
    refused(lambda: read(name), "ParameterNotFound")
    refused(lambda: read("/aws/service/ecs/optimized-ami/amazon-linux-2/recommended"), "NotImplemented")


def test_a_secure_string_is_nowhere_in_clear(outport, path):
    ssm, clear = outport.client("ssm"), f"clear-{uuid.uuid4().hex}"
    ssm.put_parameter(Name=f"{path}/s", Value=clear, Type="SecureString")
    assert ssm.get_parameter(Name=f"{path}/s", WithDecryption=True)["Parameter"]["Value"] == clear
    parts = [part for part in outport.data_dir.iterdir() if part.name not in ("node", "admin-socket")]
    grep = ["grep", "--recursive", "--devices=skip", "--fixed-strings", "--files-with-matches", clear, "--"]
    found = subprocess.run([*grep, *parts], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (1, ""), found
    assert clear not in outport.log()


def test_the_aws_cli_puts_and_gets(outport, path):
    put = ("ssm", "put-parameter", "--name", f"{path}/cli", "--value", "v", "--type", "String")
    assert outport.aws(*put)["Version"] == 1
    shown = outport.aws("ssm", "get-parameters", "--names", f"{path}/cli", "none")
    assert (shown["Parameters"][0]["Value"], shown["InvalidParameters"]) == ("v", ["none"])


def test_a_path_is_opened_by_a_policy(outport, path):
    import boto3

    iam, ssm, user = outport.client("iam"), outport.client("ssm"), f"user-{uuid.uuid4().hex[:8]}"
    ssm.put_parameter(Name=f"{path}/open", Value="v", Type="String")
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    of_user = boto3.client("ssm", endpoint_url=outport.url, region_name="us-east-1",
                           aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    refused(lambda: of_user.get_parameter(Name=f"{path}/open"), "AccessDeniedException")
    statement = {"Effect": "Allow", "Action": "ssm:GetParameter*",
                 "Resource": f"arn:aws:ssm:us-east-1:000000000000:parameter{path}/*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document)
    assert of_user.get_parameter(Name=f"{path}/open")["Parameter"]["Value"] == "v"
    refused(lambda: of_user.get_parameters(Names=[f"{path}/open", "/other"]), "AccessDeniedException")
    refused(lambda: of_user.delete_parameter(Name=f"{path}/open"), "AccessDeniedException")
    iam.delete_user_policy(UserName=user, PolicyName="p")
    iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName=user)
