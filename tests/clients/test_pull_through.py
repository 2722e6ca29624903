"""Pull-through caches of ECR: images of another registry, by docker's protocol, boto3 and a task."""

import base64
import json
import secrets
import shutil
import subprocess
import urllib.error
import urllib.request
import warnings

import boto3
import pytest
from botocore.exceptions import ClientError

from support.registry import LAYER, MANIFEST, Registry, digest_of
from support.wait import until

pytestmark = pytest.mark.skipif(not shutil.which("docker-registry"),
                                reason="Debian's docker-registry is not installed")

INDEX = "application/vnd.oci.image.index.v1+json"


class Upstream:
    """Debian's docker-registry, with a password."""

    def __init__(self, directory, port):
        self.directory, self.port, self.process = directory, port, None
        directory.mkdir()
        self.password = secrets.token_hex(8)
        # As htpasswd -B writes it.
        with warnings.catch_warnings(action="ignore"):
            import crypt
        hashed = crypt.crypt(self.password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2**10))
        (directory / "htpasswd").write_text(f"user:{hashed}\n")
        auth = f"auth:\n  htpasswd:\n    realm: r\n    path: {directory}/htpasswd\n"
        (directory / "config.yml").write_text(
            f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: "
            f"{directory}/data\nhttp:\n  addr: 127.0.0.1:{port}\n{auth}")

    def start(self):
        self.process = subprocess.Popen(
            ["docker-registry", "serve", self.directory / "config.yml"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.call("GET", "/v2/")[0] in (200, 401), "the upstream answers", 30)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def call(self, method, path, body=None, content_type=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, method=method)
        pair = base64.b64encode(f"user:{self.password}".encode()).decode()
        request.add_header("authorization", f"Basic {pair}")
        if content_type:
            request.add_header("content-type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
        except OSError:
            return None, {}, b""

    def blob(self, repository, content):
        status, headers, _ = self.call("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202
        path = headers["location"].split(str(self.port), 1)[1]
        status, _, body = self.call("PUT", f"{path}&digest={digest_of(content)}", content,
                                    "application/octet-stream")
        assert status == 201, body
        return {"digest": digest_of(content), "size": len(content)}

    def image(self, repository, layer, tag=None):
        config = self.blob(repository, b"{}")
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
            "layers": [{"mediaType": LAYER, **self.blob(repository, layer)}]}).encode()
        return self.put(repository, tag or digest_of(manifest), manifest, MANIFEST)

    def put(self, repository, reference, manifest, media_type):
        status, _, body = self.call("PUT", f"/v2/{repository}/manifests/{reference}", manifest, media_type)
        assert status == 201, body
        return manifest

    def index(self, repository, tag, *images):
        return self.put(repository, tag, json.dumps({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [
                {"mediaType": MANIFEST, "digest": digest_of(image), "size": len(image),
                 "platform": {"os": "linux", "architecture": architecture}}
                for image, architecture in zip(images, ("amd64", "arm64"))]}).encode(), INDEX)


@pytest.fixture
def upstream(tmp_path):
    upstream = Upstream(tmp_path / "upstream", 20_000 + secrets.randbelow(9_000))
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def cached(outport, upstream):
    """An Outport with a rule for the upstream."""
    outport.start("--upstream-registry", f"http://127.0.0.1:{upstream.port}")
    secret = outport.client("secretsmanager").create_secret(
        Name="ecr-pullthroughcache/other",
        SecretString=json.dumps({"username": "user", "accessToken": upstream.password}))
    rule = outport.client("ecr").create_pull_through_cache_rule(
        ecrRepositoryPrefix="other", upstreamRegistryUrl=f"127.0.0.1:{upstream.port}",
        credentialArn=secret["ARN"])
    assert rule["ecrRepositoryPrefix"] == "other" and rule["credentialArn"] == secret["ARN"]
    return outport


def pull(outport, path, key=None):
    """As docker does it: status and body of a manifest or a blob."""
    registry = Registry.__new__(Registry)
    registry.host = outport.url.split("//")[1]
    ecr = outport.client("ecr") if key is None else boto3.client(
        "ecr", endpoint_url=outport.url, region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    registry.authorization = f"Basic {token}"
    status, _, body = registry.call("GET", path)
    return status, body


def test_an_image_comes_when_it_is_pulled_and_stays(cached, upstream):
    ecr = cached.client("ecr")
    ecr.create_repository_creation_template(
        prefix="other", appliedFor=["PULL_THROUGH_CACHE"], imageTagMutability="MUTABLE",
        resourceTags=[{"Key": "team", "Value": "red"}], repositoryPolicy=json.dumps({
            "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
                                                    "Action": "ecr:DescribeImages"}]}))
    layer = secrets.token_bytes(3_000_000)
    image = upstream.image("team/app", layer)
    other = upstream.image("team/app", secrets.token_bytes(1_000))
    index = upstream.index("team/app", "1.0", image, other)
    assert ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="other")["isValid"]

    assert pull(cached, "/v2/other/team/app/manifests/1.0") == (200, index)
    assert pull(cached, f"/v2/other/team/app/manifests/{digest_of(image)}") == (200, image)
    assert pull(cached, f"/v2/other/team/app/blobs/{digest_of(layer)}") == (200, layer)
    (repository,) = ecr.describe_repositories(repositoryNames=["other/team/app"])["repositories"]
    tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
    assert tags == [{"Key": "team", "Value": "red"}]
    assert "DescribeImages" in ecr.get_repository_policy(repositoryName="other/team/app")["policyText"]
    assert len(ecr.describe_images(repositoryName="other/team/app")["imageDetails"]) == 2

    # The upstream is down: what is here is served, over a restart, too; what is not is not.
    upstream.stop()
    cached.stop()
    cached.start("--upstream-registry", f"http://127.0.0.1:{upstream.port}")
    assert pull(cached, "/v2/other/team/app/manifests/1.0") == (200, index)
    assert pull(cached, f"/v2/other/team/app/blobs/{digest_of(layer)}") == (200, layer)
    status, body = pull(cached, f"/v2/other/team/app/manifests/{digest_of(other)}")
    assert status == 502 and b"upstream" in body, body
    checked = ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="other")
    assert not checked["isValid"] and checked["failure"]
    upstream.start()
    assert pull(cached, "/v2/other/team/none/manifests/1.0")[0] == 404
    # The API takes images, too.
    third = upstream.image("team/app", b"by the api", "3.0")
    (got,) = ecr.batch_get_image(repositoryName="other/team/app", imageIds=[{"imageTag": "3.0"}])["images"]
    assert got["imageManifest"].encode() == third
    failed = ecr.batch_get_image(repositoryName="other/team/app", imageIds=[{"imageTag": "9"}])["failures"]
    assert [one["failureCode"] for one in failed] == ["ImageNotFound"]
    ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="other")
    assert pull(cached, f"/v2/other/team/app/manifests/{digest_of(other)}")[0] == 404
    cached.stop()


