"""Policies are about the users and roles that they were written for, not about who has the name later."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from support.accounts import document
from test_identity import client, denied, name, trust

ACCOUNT = "000000000000"


class Ann:
    """A user who may do nothing by policies of her own, and can be made anew."""

    def __init__(self, outport):
        self.outport, self.iam, self.name = outport, outport.client("iam"), name("ann")
        self.arn = f"arn:aws:iam::{ACCOUNT}:user/{self.name}"
        self.make()

    def make(self):
        self.id = self.iam.create_user(UserName=self.name)["User"]["UserId"]
        self.key = self.iam.create_access_key(UserName=self.name)["AccessKey"]

    def remove(self):
        self.iam.delete_access_key(UserName=self.name, AccessKeyId=self.key["AccessKeyId"])
        self.iam.delete_user(UserName=self.name)

    def make_anew(self):
        self.remove()
        self.make()

    def client(self, service):
        return client(self.outport, service, self.key)


@pytest.fixture
def ann(shared_outport):
    ann = Ann(shared_outport)
    yield ann
    ann.remove()


def allow(principal, action, **more):
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, **more}


def named(policy):
    """Whom a policy's one statement names."""
    policy = json.loads(policy) if isinstance(policy, str) else policy
    return policy["Statement"][0]["Principal"]["AWS"]


def test_a_role_trusts_the_user_that_was_there_when_it_was_told(shared_outport, ann):
    iam, role = shared_outport.client("iam"), name("role")
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"AWS": ann.arn}))["Role"]["Arn"]
    shown = lambda: named(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])
    assume = lambda: ann.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    try:
        assert shown() == ann.arn
        assume()
        first = ann.id
        ann.make_anew()
        assert ann.id != first
        assert shown() == first, "who is gone has no name any more"
        denied(assume)
        # Nor can it be written again so.
        with pytest.raises(ClientError, match=f'Invalid principal in policy: "AWS":"{first}"'):
            iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": first}))
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": ann.arn}))
        assume()
        # By the unique id it is the same.
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": ann.id}))
        assert shown() == ann.arn
        assume()
    finally:
        iam.delete_role(RoleName=role)


def test_a_service_that_is_misspelt_is_refused(shared_outport):
    iam, role = shared_outport.client("iam"), name("role")
    with pytest.raises(ClientError, match='Invalid principal in policy: "SERVICE":"ecs-task.amazonaws.com"'):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"Service": "ecs-task.amazonaws.com"}))


def test_a_trust_policy_has_2048_characters(shared_outport):
    iam, role = shared_outport.client("iam"), name("role")
    long = json.loads(trust({"Service": "ecs-tasks.amazonaws.com"}))
    long["Statement"][0]["Sid"] = "S" * 2048
    with pytest.raises(ClientError, match="Cannot exceed quota for ACLSizePerRole: 2048"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(long))


def test_what_a_user_cannot_have_is_an_empty_list(shared_outport, ann):
    """As Terraform and Ansible ask for it before they delete a user."""
    iam = shared_outport.client("iam")
    assert iam.list_mfa_devices(UserName=ann.name)["MFADevices"] == []
    assert iam.list_ssh_public_keys(UserName=ann.name)["SSHPublicKeys"] == []
    assert iam.list_signing_certificates(UserName=ann.name)["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName=ann.name)["ServiceSpecificCredentials"] == []
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_saml_providers()["SAMLProviderList"] == []
    with pytest.raises(ClientError, match="cannot be found"):
        iam.list_mfa_devices(UserName=ann.name + "-none")
    denied(lambda: ann.client("iam").list_mfa_devices(), f"iam:ListMFADevices on resource: user {ann.name} because no")


def test_an_alias_of_another_account_does_not_say_whose_it_is(shared_outport, ann):
    kms, iam = shared_outport.client("kms"), shared_outport.client("iam")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    alias = "alias/" + name("shop")
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    iam.put_user_policy(UserName=ann.name, PolicyName="ssm", PolicyDocument=document(
        {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}))
    arn = f"arn:aws:kms:us-east-1:{ACCOUNT}:{alias}"
    try:
        for asked in (arn, arn + "-none"):
            denied(lambda: ann.client("ssm").put_parameter(Name="/p", Type="SecureString", Value="v", KeyId=asked),
                   f"on resource: {asked} because no")
    finally:
        iam.delete_user_policy(UserName=ann.name, PolicyName="ssm")
        kms.delete_alias(AliasName=alias)
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)


def test_a_new_name_is_still_the_same_user(shared_outport, ann):
    iam, role = shared_outport.client("iam"), name("role")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"AWS": ann.arn}))
    try:
        iam.update_user(UserName=ann.name, NewUserName=ann.name + "-new", NewPath="/team/")
        ann.name += "-new"
        shown = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        assert named(shown) == f"arn:aws:iam::{ACCOUNT}:user/team/{ann.name}"
        ann.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="session")
    finally:
        iam.delete_role(RoleName=role)


