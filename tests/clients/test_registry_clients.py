"""The image clients that people have, as they are: skopeo, buildah, podman, docker."""

import base64
import json
import tempfile
from pathlib import Path

import boto3
import pytest

from support.docker import Docker
from support.image_tools import run
from support.registry import Registry, error_codes


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture
def login(outport, tmp_path):
    """Credentials as `skopeo login` leaves them."""
    path = tmp_path / "auth.json"
    password = outport.aws("ecr", "get-login-password").strip()
    run("skopeo", "login", "--authfile", path, "--username", "AWS", "--password-stdin",
        outport.repository_uri("app").split("/")[0], input=password)
    return path


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    engine = Docker(tmp_path_factory.mktemp("docker"))
    try:
        reason = engine.start()
        if reason:
            pytest.skip(reason)
        yield engine
    finally:
        engine.stop()


def repository(outport, name):
    return outport.client("ecr").create_repository(repositoryName=name)["repository"]


def test_skopeo_copies_inspects_and_deletes(outport, app_image, login, tmp_path):
    uri = repository(outport, "skopeo")["repositoryUri"]
    flags = ["--authfile", login]
    for tag in ("1.0", "2.0"):
        run("skopeo", "copy", "--insecure-policy", *flags, f"oci:{app_image.directory}:{tag}",
            f"docker://{uri}:{tag}")
    inspected = json.loads(run("skopeo", "inspect", *flags, f"docker://{uri}:1.0").stdout)
    assert inspected["Env"] == ["PATH=/bin", "APP_VERSION=1.0"]
    listed = json.loads(run("skopeo", "list-tags", *flags, f"docker://{uri}").stdout)
    assert listed["Tags"] == ["1.0", "2.0"]

    by_digest = f"docker://{uri}@{inspected['Digest']}"
    run("skopeo", "copy", "--insecure-policy", *flags, by_digest, f"oci:{tmp_path}/back:1.0")
    index = json.loads((tmp_path / "back/index.json").read_text())
    assert index["manifests"][0]["digest"] == inspected["Digest"]

    images = outport.client("ecr").describe_images(repositoryName="skopeo")["imageDetails"]
    assert {image["imageTags"][0] for image in images} == {"1.0", "2.0"}
    assert inspected["Digest"] in {image["imageDigest"] for image in images}
    run("skopeo", "delete", *flags, f"docker://{uri}:1.0")
    left = outport.client("ecr").list_images(repositoryName="skopeo")["imageIds"]
    assert inspected["Digest"] not in {image["imageDigest"] for image in left}


def test_skopeo_pushes_docker_manifests(outport, app_image, login):
    uri = repository(outport, "docker-format")["repositoryUri"]
    run("skopeo", "copy", "--insecure-policy", "--format", "v2s2", "--authfile", login,
        f"oci:{app_image.directory}:1.0", f"docker://{uri}:1.0")
    image = outport.client("ecr").describe_images(repositoryName="docker-format")["imageDetails"][0]
    assert image["imageManifestMediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    definition = outport.register("docker-format", [{
        "name": "main", "image": f"{uri}:1.0", "memory": 64, "command": ["true"]}],
        networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["containers"][0]["exitCode"] == 0


