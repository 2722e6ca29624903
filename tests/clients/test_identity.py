"""Users, roles and sessions: what they may do, as boto3 and the AWS CLI see it."""

import csv
import json
import os
import subprocess
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.wait import until

LIST_CLUSTERS = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "ecs:ListClusters", "Resource": "*"}],
}


def trust(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def name(kind):
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def client(outport, service, key):
    """A client with the credentials of an answer of IAM or STS."""
    return boto3.client(
        service,
        endpoint_url=outport.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key.get("SessionToken"),
        config=Config(retries={"max_attempts": 1}),
    )


@pytest.fixture
def user(shared_outport):
    """A user without any policy, and its key."""
    iam, user = shared_outport.client("iam"), name("user")
    iam.create_user(UserName=user)
    yield user, iam.create_access_key(UserName=user)["AccessKey"]
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    for policy in iam.list_user_policies(UserName=user)["PolicyNames"]:
        iam.delete_user_policy(UserName=user, PolicyName=policy)
    for policy in iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=user, PolicyArn=policy["PolicyArn"])
    iam.delete_user(UserName=user)


def denied(call, *parts):
    with pytest.raises(ClientError) as error:
        call()
    refused = error.value.response["Error"]
    assert refused["Code"] in ("AccessDeniedException", "AccessDenied"), refused
    for part in parts:
        assert part in refused["Message"], refused


def test_a_user_may_what_its_policies_say_from_the_next_call_on(shared_outport, user):
    iam, (user, key) = shared_outport.client("iam"), user
    ecs = client(shared_outport, "ecs", key)
    arn = f"arn:aws:iam::000000000000:user/{user}"
    denied(ecs.list_clusters, f"User: {arn} is not authorized to perform: ecs:ListClusters on resource: *"
           " because no identity-based policy allows the ecs:ListClusters action")
    who = client(shared_outport, "sts", key).get_caller_identity()
    assert (who["Arn"], who["Account"]) == (arn, "000000000000")
    iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=json.dumps(LIST_CLUSTERS))
    assert ecs.list_clusters()["clusterArns"]
    denied(lambda: ecs.create_cluster(clusterName="x"), "ecs:CreateCluster", "cluster/x")
    denied(lambda: client(shared_outport, "iam", key).list_users(), "iam:ListUsers")
    iam.delete_user_policy(UserName=user, PolicyName="list")
    denied(ecs.list_clusters)
    # The document comes back as it was given.
    iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=json.dumps(LIST_CLUSTERS))
    assert iam.get_user_policy(UserName=user, PolicyName="list")["PolicyDocument"] == LIST_CLUSTERS


def test_a_key_that_is_switched_off_lets_nobody_in(shared_outport, user):
    iam, (user, key) = shared_outport.client("iam"), user
    sts = client(shared_outport, "sts", key)
    sts.get_caller_identity()
    iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError) as error:
        sts.get_caller_identity()
    assert error.value.response["Error"]["Code"] == "InvalidClientTokenId"
    iam.update_access_key(UserName=user, AccessKeyId=key["AccessKeyId"], Status="Active")
    sts.get_caller_identity()


def test_a_role_is_assumed_by_whom_it_trusts(shared_outport, user):
    iam, (user, key) = shared_outport.client("iam"), user
    role = name("role")
    made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "ecs-tasks.amazonaws.com"}))
    arn = made["Role"]["Arn"]
    sts = client(shared_outport, "sts", key)
    assume = lambda **more: sts.assume_role(RoleArn=arn, RoleSessionName="build", **more)
    try:
        denied(assume, f"is not authorized to perform: sts:AssumeRole on resource: {arn}")
        iam.update_assume_role_policy(
            RoleName=role,
            PolicyDocument=trust({"AWS": f"arn:aws:iam::000000000000:user/{user}"}),
        )
        session = assume()
        assert session["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{role}/build"
        ecs = client(shared_outport, "ecs", session["Credentials"])
        denied(ecs.list_clusters, f"assumed-role/{role}/build", "no identity-based policy")
        iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(LIST_CLUSTERS))
        assert ecs.list_clusters()["clusterArns"]
        nothing = {**LIST_CLUSTERS, "Statement": [{**LIST_CLUSTERS["Statement"][0], "Action": "ecs:RunTask"}]}
        limited = client(shared_outport, "ecs", assume(Policy=json.dumps(nothing))["Credentials"])
        denied(limited.list_clusters, "because no session policy allows the ecs:ListClusters action")
        # A later role of the same name is another one.
        iam.delete_role_policy(RoleName=role, PolicyName="p")
        iam.delete_role(RoleName=role)
        with pytest.raises(ClientError):
            ecs.list_clusters()
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"AWS": "000000000000"}))
        with pytest.raises(ClientError) as error:
            client(shared_outport, "sts", session["Credentials"]).get_caller_identity()
        assert error.value.response["Error"]["Code"] == "InvalidClientTokenId"
    finally:
        iam.delete_role(RoleName=role)


