"""Roles for tokens of identity providers: RSA keys and tokens of openssl, credentials by boto3's and the CLI's own chains."""

import base64
import http.server
import ipaddress
import itertools
import json
import os
import ssl
import subprocess
import sys
import threading
import time

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from support.wait import until

ISSUERS = ("by-file.example.com", "by-url.example.com/id")
#: Below the range that the kernel gives out.
KEYS_PORT, DISCOVERY_PORT = 28471, 28472


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """A provider's key pair, by openssl."""

    def __init__(self, directory):
        self.key = directory / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)

    def keys(self):
        modulus = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True,
                                 capture_output=True, text=True).stdout.strip().removeprefix("Modulus=")
        key = {"kty": "RSA", "use": "sig", "kid": "k1", "n": encoded(bytes.fromhex(modulus)), "e": "AQAB"}
        return json.dumps({"keys": [key]})

    def token(self, issuer, bits=256, **claims):
        now = int(time.time())
        claims = {"iss": f"https://{issuer}", "aud": "sts.amazonaws.com", "sub": "system:serviceaccount:web:app",
                  "iat": now, "exp": now + 600} | claims
        parts = [{"alg": f"RS{bits}", "kid": "k1", "typ": "JWT"}, claims]
        signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        signature = subprocess.run(["openssl", "dgst", f"-sha{bits}", "-sign", self.key], input=signed.encode(), check=True,
                                   capture_output=True).stdout
        return f"{signed}.{encoded(signature)}"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def keys_url(issuer):
    keys = issuer.keys().encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(keys)))
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", KEYS_PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{KEYS_PORT}/keys"
    server.shutdown()
    server.server_close()


def private_address():
    """An IPv4 address of this host that is neither loopback nor anybody's."""
    given = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    found = [ipaddress.ip_address(text) for text in given]
    private = [str(one) for one in found if one.version == 4 and one.is_private and not one.is_link_local]
    return private[0] if private else pytest.skip("this host has no private address")


def certificate(directory, address):
    """An authority's certificate, and one of it for an address with its key."""
    run = lambda *arguments: subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority",
        "-days", "2", "-addext", "basicConstraints=critical,CA:true")
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=issuer")
    (directory / "extensions").write_text(f"subjectAltName=IP:{address}\n")
    run("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extensions", "-out", "own.pem")
    return directory / "ca.pem", directory / "own.pem", directory / "own.key"


def test_a_provider_is_asked_for_its_keys(outport, issuer, tmp_path):
    """Over TLS, by an authority that the host trusts; without, nobody is let in."""
    address = private_address()
    name = f"{address}:{DISCOVERY_PORT}/id"
    authority, own, key = certificate(tmp_path, address)
    documents = {
        "/id/.well-known/openid-configuration": json.dumps(
            {"issuer": f"https://{name}", "jwks_uri": f"https://{address}:{DISCOVERY_PORT}/keys"}),
        "/keys": issuer.keys(),
    }
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            document = documents[self.path].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((address, DISCOVERY_PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        outport.start(env={"SSL_CERT_FILE": str(authority)})
        iam = outport.client("iam")
        provider = iam.create_open_id_connect_provider(Url=f"https://{name}", ClientIDList=["sts.amazonaws.com"])
        statement = {"Effect": "Allow", "Principal": {"Federated": provider["OpenIDConnectProviderArn"]},
                     "Action": "sts:AssumeRoleWithWebIdentity"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.create_role(RoleName="app", AssumeRolePolicyDocument=trust)
        for _ in range(3):
            unsigned(outport).assume_role_with_web_identity(
                RoleArn=ROLE, RoleSessionName="build", WebIdentityToken=issuer.token(name))
        assert asked == list(documents), "once, and kept"
        outport.stop()
        outport.start()
        refused(outport, issuer.token(name), "IDPCommunicationError", "Error communicating")
        assert asked == list(documents)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def federated(outport, issuer, keys_url, tmp_path):
    """An Outport that knows the keys of two issuers, and a role for tokens of both."""
    file = tmp_path / "keys.json"
    file.write_text(issuer.keys())
    outport.start("--oidc-jwks", f"https://{ISSUERS[0]}={file}", "--oidc-jwks", f"{ISSUERS[1]}={keys_url}")
    iam = outport.client("iam")
    statements = []
    for name in ISSUERS:
        provider = iam.create_open_id_connect_provider(Url=f"https://{name}", ClientIDList=["sts.amazonaws.com"])
        statements.append({
            "Effect": "Allow",
            "Principal": {"Federated": provider["OpenIDConnectProviderArn"]},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringLike": {f"{name}:sub": "system:serviceaccount:web:*", f"{name}:aud": "sts.amazonaws.com"}},
        })
    trust = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.create_role(RoleName="app", AssumeRolePolicyDocument=trust)
    iam.attach_role_policy(RoleName="app", PolicyArn="arn:aws:iam::aws:policy/AmazonECS_FullAccess")
    return outport


ROLE = "arn:aws:iam::000000000000:role/app"


def unsigned(outport):
    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 1})
    return boto3.client("sts", endpoint_url=outport.url, region_name="us-east-1", config=config)


def refused(outport, token, code, text, **more):
    with pytest.raises(ClientError) as error:
        unsigned(outport).assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="build", WebIdentityToken=token, **more)
    answer = error.value.response["Error"]
    assert answer["Code"] == code and text in answer["Message"], answer