def test_who_pulls_needs_the_permissions_that_aws_documents(cached, upstream):
    image = upstream.image("app", b"layer", "1")
    iam = cached.client("iam")
    iam.create_user(UserName="puller")
    key = iam.create_access_key(UserName="puller")["AccessKey"]

    def allow(*actions):
        iam.put_user_policy(UserName="puller", PolicyName="p", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}))

    reads = "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"
    allow(*reads)
    status, body = pull(cached, "/v2/other/app/manifests/1", key)
    assert status == 403 and b"ecr:BatchImportUpstreamImage" in body, body
    allow(*reads, "ecr:BatchImportUpstreamImage")
    status, body = pull(cached, "/v2/other/app/manifests/1", key)
    assert status == 403 and b"ecr:CreateRepository" in body, body
    allow(*reads, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository")
    assert pull(cached, "/v2/other/app/manifests/1", key) == (200, image)
    allow(*reads)
    assert pull(cached, "/v2/other/app/manifests/1", key) == (200, image)

    # The registry's policy may say it as well.
    second = upstream.image("app", b"second layer", "2")
    assert pull(cached, "/v2/other/app/manifests/2", key)[0] == 403
    user = iam.get_user(UserName="puller")["User"]["Arn"]
    cached.client("ecr").put_registry_policy(policyText=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "s", "Effect": "Allow", "Principal": {"AWS": user}, "Action": "ecr:BatchImportUpstreamImage",
         "Resource": "arn:aws:ecr:us-east-1:000000000000:repository/other/*"}]}))
    assert pull(cached, "/v2/other/app/manifests/2", key) == (200, second)
    upstream.image("app", b"third layer", "3")
    cached.client("ecr").set_repository_policy(repositoryName="other/app", policyText=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Sid": "s", "Effect": "Deny", "Principal": {"AWS": user},
                                                "Action": "ecr:BatchImportUpstreamImage"}]}))
    status, body = pull(cached, "/v2/other/app/manifests/3", key)
    assert status == 403 and b"explicit deny" in body, body
    cached.stop()


