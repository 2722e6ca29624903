"""Several accounts and regions in one installation: made, isolated, and let into each other by policies only."""

import subprocess
import uuid

import botocore.exceptions
import pytest
from support.accounts import Account, client_in, document

HOME = "000000000000"


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def team(outport):
    return Account(outport, f"team-{uuid.uuid4().hex[:8]}")


def code(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        call(**arguments)
    return refusal.value.response["Error"]["Code"]


def operator(outport, *arguments):
    return subprocess.run([outport.binary, "account", *arguments, "--data-dir", outport.data_dir],
                          capture_output=True, text=True)


def test_an_account_is_made_with_a_root_key_that_is_shown_once(outport, team):
    assert team.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{team.id}:root"
    listed = operator(outport, "list").stdout
    assert f"{HOME}  {HOME}  (home)\n" in listed and f"{team.id}  {team.name}\n" in listed
    assert team.key[1] not in listed
    taken = operator(outport, "create", team.name)
    assert taken.returncode == 1 and f"account {team.id} has that name already" in taken.stderr, taken.stderr
    another = operator(outport, "key", team.name)
    shell = f"set -e; eval '{another.stdout}'; aws sts get-caller-identity --query Account --output text"
    env = {**team.env(), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    done = subprocess.run(["bash", "-c", shell], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == team.id, done.stderr
    assert "2 access keys already" in operator(outport, "key", team.id).stderr


def test_accounts_see_nothing_of_each_other(outport, team):
    own, foreign = outport.client("ecs"), team.client("ecs")
    own.create_cluster(clusterName="shared")
    foreign.create_cluster(clusterName="shared")
    arn = f"arn:aws:ecs:us-east-1:{HOME}:cluster/shared"
    assert arn not in foreign.list_clusters()["clusterArns"]
    assert foreign.describe_clusters(clusters=[arn])["failures"][0]["reason"] == "MISSING"
    foreign.delete_cluster(cluster="shared")
    assert own.describe_clusters(clusters=["shared"])["clusters"][0]["status"] == "ACTIVE"
    name = f"secret-{uuid.uuid4().hex[:8]}"
    secret = outport.client("secretsmanager").create_secret(Name=name, SecretString="x")["ARN"]
    secrets = team.client("secretsmanager")
    assert code(secrets.get_secret_value, SecretId=name) == "ResourceNotFoundException"
    # Who may not see it does not learn whether it is there.
    assert code(secrets.get_secret_value, SecretId=secret) == "AccessDeniedException"
    assert code(secrets.get_secret_value, SecretId=f"{secret[:-6]}abcdef") == "AccessDeniedException"
    subnets = {subnet["SubnetId"]: subnet["CidrBlock"] for subnet in team.client("ec2").describe_subnets()["Subnets"]}
    ours = {subnet["SubnetId"]: subnet["CidrBlock"] for subnet in outport.client("ec2").describe_subnets()["Subnets"]}
    assert len(subnets) == 6 and not set(subnets) & set(ours) and not set(subnets.values()) & set(ours.values())


def test_a_role_lets_another_account_in_and_a_resource_policy_its_secret(outport, team):
    iam, user = outport.client("iam"), f"ann-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    key = key["AccessKeyId"], key["SecretAccessKey"]
    role = team.role(f"visitors-{uuid.uuid4().hex[:8]}", {"AWS": HOME},
                     {"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"})
    sts = team.client("sts", key=key)
    # The trust of the other account is half of it, and the own account's policy the other half.
    assert code(sts.assume_role, RoleArn=role, RoleSessionName="visit") == "AccessDenied"
    iam.put_user_policy(UserName=user, PolicyName="visit", PolicyDocument=document(
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}))
    session = sts.assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]
    visitor = dict(key=(session["AccessKeyId"], session["SecretAccessKey"]), token=session["SessionToken"])
    clusters = team.client("ecs", **visitor).list_clusters()["clusterArns"]
    assert f"arn:aws:ecs:us-east-1:{team.id}:cluster/default" in clusters
    assert code(team.client("ecs", **visitor).create_cluster) == "AccessDeniedException"
    # A secret that names the user of the other account.
    secrets = team.client("secretsmanager")
    secret = secrets.create_secret(Name="for-visitors", SecretString="open")["ARN"]
    read = team.client("secretsmanager", key=key)
    assert code(read.get_secret_value, SecretId=secret) == "AccessDeniedException"
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HOME}:user/{user}"},
                 "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    secrets.put_resource_policy(SecretId=secret, ResourcePolicy=document(statement))
    assert code(read.get_secret_value, SecretId=secret) == "AccessDeniedException"
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=document(
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": secret}))
    # aws/secretsmanager, which it is sealed under, is for its own account only, as on AWS.
    assert code(read.get_secret_value, SecretId=secret) in ("AccessDeniedException", "InvalidRequestException")


def test_each_region_has_its_own(outport):
    names = [region["RegionName"] for region in outport.client("ec2").describe_regions()["Regions"]]
    assert {"us-east-1", "eu-west-1", "ap-southeast-2"} <= set(names) and len(names) > 30
    tokyo = client_in(outport, "ecs", "ap-northeast-1")
    arn = tokyo.create_cluster(clusterName="tokyo")["cluster"]["clusterArn"]
    assert arn == f"arn:aws:ecs:ap-northeast-1:{HOME}:cluster/tokyo"
    assert arn not in outport.ecs.list_clusters()["clusterArns"]
    zones = client_in(outport, "ec2", "ap-northeast-1").describe_subnets()["Subnets"]
    assert [subnet["AvailabilityZone"] for subnet in zones] == ["ap-northeast-1a", "ap-northeast-1b", "ap-northeast-1c"]
    client_in(outport, "logs", "ap-northeast-1").create_log_group(logGroupName="only-there")
    groups = outport.client("logs").describe_log_groups(logGroupNamePrefix="only-there")["logGroups"]
    assert groups == []
    # IAM has no regions.
    names = [client_in(outport, "iam", region).get_account_summary()["SummaryMap"]["Roles"]
             for region in ("us-east-1", "ap-northeast-1")]
    assert names[0] == names[1]


def test_a_region_that_is_not_of_the_partition_is_refused(outport):
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        client_in(outport, "ecs", "mars-1").list_clusters()
    said = refusal.value.response["Error"]["Message"]
    assert said == "Credential should be scoped to a valid region, not 'mars-1'. This Outport serves us-east-1 and 35 " \
                   "other regions."


def test_regions_are_those_that_the_operator_lists(outport, binary, tmp_path):
    other = type(outport)(binary, tmp_path)
    try:
        other.start("--regions", "us-east-1,eu-west-1")
        assert "eu-west-1" in other.summary()["regions"]
        assert client_in(other, "ecs", "eu-west-1").list_clusters()["clusterArns"]
        with pytest.raises(botocore.exceptions.ClientError) as refusal:
            client_in(other, "ecs", "us-west-2").list_clusters()
        assert "This Outport serves us-east-1, eu-west-1." in refusal.value.response["Error"]["Message"]
        # The account and region of the first start stay, whatever was made since.
        team = Account(other, "team")
        team.client("ecs").list_clusters()
        other.stop()
        other.start("--regions", "eu-west-1")
        assert other.summary()["account"] == HOME and other.summary()["region"] == "us-east-1"
        assert team.client("sts", region="eu-west-1").get_caller_identity()["Account"] == team.id
    finally:
        other.destroy()