def test_a_token_is_a_session_of_the_role(federated, issuer, tmp_path):
    for name, bits in itertools.product(ISSUERS, (256, 384, 512)):
        answer = unsigned(federated).assume_role_with_web_identity(
            RoleArn=ROLE, RoleSessionName="build", WebIdentityToken=issuer.token(name, bits))
        assert answer["SubjectFromWebIdentityToken"] == "system:serviceaccount:web:app"
        assert (answer["Audience"], answer["Provider"]) == (
            "sts.amazonaws.com", f"arn:aws:iam::000000000000:oidc-provider/{name}")
        assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/app/build"
    # The default chains: a file and a role in the environment are all that a program has.
    file = tmp_path / "token"
    file.write_text(issuer.token(ISSUERS[0]))
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "job",
        "AWS_ENDPOINT_URL": federated.url, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    program = ("import boto3; print(boto3.client('sts').get_caller_identity()['Arn']); "
               "print(boto3.client('ecs').list_clusters()['clusterArns'])")
    ran = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert "assumed-role/app/job" in ran.stdout and "cluster/default" in ran.stdout, ran.stderr
    ran = subprocess.run(["aws", "sts", "get-caller-identity"], env=env, capture_output=True, text=True, check=False)
    assert "assumed-role/app/job" in ran.stdout, ran.stderr
    # The trail tells of who showed it, without the token.
    trail = federated.client("cloudtrail")
    attributes = [{"AttributeKey": "EventName", "AttributeValue": "AssumeRoleWithWebIdentity"}]
    events = until(lambda: trail.lookup_events(LookupAttributes=attributes)["Events"], "the event")
    event = json.loads(events[0]["CloudTrailEvent"])
    assert event["userIdentity"]["type"] == "WebIdentityUser"
    assert event["userIdentity"]["userName"] == "system:serviceaccount:web:app"
    assert file.read_text() not in json.dumps(events, default=str)


def test_what_no_issuer_says_is_refused(federated, issuer, tmp_path):
    invalid = "InvalidIdentityToken"
    token = issuer.token(ISSUERS[0])
    refused(federated, token[:-8] + "AAAAAAAA", invalid, "could not be validated")
    refused(federated, Issuer(tmp_path).token(ISSUERS[0]), invalid, "could not be validated")
    refused(federated, "no-token", invalid, "is not a valid JWT")
    refused(federated, issuer.token("other.example.com"), invalid,
            "No OpenIDConnect provider found in your account for https://other.example.com")
    refused(federated, issuer.token(ISSUERS[0], aud="other"), invalid, "Incorrect token audience")
    refused(federated, issuer.token(ISSUERS[0], exp=int(time.time()) - 1), "ExpiredTokenException", "Token expired")
    refused(federated, issuer.token(ISSUERS[0], sub="system:serviceaccount:db:app"), "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    refused(federated, token, "MalformedPolicyDocument", "Syntax errors", Policy="{")
    # A provider that leads to this host is not asked.
    iam = federated.client("iam")
    iam.create_open_id_connect_provider(Url="https://127.0.0.1:9/id", ClientIDList=["sts.amazonaws.com"])
    refused(federated, issuer.token("127.0.0.1:9/id"), "IDPCommunicationError", "Error communicating")
    assert "is an address that an issuer may not send this server to" in federated.log()


def test_a_refusal_of_ec2_is_decoded_by_who_may(federated):
    iam = federated.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    statement = {"Sid": "NoNetworks", "Effect": "Deny", "Action": "ec2:DescribeVpcs", "Resource": "*"}
    iam.put_user_policy(UserName="ann", PolicyName="no",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def of_ann(service):
        return boto3.client(service, endpoint_url=federated.url, region_name="us-east-1",
                            aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    with pytest.raises(ClientError) as error:
        of_ann("ec2").describe_vpcs()
    answer = error.value.response["Error"]
    assert answer["Code"] == "UnauthorizedOperation"
    text, sealed = answer["Message"].split(". Encoded authorization failure message: ")
    assert text.startswith("You are not authorized to perform this operation. User: arn:aws:iam::000000000000:user/ann ")
    with pytest.raises(ClientError) as error:
        of_ann("sts").decode_authorization_message(EncodedMessage=sealed)
    assert error.value.response["Error"]["Code"] == "AccessDenied"
    root = federated.client("sts")
    decoded = json.loads(root.decode_authorization_message(EncodedMessage=sealed)["DecodedMessage"])
    assert (decoded["allowed"], decoded["explicitDeny"]) == (False, True)
    (matched,) = decoded["matchedStatements"]["items"]
    assert (matched["statementId"], matched["actions"]["items"]) == ("NoNetworks", [{"value": "ec2:DescribeVpcs"}])
    assert decoded["context"]["principal"]["arn"] == "arn:aws:iam::000000000000:user/ann"
    assert decoded["context"]["action"] == "ec2:DescribeVpcs"
    with pytest.raises(ClientError) as error:
        root.decode_authorization_message(EncodedMessage="x" * 40)
    assert error.value.response["Error"]["Code"] == "InvalidAuthorizationMessageException"
