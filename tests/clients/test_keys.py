"""KMS, as boto3 and the AWS CLI see it: who uses a key, and that the key policy is the root of trust."""

import base64
import hashlib
import json
import subprocess
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

UNKNOWN = (
    "because the resource does not exist in this Region, no resource-based policies allow access, "
    "or a resource-based policy explicitly denies access"
)


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def kms(outport):
    return outport.client("kms")


@pytest.fixture(scope="module")
def account(outport):
    return outport.client("sts").get_caller_identity()["Account"]


def name(kind):
    return f"{kind}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def key(kms):
    """A key with an alias: its ARN, and the alias."""
    made = kms.create_key(Description="Of the shop", Tags=[{"TagKey": "team", "TagValue": "red"}])
    arn, alias = made["KeyMetadata"]["Arn"], f"alias/{name('shop')}"
    kms.create_alias(AliasName=alias, TargetKeyId=arn)
    yield arn, alias
    # A test may have scheduled it.
    if kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)


class User:
    """A user of IAM, with clients of its own."""

    def __init__(self, outport):
        self.outport, self.iam, self.name = outport, outport.client("iam"), name("user")
        self.arn = self.iam.create_user(UserName=self.name)["User"]["Arn"]
        self.key = self.iam.create_access_key(UserName=self.name)["AccessKey"]

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.outport.url,
            region_name="us-east-1",
            aws_access_key_id=self.key["AccessKeyId"],
            aws_secret_access_key=self.key["SecretAccessKey"],
            config=Config(retries={"max_attempts": 1}),
        )

    def may(self, *actions, effect="Allow"):
        """What its own policy says, from now on."""
        statement = {"Effect": effect, "Action": list(actions), "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=json.dumps(policy))

    def remove(self):
        self.iam.delete_access_key(UserName=self.name, AccessKeyId=self.key["AccessKeyId"])
        for policy in self.iam.list_user_policies(UserName=self.name)["PolicyNames"]:
            self.iam.delete_user_policy(UserName=self.name, PolicyName=policy)
        self.iam.delete_user(UserName=self.name)


@pytest.fixture
def user(outport):
    user = User(outport)
    yield user
    user.remove()


def refused(call, code, *parts):
    with pytest.raises(ClientError) as error:
        call()
    found = error.value.response["Error"]
    assert found["Code"] == code, found
    for part in parts:
        assert part in found["Message"], found


def test_what_is_encrypted_is_decrypted_with_the_same_context(kms, key):
    arn, alias = key
    context = {"team": "red", "stage": "prod"}
    sealed = kms.encrypt(KeyId=alias, Plaintext=b"secret", EncryptionContext=context)
    assert (sealed["KeyId"], sealed["EncryptionAlgorithm"]) == (arn, "SYMMETRIC_DEFAULT")
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", arn)
    refused(lambda: kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"]), "InvalidCiphertextException")
    data_key = kms.generate_data_key(KeyId=arn, KeySpec="AES_256")
    assert len(data_key["Plaintext"]) == 32
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"], KeyId=alias)["Plaintext"] == data_key["Plaintext"]
    refused(lambda: kms.encrypt(KeyId=alias, Plaintext=b"x" * 4097), "ValidationException", "less than or equal to 4096")
    refused(lambda: kms.encrypt(KeyId="alias/none", Plaintext=b"x"), "NotFoundException", "alias/none is not found")
    shown = kms.describe_key(KeyId=alias)["KeyMetadata"]
    assert (shown["KeyState"], shown["KeyManager"], shown["KeySpec"]) == ("Enabled", "CUSTOMER", "SYMMETRIC_DEFAULT")
    assert arn in [entry["KeyArn"] for page in kms.get_paginator("list_keys").paginate() for entry in page["Keys"]]
    aliases = kms.get_paginator("list_aliases").paginate(KeyId=arn)
    assert [entry["AliasName"] for page in aliases for entry in page["Aliases"]] == [alias]


def test_a_key_is_disabled_and_deleted(kms, key):
    arn, alias = key
    sealed = kms.encrypt(KeyId=alias, Plaintext=b"secret")["CiphertextBlob"]
    decrypt = lambda: kms.decrypt(CiphertextBlob=sealed)
    kms.disable_key(KeyId=arn)
    refused(decrypt, "DisabledException", f"{arn} is disabled.")
    kms.enable_key(KeyId=arn)
    assert decrypt()["Plaintext"] == b"secret"
    refused(lambda: kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=6), "ValidationException")
    assert kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)["KeyState"] == "PendingDeletion"
    refused(decrypt, "KMSInvalidStateException", f"{arn} is pending deletion.")
    kms.cancel_key_deletion(KeyId=arn)
    refused(decrypt, "DisabledException")