def test_rules_and_templates_are_described_changed_and_refused_by_name(cached):
    ecr = cached.client("ecr")
    (rule,) = ecr.describe_pull_through_cache_rules()["pullThroughCacheRules"]
    assert rule["upstreamRepositoryPrefix"] == "ROOT" and "upstreamRegistry" not in rule
    made = ecr.create_pull_through_cache_rule(
        ecrRepositoryPrefix="ecr-public", upstreamRegistryUrl="public.ecr.aws")
    assert made["upstreamRegistry"] == "ecr-public"
    other = cached.client("secretsmanager").create_secret(
        Name="ecr-pullthroughcache/second",
        SecretString=json.dumps({"username": "a", "accessToken": "b"}))
    changed = ecr.update_pull_through_cache_rule(
        ecrRepositoryPrefix="other", credentialArn=other["ARN"])
    assert changed["credentialArn"] == other["ARN"]
    for code, options in (
            ("UnsupportedUpstreamRegistryException", {"upstreamRegistryUrl": "registry.example"}),
            ("SecretNotFoundException", {
                "upstreamRegistryUrl": "ghcr.io", "credentialArn":
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/x-AbCdEf"}),
            ("PullThroughCacheRuleAlreadyExistsException", {
                "ecrRepositoryPrefix": "ecr-public", "upstreamRegistryUrl": "quay.io"})):
        with pytest.raises(ClientError) as refused:
            ecr.create_pull_through_cache_rule(**{"ecrRepositoryPrefix": "new", **options})
        assert refused.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError, match="REPLICATION is not built here"):
        ecr.create_repository_creation_template(prefix="p", appliedFor=["REPLICATION"])
    ecr.create_repository_creation_template(prefix="ROOT", appliedFor=["PULL_THROUGH_CACHE"])
    changed = ecr.update_repository_creation_template(prefix="ROOT", imageTagMutability="IMMUTABLE")
    assert changed["repositoryCreationTemplate"]["imageTagMutability"] == "IMMUTABLE"
    (template,) = ecr.describe_repository_creation_templates()["repositoryCreationTemplates"]
    assert template["prefix"] == "ROOT"
    ecr.delete_repository_creation_template(prefix="ROOT")
    assert ecr.describe_repository_creation_templates()["repositoryCreationTemplates"] == []
    cached.stop()


def test_a_task_runs_an_image_of_the_upstream(cached, upstream, app_image):
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    credentials = ["--dest-creds", f"user:{upstream.password}"]
    subprocess.run(["skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", *credentials,
                    f"oci:{app_image.directory}:1.0",
                    f"docker://127.0.0.1:{upstream.port}/team/app:1.0"],
                   check=True, capture_output=True)
    until(cached.connected_instances, "the node is connected")
    definition = cached.register("cached", [{
        "name": "app", "image": f"{cached.url.split('//')[1]}/other/team/app:1.0", "memory": 64,
        "essential": True}])
    arn = cached.run(definition)["taskArn"]
    cached.reaches(arn, "RUNNING")
    # skopeo looks with HEAD, and then by digest.
    password = cached.aws("ecr", "get-login-password").strip()
    subprocess.run(["skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", "--src-creds", f"AWS:{password}",
                    f"docker://{cached.url.split('//')[1]}/other/team/app:1.0", f"dir:{upstream.directory}/copied"],
                   check=True, capture_output=True)
    cached.stop()