def test_sessions_of_a_role_that_is_made_anew_are_others(shared_outport, ann):
    iam, secrets = shared_outport.client("iam"), shared_outport.client("secretsmanager")
    role, secret = name("role"), name("secret")
    make = lambda: iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust({"AWS": ann.arn}))["Role"]
    arn = make()["Arn"]
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/build"
    secrets.create_secret(Name=secret, SecretString="s")
    put = lambda principal: secrets.put_resource_policy(
        SecretId=secret,
        ResourcePolicy=document(allow(principal, "secretsmanager:GetSecretValue", Resource="*")))
    shown = lambda: named(secrets.get_resource_policy(SecretId=secret)["ResourcePolicy"])

    def read():
        key = ann.client("sts").assume_role(RoleArn=arn, RoleSessionName="build")["Credentials"]
        return client(shared_outport, "secretsmanager", key).get_secret_value(SecretId=secret)["SecretString"]

    try:
        for principal in (arn, session):
            put(principal)
            assert (shown(), read()) == (principal, "s")
            iam.delete_role(RoleName=role)
            assert shown().startswith("AROA")
            make()
            assert shown().startswith("AROA")
            denied(read, "secretsmanager:GetSecretValue")
        with pytest.raises(ClientError, match="contains an unsupported principal"):
            put(f"arn:aws:iam::{ACCOUNT}:role/nobody-{uuid.uuid4().hex}")
    finally:
        iam.delete_role(RoleName=role)
        secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def test_keys_and_grants_are_for_who_was_there(shared_outport, ann):
    kms = shared_outport.client("kms")
    root = allow(f"arn:aws:iam::{ACCOUNT}:root", "kms:*", Resource="*")
    mine = allow(ann.arn, "kms:Encrypt", Resource="*")
    key = kms.create_key(Policy=document(mine, root))["KeyMetadata"]["KeyId"]
    grant = kms.create_grant(KeyId=key, GranteePrincipal=ann.arn, RetiringPrincipal=ann.arn,
                             Operations=["Decrypt"])["GrantId"]
    shown = lambda: kms.list_grants(KeyId=key)["Grants"][0]
    encrypt = lambda: ann.client("kms").encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
    try:
        assert named(kms.get_key_policy(KeyId=key)["Policy"]) == ann.arn
        assert (shown()["GranteePrincipal"], shown()["RetiringPrincipal"]) == (ann.arn, ann.arn)
        assert kms.list_grants(KeyId=key, GranteePrincipal=ann.arn)["Grants"]
        assert kms.list_retirable_grants(RetiringPrincipal=ann.arn)["Grants"]
        sealed = encrypt()
        assert ann.client("kms").decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
        first = ann.id
        ann.make_anew()
        assert named(kms.get_key_policy(KeyId=key)["Policy"]) == first
        assert shown()["GranteePrincipal"] == first
        denied(encrypt)
        denied(lambda: ann.client("kms").decrypt(CiphertextBlob=sealed))
        denied(lambda: ann.client("kms").retire_grant(KeyId=key, GrantId=grant))
        assert not kms.list_grants(KeyId=key, GranteePrincipal=ann.arn)["Grants"]
        # A grant for who is gone is refused as one for who never was.
        with pytest.raises(ClientError, match="does not refer to a valid principal"):
            kms.create_grant(KeyId=key, GranteePrincipal=first, Operations=["Decrypt"])
    finally:
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)


def test_repositories_are_for_who_was_there(shared_outport, ann):
    ecr, repository = shared_outport.client("ecr"), name("repository")
    ecr.create_repository(repositoryName=repository)
    put = lambda principal: ecr.set_repository_policy(
        repositoryName=repository, policyText=document(allow(principal, "ecr:ListImages")))
    look = lambda: ann.client("ecr").list_images(repositoryName=repository)
    try:
        put(ann.arn)
        look()
        assert named(ecr.get_repository_policy(repositoryName=repository)["policyText"]) == ann.arn
        first = ann.id
        ann.make_anew()
        denied(look)
        assert named(ecr.get_repository_policy(repositoryName=repository)["policyText"]) == first
        with pytest.raises(ClientError, match="Invalid repository policy provided"):
            put(first)
        assert named(ecr.delete_repository_policy(repositoryName=repository)["policyText"]) == first
    finally:
        ecr.delete_repository(repositoryName=repository)


def test_a_refusal_says_nothing_of_what_there_is(shared_outport, ann):
    iam, role = shared_outport.client("iam"), name("role")
    iam.create_role(RoleName=role, Path="/hidden/", AssumeRolePolicyDocument=trust({"AWS": ann.arn}))
    ecs = shared_outport.client("ecs")
    family = name("family")
    revision = ecs.register_task_definition(
        family=family, containerDefinitions=[{"name": "a", "image": "a", "memory": 16}])["taskDefinition"]
    try:
        for asked in (role, role + "-none"):
            denied(lambda: ann.client("iam").get_role(RoleName=asked), f"iam:GetRole on resource: role {asked} because no")
        for asked in (family, family + "-none"):
            denied(lambda: ann.client("ecs").run_task(taskDefinition=asked), f":task-definition/{asked}:* because no")
    finally:
        ecs.deregister_task_definition(taskDefinition=revision["taskDefinitionArn"])
        iam.delete_role(RoleName=role)


def test_a_service_needs_the_role_of_its_service(shared_outport, ann):
    """Of an account that lacks it, by one who may not make it."""
    iam, ecs, family = shared_outport.client("iam"), shared_outport.client("ecs"), name("family")
    definition = ecs.register_task_definition(
        family=family, containerDefinitions=[{"name": "a", "image": "a", "memory": 16}])["taskDefinition"]
    iam.put_user_policy(UserName=ann.name, PolicyName="ecs", PolicyDocument=document(
        {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}))
    create = lambda: ann.client("ecs").create_service(serviceName=family, taskDefinition=family, desiredCount=0)
    try:
        try:
            iam.delete_service_linked_role(RoleName="AWSServiceRoleForECS")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchEntity"
        with pytest.raises(ClientError, match="Unable to assume the service linked role"):
            create()
        iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
        assert create()["service"]["status"] == "ACTIVE"
        ecs.delete_service(service=family, force=True)
    finally:
        iam.delete_user_policy(UserName=ann.name, PolicyName="ecs")
        ecs.deregister_task_definition(taskDefinition=definition["taskDefinitionArn"])
