"""A node on another host, which a network namespace stands for: it has no loopback in common with its server."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.config
import pytest

from support import image_tools
from support.docker import Docker
from support.elsewhere import Elsewhere
from support.wait import until

GROUP = "/ecs/elsewhere"


@pytest.fixture
def elsewhere(outport):
    elsewhere = Elsewhere(outport.reserved.number)
    elsewhere.remove()
    elsewhere.make()
    yield elsewhere
    elsewhere.remove()


@pytest.fixture
def halves(outport, elsewhere):
    """A server on all addresses of this host with its defaults, and a node elsewhere."""
    node_dir = outport.directory / "node"
    logs = {name: outport.directory / f"{name}.log" for name in ("server", "node")}
    processes = []

    def start(name, ready, *command):
        with logs[name].open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        processes.append(process)

        def is_ready():
            assert process.poll() is None, logs[name].read_text()
            return ready in logs[name].read_text()
        until(is_ready, f"the {name} is ready", 90)

    start("server", "outport is ready", outport.binary, "server", "--data-dir", outport.data_dir,
          "--listen", f"0.0.0.0:{outport.port}", "--default-vpc-cidr", outport.vpc_cidr)
    start("node", "outport node is ready", *elsewhere.within(
        outport.binary, "node", "--data-dir", node_dir, "--server",
        f"https://{elsewhere.server}:{outport.port}", "--join-token-file",
        outport.data_dir / "join-token"))
    yield logs
    for process in reversed(processes):
        process.terminate()
        process.wait(timeout=60)
    for directory, within in ((node_dir, elsewhere.within), (outport.data_dir, lambda *all: all)):
        if (directory / "instance").exists():
            subprocess.run(within(outport.binary, "cleanup", "--data-dir", directory), check=True,
                           capture_output=True)


def authority(outport):
    return str(outport.data_dir / "tls/authority.pem")


def client(outport, service, url):
    env = outport.env()
    return boto3.client(
        service, endpoint_url=url, region_name=env["AWS_REGION"], verify=authority(outport),
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(retries={"max_attempts": 1}))


def test_a_node_elsewhere_runs_what_was_pushed_here(halves, outport, elsewhere, app_image):
    pushed = outport.push(app_image, "app", "1.0")
    assert pushed == f"127.0.0.1:{outport.port}/app"
    url = f"https://{elsewhere.server}:{outport.port}"
    repository = client(outport, "ecr", url).describe_repositories()["repositories"][0]
    assert repository["repositoryUri"] == f"{elsewhere.server}:{outport.port}/app"
    hosts = [f"127.0.0.1:{outport.port}", f"localhost:{outport.port}",
             f"{elsewhere.server}:{outport.port}", "000000000000.dkr.ecr.us-east-1.amazonaws.com"]
    for number, host in enumerate(hosts):
        definition = outport.register(f"elsewhere-{number}", [{
            "name": "main", "image": f"{host}/app:1.0", "memory": 32,
            "command": ["sh", "-c", "echo it runs; exit 7"],
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": GROUP, "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": str(number), "awslogs-create-group": "true"}}}],
            networkMode="none")
        task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
        assert task["containers"][0].get("exitCode") == 7, (host, task, halves["node"].read_text())
    logs = client(outport, "logs", url)

    def lines():
        return [event["message"] for event in logs.filter_log_events(logGroupName=GROUP)["events"]]
    # A task may be over before the last of its log is delivered.
    until(lambda: len(lines()) >= len(hosts), lambda: f"all have logged: {lines()}", 90)
    assert lines() == ["it runs"] * len(hosts)


def test_a_registry_of_another_account_is_not_ours(halves, outport, app_image):
    """Of another account: its name means a registry at AWS, to which this node has no way."""
    outport.push(app_image, "app", "1.0")
    definition = outport.register("foreign", [{
        "name": "main", "image": "111111111111.dkr.ecr.us-east-1.amazonaws.com/app:1.0",
        "memory": 32}], networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert "CannotPullContainerError" in task["containers"][0]["reason"], task


def test_the_registry_speaks_tls_to_other_hosts_only(halves, outport, elsewhere, app_image):
    outport.push(app_image, "app", "1.0")
    address = f"{elsewhere.server}:{outport.port}"
    plain = subprocess.run(
        elsewhere.within("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                         f"http://{address}/v2/"), capture_output=True, text=True)
    assert plain.stdout == "421", plain
    asked = subprocess.run(
        elsewhere.within("curl", "-s", "-i", "--cacert", authority(outport),
                         f"https://{address}/v2/"), capture_output=True, text=True).stdout
    challenge = re.search(r"(?mi)^www-authenticate: (.*?)\r?$", asked).group(1)
    assert challenge == f'Basic realm="https://{address}/",service="ecr.amazonaws.com"'


def test_skopeo_pushes_from_elsewhere(halves, outport, elsewhere, app_image, tmp_path):
    url = f"https://{elsewhere.server}:{outport.port}"
    uri = client(outport, "ecr", url).create_repository(
        repositoryName="from-elsewhere")["repository"]["repositoryUri"]
    token = client(outport, "ecr", url).get_authorization_token()["authorizationData"][0]
    assert token["proxyEndpoint"] == url
    env = {**os.environ, **outport.env(), "AWS_ENDPOINT_URL": url,
           "AWS_CA_BUNDLE": authority(outport)}
    password = subprocess.run(elsewhere.within("aws", "ecr", "get-login-password"), env=env,
                              check=True, capture_output=True, text=True).stdout.strip()
    certificates = tmp_path / "certs"
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes((outport.data_dir / "tls/authority.pem").read_bytes())
    for source, target, certificate_option in (
            (f"oci:{app_image.directory}:1.0", f"docker://{uri}:1.0", "--dest-cert-dir"),
            (f"docker://{uri}:1.0", f"dir:{tmp_path}/pulled", "--src-cert-dir")):
        side = certificate_option.split("-")[2]
        image_tools.run(*elsewhere.within(
            "skopeo", "copy", "--insecure-policy", certificate_option, certificates,
            f"--{side}-creds", f"AWS:{password}", source, target))
    images = client(outport, "ecr", url).list_images(repositoryName="from-elsewhere")["imageIds"]
    assert [image["imageTag"] for image in images] == ["1.0"], json.dumps(images)


@pytest.fixture
def docker_certificates(outport, elsewhere):
    """Where Docker looks for the authority of a registry."""
    directory = Path(f"/etc/docker/certs.d/{elsewhere.server}:{outport.port}")
    directory.mkdir(parents=True)
    yield directory
    shutil.rmtree(directory)
    with contextlib.suppress(OSError):
        directory.parent.rmdir()


def test_docker_pushes_and_pulls_over_tls(halves, outport, elsewhere, app_image, tmp_path,
                                          docker_certificates):
    url = f"https://{elsewhere.server}:{outport.port}"
    uri = client(outport, "ecr", url).create_repository(
        repositoryName="docker")["repository"]["repositoryUri"]
    (docker_certificates / "ca.crt").write_text(Path(authority(outport)).read_text())
    password = outport.aws("ecr", "get-login-password").strip()
    archive = tmp_path / "app.tar"
    image_tools.run("skopeo", "copy", "--insecure-policy", f"oci:{app_image.directory}:1.0",
                    f"docker-archive:{archive}:{uri}:1.0")
    docker = Docker(tmp_path / "docker")
    docker.directory.mkdir()
    try:
        if reason := docker.start():
            pytest.skip(reason)
        docker.run("load", "--input", archive)
        docker.run("login", "--username", "AWS", "--password-stdin", uri.split("/")[0],
                   input=password)
        docker.run("push", f"{uri}:1.0")
        docker.run("rmi", f"{uri}:1.0")
        docker.run("pull", f"{uri}:1.0")
        (docker_certificates / "ca.crt").unlink()
        refused = docker.run("pull", f"{uri}:1.0", check=False)
        assert refused.returncode != 0 and "certificate" in refused.stderr, refused.stderr
    finally:
        docker.stop()


def test_a_password_dies_with_its_access_key(outport, app_image):
    keys = [{"OUTPORT_ROOT_ACCESS_KEY_ID": "AKIAFIRST", "OUTPORT_ROOT_SECRET_ACCESS_KEY": "one"},
            {"OUTPORT_ROOT_ACCESS_KEY_ID": "AKIASECOND", "OUTPORT_ROOT_SECRET_ACCESS_KEY": "one"},
            {"OUTPORT_ROOT_ACCESS_KEY_ID": "AKIAFIRST", "OUTPORT_ROOT_SECRET_ACCESS_KEY": "two"}]
    outport.start(env=keys[0])
    outport.push(app_image, "app", "1.0")
    password = outport.aws("ecr", "get-login-password").strip()
    assert opens(outport, password) == 200
    for key, expected in ((keys[0], 200), (keys[1], 401), (keys[2], 401), (keys[0], 200)):
        outport.stop()
        outport.start(env=key)
        assert opens(outport, password) == expected, key


def opens(outport, password):
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, outport.url, "AWS", password)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    try:
        with opener.open(f"{outport.url}/v2/app/tags/list") as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
