"""The registry, spoken to by hand: what no polite client sends."""

import base64
import hashlib
import http.client
import json
import urllib.parse

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """One repository of an Outport's registry."""

    def __init__(self, outport, repository):
        ecr = outport.client("ecr")
        try:
            ecr.create_repository(repositoryName=repository)
        except ecr.exceptions.RepositoryAlreadyExistsException:
            pass
        self.uri = outport.repository_uri(repository)
        self.host, self.repository = self.uri.split("/", 1)
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self.authorization = f"Basic {token}"

    def call(self, method, path, body=None, authorization=True, **headers):
        """Status, headers and body of one request; `path` from `/v2/` on."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if authorization:
            headers["authorization"] = self.authorization
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def begin_upload(self):
        """The path of a new upload."""
        status, headers, body = self.call("POST", f"/v2/{self.repository}/blobs/uploads/")
        assert status == 202, body
        location = urllib.parse.urlsplit(headers["location"])
        return location.path + (f"?{location.query}" if location.query else "")

    def finish_upload(self, path, content, digest):
        joint = "&" if "?" in path else "?"
        return self.call("PUT", f"{path}{joint}digest={digest}", body=content,
                         content_type="application/octet-stream")

    def put_blob(self, content):
        digest = digest_of(content)
        status, _, body = self.finish_upload(self.begin_upload(), content, digest)
        assert status == 201, body
        return digest

    def put_manifest(self, reference, manifest, media_type=MANIFEST):
        raw = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        return self.call("PUT", f"/v2/{self.repository}/manifests/{reference}", body=raw,
                         content_type=media_type)

    def push(self, tag, layers, diff_ids=None, config=None, media_type=LAYER):
        """An image of packed layers; `diff_ids` and `config` say what is in them."""
        document = {"architecture": "amd64", "os": "linux",
                    "config": {"Cmd": ["/bin/true"]},
                    "rootfs": {"type": "layers", "diff_ids": diff_ids or []}, **(config or {})}
        raw = json.dumps(document).encode()
        descriptors = [{"mediaType": media_type, "digest": self.put_blob(layer),
                        "size": len(layer)} for layer in layers]
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": {"mediaType": CONFIG, "digest": self.put_blob(raw), "size": len(raw)},
                    "layers": descriptors}
        status, _, body = self.put_manifest(tag, manifest)
        assert status == 201, body
        return f"{self.uri}:{tag}"


def error_codes(body):
    """The codes of an OCI error answer."""
    return [error["code"] for error in json.loads(body)["errors"]]


def password_of(authorization):
    return base64.b64decode(authorization.split(" ", 1)[1]).decode().split(":", 1)[1]