def test_buildah_builds_pushes_and_pulls(outport, login, tmp_path):
    uri = repository(outport, "buildah")["repositoryUri"]
    storage = ["--root", tmp_path / "root", "--runroot", tmp_path / "run", "--storage-driver", "vfs"]
    def buildah(*words):
        return run("buildah", *storage, *words).stdout.strip()
    container = buildah("from", "scratch")
    buildah("copy", container, "/bin/busybox", "/bin/busybox")
    buildah("config", "--cmd", '["/bin/busybox", "true"]', container)
    image = buildah("commit", container)
    # As it is printed, with no flag that would switch TLS off.
    buildah("push", "--authfile", login, image, f"docker://{uri}:built")
    buildah("rm", container)
    buildah("rmi", image)
    buildah("pull", "--authfile", login, f"docker://{uri}:built")
    definition = outport.register(
        "buildah", [{"name": "main", "image": f"{uri}:built", "memory": 64}], networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["containers"][0]["exitCode"] == 0
    buildah("rmi", "--all")


@pytest.fixture
def short_path():
    """podman takes no run directory of more than 50 characters."""
    with tempfile.TemporaryDirectory(prefix="op") as directory:
        yield Path(directory)


def test_podman_logs_in_pushes_and_pulls(outport, app_image, tmp_path, short_path):
    uri = repository(outport, "podman")["repositoryUri"]
    storage = ["--root", tmp_path / "root", "--runroot", short_path, "--storage-driver", "vfs"]
    def podman(*words, **kwargs):
        return run("podman", *storage, *words, **kwargs).stdout.strip()
    login = ["--authfile", tmp_path / "podman-auth.json"]
    password = outport.aws("ecr", "get-login-password").strip()
    podman("login", *login, "--username", "AWS", "--password-stdin", uri.split("/")[0],
           input=password)
    image = podman("pull", "--quiet", f"oci:{app_image.directory}:1.0")
    podman("push", *login, image, f"{uri}:1.0")
    podman("rmi", "--all", "--force")
    podman("pull", "--quiet", *login, f"{uri}:1.0")
    podman("rmi", "--all", "--force")
    assert [image["imageTags"] for image in outport.client("ecr").describe_images(
        repositoryName="podman")["imageDetails"]] == [["1.0"]]


def test_docker_pushes_and_pulls(outport, app_image, docker, tmp_path):
    uri = repository(outport, "docker")["repositoryUri"]
    archive = tmp_path / "app.tar"
    run("skopeo", "copy", "--insecure-policy", f"oci:{app_image.directory}:1.0",
        f"docker-archive:{archive}:{uri}:1.0")
    password = outport.aws("ecr", "get-login-password").strip()
    docker.run("login", "--username", "AWS", "--password-stdin", uri.split("/")[0], input=password)
    docker.run("load", "--input", archive)
    docker.run("push", f"{uri}:1.0")
    docker.run("rmi", f"{uri}:1.0")
    docker.run("pull", f"{uri}:1.0")
    definition = outport.register("docker", [{
        "name": "main", "image": f"{uri}:1.0", "memory": 64, "command": ["true"]}],
        networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["containers"][0]["exitCode"] == 0
    docker.run("rmi", f"{uri}:1.0")


def test_a_wrong_password_is_refused(outport, tmp_path):
    host = outport.repository_uri("app").split("/")[0]
    refused = run("skopeo", "login", "--authfile", tmp_path / "auth.json", "--username", "AWS",
                  "--password-stdin", host, input="wrong", check=False)
    assert refused.returncode != 0
    assert "invalid username/password" in refused.stderr or "unauthorized" in refused.stderr


def test_nobody_reads_without_a_password(outport):
    registry = Registry(outport, "app")
    status, headers, body = registry.call("GET", "/v2/", authorization=False)
    assert status == 401 and headers["www-authenticate"].startswith("Basic realm=")
    assert error_codes(body) == ["UNAUTHORIZED"]
    status, _, _ = registry.call("GET", "/v2/app/manifests/1.0", authorization=False)
    assert status == 401
    status, _, _ = registry.call("GET", "/v2/app/manifests/1.0")
    assert status == 200


def test_a_repository_must_be_made_first(outport, app_image, login):
    host = outport.repository_uri("app").split("/")[0]
    refused = run("skopeo", "copy", "--insecure-policy", "--authfile", login,
                  f"oci:{app_image.directory}:1.0", f"docker://{host}/no-such-repository:1.0",
                  check=False)
    assert refused.returncode != 0
    assert "does not exist" in refused.stderr, refused.stderr


def test_an_immutable_tag_stays(outport, app_image, login):
    made = outport.client("ecr").create_repository(
        repositoryName="immutable", imageTagMutability="IMMUTABLE")["repository"]
    copy = ["skopeo", "copy", "--insecure-policy", "--authfile", login]
    target = f"docker://{made['repositoryUri']}:stable"
    run(*copy, f"oci:{app_image.directory}:1.0", target)
    run(*copy, f"oci:{app_image.directory}:1.0", target)
    refused = run(*copy, f"oci:{app_image.directory}:2.0", target, check=False)
    assert refused.returncode != 0
    assert "immutable" in refused.stderr, refused.stderr


def test_a_user_who_may_only_pull_does_not_push(outport, app_image, tmp_path):
    """The client says it in its own words: denied, with AWS's reason."""
    iam, user = outport.client("iam"), "puller"
    uri = repository(outport, "limited")["repositoryUri"]
    outport.push(app_image, "limited", "1.0")
    iam.create_user(UserName=user)
    arn = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
    iam.attach_user_policy(UserName=user, PolicyArn=arn)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    try:
        ecr = boto3.client(
            "ecr", endpoint_url=outport.url, region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        credentials = base64.b64decode(token).decode()
        pulled = f"oci:{tmp_path}/pulled:1.0"
        copy = ("skopeo", "copy", "--insecure-policy")
        run(*copy, "--src-creds", credentials, f"docker://{uri}:1.0", pulled)
        pushed = run(*copy, "--dest-creds", credentials, pulled, f"docker://{uri}:2.0", check=False)
        assert pushed.returncode != 0
        assert "denied" in pushed.stderr and "ecr:PutImage" in pushed.stderr, pushed.stderr
        # The password dies with the key.
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
        again = run(*copy, "--src-creds", credentials, f"docker://{uri}:1.0",
                    f"oci:{tmp_path}/again:1.0", check=False)
        assert again.returncode != 0 and "unauthorized" in again.stderr, again.stderr
    finally:
        iam.detach_user_policy(UserName=user, PolicyArn=arn)
        for left in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=user, AccessKeyId=left["AccessKeyId"])
        iam.delete_user(UserName=user)