def test_documents_that_say_nothing_are_refused(shared_outport):
    iam = shared_outport.client("iam")
    for document in ["{", "[]", '{"Version": "2012-10-17"}']:
        with pytest.raises(ClientError) as error:
            iam.create_policy(PolicyName=name("policy"), PolicyDocument=document)
        assert error.value.response["Error"]["Code"] == "MalformedPolicyDocument", document


def test_the_registry_lets_a_user_do_what_its_policies_say(shared_outport, user):
    """The password of a limited user: at the registry's door as at the API."""
    iam, (user, key) = shared_outport.client("iam"), user
    ecr, repository = shared_outport.client("ecr"), name("app")
    ecr.create_repository(repositoryName=repository)
    try:
        own = client(shared_outport, "ecr", key)
        denied(own.get_authorization_token, "ecr:GetAuthorizationToken")
        iam.attach_user_policy(
            UserName=user, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")
        assert own.get_authorization_token()["authorizationData"]
        assert own.describe_repositories(repositoryNames=[repository])["repositories"]
        denied(lambda: own.initiate_layer_upload(repositoryName=repository), "ecr:InitiateLayerUpload")
    finally:
        ecr.delete_repository(repositoryName=repository)


def test_lists_come_in_pages(shared_outport):
    iam, prefix = shared_outport.client("iam"), f"/{name('pages')}/"
    users = [name("paged") for _ in range(3)]
    for user in users:
        iam.create_user(UserName=user, Path=prefix)
    try:
        pages = list(iam.get_paginator("list_users").paginate(
            PathPrefix=prefix, PaginationConfig={"PageSize": 2}))
        assert [len(page["Users"]) for page in pages] == [2, 1]
        assert {user["UserName"] for page in pages for user in page["Users"]} == set(users)
    finally:
        for user in users:
            iam.delete_user(UserName=user)


def test_waiters_wait_for_what_is_there(shared_outport):
    """`user_exists`, `role_exists`, `policy_exists` and `instance_profile_exists` wait for what is there already."""
    iam = shared_outport.client("iam")
    role, policy, profile = name("role"), name("policy"), name("profile")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "ec2.amazonaws.com"}))
    arn = iam.create_policy(PolicyName=policy, PolicyDocument=json.dumps(LIST_CLUSTERS))["Policy"]["Arn"]
    iam.create_instance_profile(InstanceProfileName=profile)
    quick = {"Delay": 1, "MaxAttempts": 1}
    iam.get_waiter("role_exists").wait(RoleName=role, WaiterConfig=quick)
    iam.get_waiter("policy_exists").wait(PolicyArn=arn, WaiterConfig=quick)
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=profile, WaiterConfig=quick)
    iam.delete_role(RoleName=role)
    iam.delete_policy(PolicyArn=arn)
    iam.delete_instance_profile(InstanceProfileName=profile)


def test_permissive_lets_pass_and_says_what_is_missing(outport):
    """Who comes from an emulator sees what is missing before it is enforced."""
    outport.start("--permissive")
    iam = outport.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    assert client(outport, "ecs", key).list_clusters()["clusterArns"]
    # The log is written beside the answers.
    until(lambda: "permission_missing" in outport.log() or "allowed by --permissive" in outport.log(), outport.log)
    statement = '{"Effect":"Allow","Action":"ecs:ListClusters","Resource":"*"}'
    until(lambda: statement in outport.log().replace("\\", ""), outport.log)


