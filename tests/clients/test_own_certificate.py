"""A certificate of the operator's, and a name of the server's that this host does not know."""

import json
import ssl
import subprocess
import urllib.request

import boto3
import botocore.config
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from support.wait import until

NAME = "ecs.example.test"


def issue(directory, name):
    """A certificate that is its own authority; the files of it and of its key."""
    certificate, key = directory / "own.pem", directory / "own.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1",
         "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def boto(outport, service, verify):
    env = outport.env()
    return boto3.client(
        service, endpoint_url=f"https://127.0.0.1:{outport.port}", region_name=env["AWS_REGION"],
        verify=str(verify), aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(retries={"max_attempts": 1}))


def shown(outport):
    return ssl.get_server_certificate(("127.0.0.1", outport.port))


def test_clients_see_the_operators_certificate_and_tasks_run(outport, app_image, tmp_path):
    certificate, key = issue(tmp_path, NAME)
    options = ("--tls-certificate", certificate, "--tls-key", key, "--public-address", NAME)
    outport.start(*options)
    assert shown(outport) == certificate.read_text()
    assert boto(outport, "ecs", certificate).list_clusters()["clusterArns"]
    # Nothing to trust beside what the operator's clients trust anyhow.
    https = subprocess.run([outport.binary, "env", "--https", "--data-dir", outport.data_dir],
                           check=True, capture_output=True, text=True).stdout
    assert "AWS_CA_BUNDLE" not in https, https
    # By its public name a task of this host pulls what was pushed by another.
    outport.push(app_image, "app", "1.0")
    image = f"{NAME}:{outport.port}/app:1.0"
    definition = outport.register(
        "app", [{"name": "main", "image": image, "memory": 32, "command": ["true"]}],
        networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["containers"][0].get("exitCode") == 0, task
    # Who came by that name, or by none of the server's, is told it.
    for host in (NAME, "somewhere.example.test"):
        assert login_server(outport, host) == f"http://{NAME}:{outport.port}"

    renewed, _ = issue(tmp_path, NAME)
    until(lambda: shown(outport) == renewed.read_text(), "the files are read again", 90)
    assert boto(outport, "ecs", renewed).list_clusters()["clusterArns"]


def login_server(outport, host):
    """What GetAuthorizationToken says to a client that calls the server by that name."""
    env = outport.env()
    session = boto3.session.Session(
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"], region_name=env["AWS_REGION"])
    request = AWSRequest("POST", f"{outport.url}/", data=b"{}", headers={
        "host": f"{host}:{outport.port}", "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"})
    SigV4Auth(session.get_credentials(), "ecr", env["AWS_REGION"]).add_auth(request)
    sent = urllib.request.Request(request.url, data=b"{}", headers=dict(request.headers))
    with urllib.request.urlopen(sent) as answer:
        return json.load(answer)["authorizationData"][0]["proxyEndpoint"]