def test_what_was_encrypted_before_a_rotation_opens_after_it(kms, key):
    arn, alias = key
    before = kms.encrypt(KeyId=alias, Plaintext=b"before")["CiphertextBlob"]
    kms.enable_key_rotation(KeyId=arn, RotationPeriodInDays=90)
    assert kms.get_key_rotation_status(KeyId=arn)["RotationPeriodInDays"] == 90
    kms.rotate_key_on_demand(KeyId=arn)
    after = kms.encrypt(KeyId=alias, Plaintext=b"after")["CiphertextBlob"]
    assert [kms.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in (before, after)] == [b"before", b"after"]
    assert [entry["RotationType"] for entry in kms.list_key_rotations(KeyId=arn)["Rotations"]] == ["ON_DEMAND"]


def test_the_key_policy_is_the_root_of_trust(kms, key, user, account):
    arn, _ = key
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"secret", EncryptionContext={"team": "red"})["CiphertextBlob"]
    of_user = user.client("kms")
    decrypt = lambda: of_user.decrypt(CiphertextBlob=sealed, EncryptionContext={"team": "red"})
    who = f"User: {user.arn} is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext"
    # The default policy leaves it to the account's own policies.
    refused(decrypt, "AccessDeniedException", f"{who} because no identity-based policy allows the kms:Decrypt action")
    user.may("kms:*")
    assert decrypt()["Plaintext"] == b"secret"

    administrator = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                     "Action": ["kms:Put*", "kms:Get*", "kms:Describe*", "kms:Schedule*"], "Resource": "*"}
    def put(*statements):
        policy = {"Version": "2012-10-17", "Statement": [administrator, *statements]}
        kms.put_key_policy(KeyId=arn, Policy=json.dumps(policy))
    # Without the account, even the root may not decrypt.
    put()
    refused(decrypt, "AccessDeniedException", f"{who} {UNKNOWN}")
    refused(lambda: kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"team": "red"}), "AccessDeniedException", UNKNOWN)
    named = {"Effect": "Allow", "Principal": {"AWS": user.arn}, "Action": "kms:Decrypt", "Resource": "*",
             "Condition": {"StringEquals": {"kms:EncryptionContext:team": "red"}}}
    put(named)
    user.may("ecs:*")
    assert decrypt()["Plaintext"] == b"secret"
    put({**named, "Condition": {"StringEquals": {"kms:EncryptionContext:team": "blue"}}})
    refused(decrypt, "AccessDeniedException", UNKNOWN)
    put(named, {**named, "Effect": "Deny"})
    refused(decrypt, "AccessDeniedException", UNKNOWN)
    locked = {"Version": "2012-10-17", "Statement": [named]}
    refused(lambda: kms.put_key_policy(KeyId=arn, Policy=json.dumps(locked)), "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.")
    assert "kms:Put*" in kms.get_key_policy(KeyId=arn)["Policy"]


def test_a_grant_lets_its_grantee_do_what_it_says(kms, key, user):
    arn, _ = key
    red, blue = {"team": "red"}, {"team": "blue"}
    sealed = {str(context): kms.encrypt(KeyId=arn, Plaintext=b"secret", EncryptionContext=context)["CiphertextBlob"]
              for context in (red, blue)}
    of_user = user.client("kms")
    decrypt = lambda context: of_user.decrypt(CiphertextBlob=sealed[str(context)], EncryptionContext=context)
    refused(lambda: decrypt(red), "AccessDeniedException")
    made = kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt", "RetireGrant"],
                            Constraints={"EncryptionContextSubset": red}, Name="reader")
    assert decrypt(red)["Plaintext"] == b"secret"
    refused(lambda: decrypt(blue), "AccessDeniedException")
    refused(lambda: of_user.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext=red), "AccessDeniedException")
    listed = kms.list_grants(KeyId=arn)["Grants"]
    assert [(grant["GrantId"], grant["GranteePrincipal"]) for grant in listed] == [(made["GrantId"], user.arn)]
    again = kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt", "RetireGrant"],
                             Constraints={"EncryptionContextSubset": red}, Name="reader")
    assert again["GrantId"] == made["GrantId"]
    of_user.retire_grant(GrantToken=made["GrantToken"])
    refused(lambda: decrypt(red), "AccessDeniedException")
    made = kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt"])
    assert decrypt(blue)["Plaintext"] == b"secret"
    refused(lambda: of_user.retire_grant(KeyId=arn, GrantId=made["GrantId"]), "AccessDeniedException")
    kms.revoke_grant(KeyId=arn, GrantId=made["GrantId"])
    refused(lambda: decrypt(blue), "AccessDeniedException")