def test_a_profile_with_a_role_works_in_the_aws_cli(shared_outport, user, tmp_path):
    """`role_arn` and `source_profile`, as people have them in ~/.aws/config."""
    iam, (user, key) = shared_outport.client("iam"), user
    role = name("deploy")
    arn = iam.create_role(
        RoleName=role,
        AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::000000000000:user/{user}"}),
    )["Role"]["Arn"]
    config = tmp_path / "config"
    config.write_text(
        f"[profile base]\naws_access_key_id = {key['AccessKeyId']}\n"
        f"aws_secret_access_key = {key['SecretAccessKey']}\n"
        f"[profile deploy]\nrole_arn = {arn}\nsource_profile = base\nrole_session_name = pipeline\n")
    kept = ("PATH", "HOME", "LANG")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {
        "AWS_CONFIG_FILE": str(config), "AWS_ENDPOINT_URL": shared_outport.url,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }
    run = lambda *words: subprocess.run(
        ["aws", "--profile", "deploy", "--output", "text", *words],
        env=environment, capture_output=True, text=True)
    try:
        who = run("sts", "get-caller-identity", "--query", "Arn")
        assert who.stdout.strip() == f"arn:aws:sts::000000000000:assumed-role/{role}/pipeline", who
        refused = run("ecs", "list-clusters")
        assert refused.returncode != 0 and "AccessDeniedException" in refused.stderr, refused
        iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(LIST_CLUSTERS))
        listed = run("ecs", "list-clusters")
        assert listed.returncode == 0 and "cluster/default" in listed.stdout, listed
    finally:
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=policy)
        iam.delete_role(RoleName=role)


def test_a_service_linked_role_is_made_once_and_deleted(shared_outport):
    iam = shared_outport.client("iam")
    made = iam.create_service_linked_role(AWSServiceName="spotfleet.amazonaws.com")["Role"]
    assert made["Arn"].endswith(":role/aws-service-role/spotfleet.amazonaws.com/AWSServiceRoleForEC2SpotFleet")
    assert made["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "spotfleet.amazonaws.com"}
    role = made["RoleName"]
    with pytest.raises(iam.exceptions.InvalidInputException):
        iam.create_service_linked_role(AWSServiceName="spotfleet.amazonaws.com")
    with pytest.raises(iam.exceptions.UnmodifiableEntityException):
        iam.delete_role(RoleName=role)
    task = iam.delete_service_linked_role(RoleName=role)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"


def test_what_is_simulated_is_what_happens(shared_outport, user):
    iam, (user, key) = shared_outport.client("iam"), user
    arn = f"arn:aws:iam::000000000000:user/{user}"
    iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=json.dumps(LIST_CLUSTERS))
    actions = ["ecs:ListClusters", "ecs:CreateCluster"]
    results = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=actions)["EvaluationResults"]
    decisions = {result["EvalActionName"]: result["EvalDecision"] for result in results}
    assert decisions == {"ecs:ListClusters": "allowed", "ecs:CreateCluster": "implicitDeny"}
    assert [statement["SourcePolicyId"] for statement in results[0]["MatchedStatements"]] == ["list"]
    ecs = client(shared_outport, "ecs", key)
    ecs.list_clusters()
    denied(lambda: ecs.create_cluster(clusterName="x"))
    # Nobody simulates without the permission, and pages come to an end.
    denied(lambda: client(shared_outport, "iam", key).simulate_principal_policy(PolicySourceArn=arn, ActionNames=actions),
           "iam:SimulatePrincipalPolicy")
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[json.dumps(LIST_CLUSTERS)], ActionNames=actions * 2, PaginationConfig={"PageSize": 3})
    assert [len(page["EvaluationResults"]) for page in pages] == [3, 1]
    condition = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    asking = {**LIST_CLUSTERS, "Statement": [{**LIST_CLUSTERS["Statement"][0], "Condition": condition}]}
    keys = iam.get_context_keys_for_custom_policy(PolicyInputList=[json.dumps(asking)])["ContextKeyNames"]
    assert keys == ["aws:PrincipalTag/team", "aws:ResourceTag/team"]


