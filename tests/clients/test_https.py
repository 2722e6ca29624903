"""The same port over TLS: real clients that verify the server, and what they are told."""

import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode

import boto3
import botocore.config
import botocore.exceptions
import pytest

from support import image_tools


@pytest.fixture
def served(shared_outport):
    return shared_outport


def https_env(outport):
    text = subprocess.run([outport.binary, "env", "--https", "--data-dir", outport.data_dir],
                          check=True, capture_output=True, text=True).stdout
    lines = [line.removeprefix("export ") for line in text.splitlines()]
    return {name: value.strip("'") for name, value in (line.split("=", 1) for line in lines)}


def aws(outport, *arguments, **changes):
    env = {**os.environ, **https_env(outport), **changes}
    return subprocess.run(["aws", *arguments], text=True, capture_output=True, env=env, timeout=180)


def boto(outport, service, url, verify):
    env = https_env(outport)
    return boto3.client(
        service, endpoint_url=url, region_name=env["AWS_REGION"], verify=verify,
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(retries={"max_attempts": 1}))


def test_the_aws_cli_verifies_the_server(served, tmp_path):
    env = https_env(served)
    assert env["AWS_ENDPOINT_URL"] == f"https://127.0.0.1:{served.port}"
    listed = aws(served, "ecs", "list-clusters")
    assert listed.returncode == 0 and "cluster/default" in listed.stdout, listed.stderr
    other = tmp_path / "other.pem"
    other.write_text(ssl.get_server_certificate(("127.0.0.1", served.port)))
    refused = aws(served, "ecs", "list-clusters", AWS_CA_BUNDLE=str(other))
    assert refused.returncode != 0 and "CERTIFICATE_VERIFY_FAILED" in refused.stderr, refused.stderr
    plain = served.env()
    assert plain["AWS_ENDPOINT_URL"] == served.url and "AWS_CA_BUNDLE" not in plain


def test_own_commands_say_what_to_do_about_trust(served, tmp_path):
    def refused(**changes):
        env = {**os.environ, **https_env(served), **changes}
        done = subprocess.run([served.binary, "status"], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done.stdout
        return done.stderr
    told = refused(AWS_CA_BUNDLE="")
    assert "`outport ca > outport-ca.pem`, here AWS_CA_BUNDLE=" in told, told
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other",
                    "-keyout", "/dev/null", "-out", other], check=True, capture_output=True)
    told = refused(AWS_CA_BUNDLE=str(other))
    assert f"is not in {other}" in told and "`outport ca`" in told, told


def test_boto3_verifies_the_server(served):
    bundle = https_env(served)["AWS_CA_BUNDLE"]
    for host in ("127.0.0.1", "localhost"):
        ecs = boto(served, "ecs", f"https://{host}:{served.port}", bundle)
        assert ecs.list_clusters()["clusterArns"]
    with pytest.raises(botocore.exceptions.SSLError):
        boto(served, "ecs", f"https://127.0.0.1:{served.port}", True).list_clusters()


def test_boto3_is_told_the_address_that_it_came_by(served):
    bundle = https_env(served)["AWS_CA_BUNDLE"]
    for host in ("127.0.0.1", "localhost"):
        url = f"https://{host}:{served.port}"
        ecr = boto(served, "ecr", url, bundle)
        uri = ecr.describe_repositories(repositoryNames=["app"])["repositories"][0]["repositoryUri"]
        assert uri == f"{host}:{served.port}/app"
        proxy = ecr.get_authorization_token()["authorizationData"][0]["proxyEndpoint"]
        assert proxy == url


def test_the_authority_is_printed(served):
    printed = subprocess.run([served.binary, "ca", "--data-dir", served.data_dir], check=True,
                             capture_output=True, text=True).stdout
    assert printed.startswith("-----BEGIN CERTIFICATE-----") and "PRIVATE" not in printed
    context = ssl.create_default_context(cadata=printed)
    with urllib.request.urlopen(f"https://localhost:{served.port}/_outport/health",
                                context=context) as answer:
        assert answer.status == 200
    # Below a name with a dot a wildcard is taken by everybody: for the prefixes that SDKs put there.
    for name in ("api.outport.localhost", "stream-api.outport.localhost", "logs.outport.internal"):
        with socket.create_connection(("127.0.0.1", served.port)) as plain:
            with context.wrap_socket(plain, server_hostname=name) as secure:
                assert secure.version() == "TLSv1.3"


def test_skopeo_verifies_the_registry(served, app_image, tmp_path):
    certificates = tmp_path / "certs"
    certificates.mkdir()
    bundle = https_env(served)["AWS_CA_BUNDLE"]
    (certificates / "ca.crt").write_bytes(open(bundle, "rb").read())
    password = served.aws("ecr", "get-login-password").strip()
    # A name that no drop-in of this host calls insecure.
    target = f"docker://localhost:{served.port}/app:over-tls"
    image_tools.run("skopeo", "copy", "--insecure-policy", "--dest-cert-dir", certificates,
                    "--dest-tls-verify=true", "--dest-creds", f"AWS:{password}",
                    f"oci:{app_image.directory}:1.0", target)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = image_tools.run("skopeo", "inspect", "--cert-dir", empty, "--tls-verify=true",
                              "--creds", f"AWS:{password}", target, check=False)
    assert refused.returncode != 0 and "certificate" in refused.stderr, refused.stderr


def test_a_docker_client_finds_the_registry_over_tls(served):
    context = ssl.create_default_context(cafile=https_env(served)["AWS_CA_BUNDLE"])
    base = f"https://127.0.0.1:{served.port}/v2/"
    with pytest.raises(urllib.error.HTTPError) as asked:
        urllib.request.urlopen(base, context=context)
    assert asked.value.code == 401 and "Basic" in asked.value.headers["www-authenticate"]
    password = served.aws("ecr", "get-login-password").strip()
    login = b64encode(f"AWS:{password}".encode()).decode()
    request = urllib.request.Request(base, headers={"authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, context=context) as answer:
        assert answer.status == 200


def test_a_task_pulls_by_any_of_the_registrys_names(served):
    for host in (f"localhost:{served.port}", f"ecr.outport.internal:{served.port}",
                 "000000000000.dkr.ecr.us-east-1.amazonaws.com"):
        definition = served.register("by-name", [{
            "name": "main", "image": f"{host}/app:1.0", "memory": 32, "command": ["true"]}],
            networkMode="none")
        task = served.reaches(served.run(definition)["taskArn"], "STOPPED")
        assert task["containers"][0].get("exitCode") == 0, task