def test_codes_are_verified(kms):
    made = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"]
    code = kms.generate_mac(KeyId=made, Message=b"message", MacAlgorithm="HMAC_SHA_256")["Mac"]
    assert kms.verify_mac(KeyId=made, Message=b"message", MacAlgorithm="HMAC_SHA_256", Mac=code)["MacValid"]
    refused(lambda: kms.verify_mac(KeyId=made, Message=b"other", MacAlgorithm="HMAC_SHA_256", Mac=code), "KMSInvalidMacException")
    kms.schedule_key_deletion(KeyId=made, PendingWindowInDays=7)


@pytest.fixture(params=["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1"])
def signer(kms, request):
    """A key that signs, as it is described."""
    made = kms.create_key(KeySpec=request.param, KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    yield made
    kms.schedule_key_deletion(KeyId=made["KeyId"], PendingWindowInDays=7)


DIGESTS = {"ECDSA_SHA_256": "sha256", "ECDSA_SHA_384": "sha384", "ECDSA_SHA_512": "sha512"}


def test_openssl_and_the_key_verify_each_others_signatures(kms, signer, tmp_path):
    arn, [algorithm] = signer["Arn"], signer["SigningAlgorithms"]
    public = kms.get_public_key(KeyId=signer["KeyId"])
    assert (public["KeyId"], public["KeySpec"], public["KeyUsage"]) == (arn, signer["KeySpec"], "SIGN_VERIFY")
    assert public["SigningAlgorithms"] == [algorithm]
    digest = hashlib.new(DIGESTS[algorithm], b"message").digest()
    signed = kms.sign(KeyId=arn, Message=b"message", SigningAlgorithm=algorithm)
    of_digest = kms.sign(KeyId=arn, Message=digest, MessageType="DIGEST", SigningAlgorithm=algorithm)
    assert (signed["KeyId"], signed["SigningAlgorithm"]) == (arn, algorithm)
    (tmp_path / "public").write_bytes(public["PublicKey"])
    (tmp_path / "message").write_bytes(b"message")
    for signature in (signed["Signature"], of_digest["Signature"]):
        (tmp_path / "signature").write_bytes(signature)
        command = ["openssl", "dgst", f"-{DIGESTS[algorithm]}", "-verify", "public", "-keyform", "DER", "-signature", "signature", "message"]
        verified = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert verified.stdout.strip() == "Verified OK", verified
        for message, kind in ((b"message", "RAW"), (digest, "DIGEST")):
            answer = kms.verify(KeyId=arn, Message=message, MessageType=kind, Signature=signature, SigningAlgorithm=algorithm)
            assert (answer["SignatureValid"], answer["KeyId"]) == (True, arn)
    verify = lambda message, signature: kms.verify(KeyId=arn, Message=message, Signature=signature, SigningAlgorithm=algorithm)
    refused(lambda: verify(b"other", signed["Signature"]), "KMSInvalidSignatureException")
    refused(lambda: verify(b"message", b"none"), "KMSInvalidSignatureException")
    refused(lambda: kms.sign(KeyId=arn, Message=b"short", MessageType="DIGEST", SigningAlgorithm=algorithm), "ValidationException",
            f"Digest is invalid length for algorithm {algorithm}.")
    refused(lambda: kms.sign(KeyId=arn, Message=b"x" * 4097, SigningAlgorithm=algorithm), "ValidationException", "4096")
    refused(lambda: kms.encrypt(KeyId=arn, Plaintext=b"x"), "InvalidKeyUsageException", "SIGN_VERIFY which is not valid for Encrypt")


def test_a_grant_and_a_condition_let_somebody_sign(kms, user, account):
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    of_user = user.client("kms")
    sign = lambda **more: of_user.sign(KeyId=arn, SigningAlgorithm="ECDSA_SHA_256", **{"Message": b"message", **more})
    refused(sign, "AccessDeniedException")
    refused(lambda: kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt"]), "ValidationException", "Decrypt")
    made = kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Sign", "GetPublicKey"])
    signature = sign(GrantTokens=[made["GrantToken"]])["Signature"]
    assert of_user.get_public_key(KeyId=arn)["KeySpec"] == "ECC_NIST_P256"
    verify = lambda: of_user.verify(KeyId=arn, SigningAlgorithm="ECDSA_SHA_256", Message=b"message", Signature=signature)
    refused(verify, "AccessDeniedException", "kms:Verify")
    kms.revoke_grant(KeyId=arn, GrantId=made["GrantId"])
    refused(sign, "AccessDeniedException")
    owner = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*"}
    digests = {"StringEquals": {"kms:MessageType": "DIGEST", "kms:SigningAlgorithm": "ECDSA_SHA_256"}}
    signs = {"Effect": "Allow", "Principal": {"AWS": user.arn}, "Action": "kms:Sign", "Resource": "*", "Condition": digests}
    kms.put_key_policy(KeyId=arn, Policy=json.dumps({"Version": "2012-10-17", "Statement": [owner, signs]}))
    refused(sign, "AccessDeniedException")
    digest = hashlib.sha256(b"message").digest()
    assert sign(Message=digest, MessageType="DIGEST")["Signature"]
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)


def test_what_is_not_built_is_refused_by_name(kms, key):
    arn, _ = key
    refused(lambda: kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"), "UnsupportedOperationException", "RSA_2048")
    refused(lambda: kms.create_key(Origin="EXTERNAL"), "UnsupportedOperationException", "Origin")
    refused(lambda: kms.create_key(MultiRegion=True), "UnsupportedOperationException", "MultiRegion")
    agrees = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}
    refused(lambda: kms.create_key(**agrees), "UnsupportedOperationException", "KEY_AGREEMENT")
    pair = {"KeyId": arn, "KeyPairSpec": "ECC_NIST_P256"}
    refused(lambda: kms.generate_data_key_pair(**pair), "NotImplemented", "kms:GenerateDataKeyPair")
    refused(lambda: kms.create_alias(AliasName="alias/aws/mine", TargetKeyId=arn), "NotAuthorizedException")


def test_the_aws_cli_encrypts_and_decrypts(outport, key, tmp_path):
    arn, alias = key
    (tmp_path / "plain").write_bytes(b"secret")
    sealed = outport.aws("kms", "encrypt", "--key-id", alias, "--plaintext", f"fileb://{tmp_path}/plain", "--encryption-context", "team=red")
    (tmp_path / "sealed").write_bytes(base64.b64decode(sealed["CiphertextBlob"]))
    opened = outport.aws("kms", "decrypt", "--ciphertext-blob", f"fileb://{tmp_path}/sealed", "--encryption-context", "team=red")
    assert (base64.b64decode(opened["Plaintext"]), opened["KeyId"]) == (b"secret", arn)
    assert outport.aws("kms", "list-aliases", "--key-id", arn)["Aliases"][0]["AliasName"] == alias


def test_a_secret_is_kept_under_a_key(outport, kms, key, user):
    arn, alias = key
    secrets, of_user = outport.client("secretsmanager"), user.client("secretsmanager")
    secret = secrets.create_secret(Name=name("db"), SecretString="s3cret", KmsKeyId=alias)["ARN"]
    read = lambda: of_user.get_secret_value(SecretId=secret)["SecretString"]
    user.may("secretsmanager:*")
    refused(read, "AccessDeniedException", "Access to KMS is not allowed")
    user.may("secretsmanager:*", "kms:Decrypt")
    assert read() == "s3cret"
    refused(lambda: of_user.put_secret_value(SecretId=secret, SecretString="x"), "AccessDeniedException",
            "Access to KMS is not allowed")
    kms.disable_key(KeyId=arn)
    refused(read, "DecryptionFailure")
    refused(lambda: secrets.put_secret_value(SecretId=secret, SecretString="x"), "EncryptionFailure")
    kms.enable_key(KeyId=arn)
    # Back under the key of the service, which needs no permission of its own.
    secrets.update_secret(SecretId=secret, KmsKeyId="")
    user.may("secretsmanager:*")
    assert read() == "s3cret"
    kms.disable_key(KeyId=arn)
    assert read() == "s3cret"
    own = kms.describe_key(KeyId="alias/aws/secretsmanager")["KeyMetadata"]
    assert own["KeyManager"] == "AWS"
    refused(lambda: kms.disable_key(KeyId=own["KeyId"]), "AccessDeniedException")
    secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def test_a_parameter_is_kept_under_a_key(outport, kms, key, user):
    arn, alias = key
    parameters, of_user = outport.client("ssm"), user.client("ssm")
    parameter = name("db")
    parameters.put_parameter(Name=parameter, Value="s3cret", Type="SecureString", KeyId=alias)
    read = lambda: of_user.get_parameter(Name=parameter, WithDecryption=True)["Parameter"]["Value"]
    user.may("ssm:*")
    refused(read, "AccessDeniedException", "kms:Decrypt", "(Service: AWSKMS;")
    assert of_user.get_parameter(Name=parameter)["Parameter"]["Value"] != "s3cret"
    user.may("ssm:*", "kms:Decrypt")
    assert read() == "s3cret"
    kms.disable_key(KeyId=arn)
    refused(read, "InvalidKeyId", f"{arn} is disabled.")
    kms.enable_key(KeyId=arn)
    parameters.delete_parameter(Name=parameter)
    own = name("own")
    parameters.put_parameter(Name=own, Value="s3cret", Type="SecureString")
    user.may("ssm:*")
    assert of_user.get_parameter(Name=own, WithDecryption=True)["Parameter"]["Value"] == "s3cret"
    parameters.delete_parameter(Name=own)