def test_an_account_is_shown_in_full(shared_outport, user):
    iam, (user, _) = shared_outport.client("iam"), user
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] >= 1 and summary["AccountAccessKeysPresent"] == 1 and summary["UsersQuota"] == 5000
    pages = iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 2})
    assert user in {found["UserName"] for page in pages for found in page["UserDetailList"]}
    alias = name("alias")
    iam.create_account_alias(AccountAlias=alias)
    assert iam.list_account_aliases()["AccountAliases"] == [alias]
    iam.delete_account_alias(AccountAlias=alias)
    while iam.generate_credential_report()["State"] != "COMPLETE":
        pass
    report = list(csv.DictReader(iam.get_credential_report()["Content"].decode().splitlines()))
    assert report[0]["user"] == "<root_account>"
    [line] = [line for line in report if line["user"] == user]
    assert (line["access_key_1_active"], line["access_key_2_active"], line["password_enabled"]) == ("true", "false", "false")


def test_a_user_changes_its_password_within_the_policy(shared_outport, user):
    iam, (user, key) = shared_outport.client("iam"), user
    own = client(shared_outport, "iam", key)
    iam.update_account_password_policy(MinimumPasswordLength=12, RequireNumbers=True)
    try:
        assert iam.get_account_password_policy()["PasswordPolicy"]["ExpirePasswords"] is False
        with pytest.raises(iam.exceptions.PasswordPolicyViolationException):
            iam.create_login_profile(UserName=user, Password="too-short-1")
        iam.create_login_profile(UserName=user, Password="long-enough-1", PasswordResetRequired=True)
        change = lambda old, new: own.change_password(OldPassword=old, NewPassword=new)
        denied(lambda: change("long-enough-1", "long-enough-2"), "iam:ChangePassword")
        iam.attach_user_policy(UserName=user, PolicyArn="arn:aws:iam::aws:policy/IAMUserChangePassword")
        denied(lambda: change("another-one-1", "long-enough-2"), "old password")
        change("long-enough-1", "long-enough-2")
        assert iam.get_login_profile(UserName=user)["LoginProfile"]["PasswordResetRequired"] is False
        with pytest.raises(iam.exceptions.InvalidUserTypeException):
            iam.change_password(OldPassword="long-enough-2", NewPassword="long-enough-3")
    finally:
        iam.delete_account_password_policy()
        iam.delete_login_profile(UserName=user)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_account_password_policy()


def test_an_oidc_provider_is_kept(shared_outport):
    iam = shared_outport.client("iam")
    url = f"https://{name('issuer')}.example.com/id"
    arn = iam.create_open_id_connect_provider(
        Url=url, ClientIDList=["sts.amazonaws.com"], Tags=[{"Key": "team", "Value": "blue"}],
    )["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::000000000000:oidc-provider/{url.removeprefix('https://')}"
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="app")
    shown = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (shown["ClientIDList"], shown["Tags"]) == (["sts.amazonaws.com", "app"], [{"Key": "team", "Value": "blue"}])
    assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def test_a_server_certificate_fits_its_key(shared_outport, tmp_path):
    iam, certificate = shared_outport.client("iam"), name("certificate")
    pairs = [make_pair(tmp_path, f"{number}.example.com") for number in (1, 2)]
    upload = lambda body, key: iam.upload_server_certificate(
        ServerCertificateName=certificate, CertificateBody=body, PrivateKey=key)
    with pytest.raises(iam.exceptions.KeyPairMismatchException):
        upload(pairs[0][0], pairs[1][1])
    with pytest.raises(iam.exceptions.MalformedCertificateException):
        upload("certificate", pairs[0][1])
    made = upload(*pairs[0])["ServerCertificateMetadata"]
    assert made["Expiration"] > made["UploadDate"]
    shown = iam.get_server_certificate(ServerCertificateName=certificate)["ServerCertificate"]
    assert shown["CertificateBody"].strip() == pairs[0][0].strip()
    listed = iam.list_server_certificates()["ServerCertificateMetadataList"]
    assert certificate in {found["ServerCertificateName"] for found in listed}
    iam.delete_server_certificate(ServerCertificateName=certificate)


def make_pair(directory, common_name):
    """A certificate that signs itself, and its RSA key, as `openssl` makes them."""
    key, certificate = directory / f"{common_name}.key", directory / f"{common_name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={common_name}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate.read_text(), key.read_text()
