"""Images that are wrong or hostile: a clear reason, nothing on the host, nothing left behind."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from support.registry import CONFIG, MANIFEST, Registry, digest_of, error_codes

SENTINEL = "outport-escaped"


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture(scope="module")
def registry(outport):
    return Registry(outport, "hostile")


def entry(name, content=b"", kind=tarfile.REGTYPE, link="", mode=0o644, device=(0, 0)):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(content)
    info.devmajor, info.devminor = device
    return info, content


def layer_of(*entries):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def push(registry, tag, raw, diff_id=None):
    diff_id = diff_id or "sha256:" + hashlib.sha256(raw).hexdigest()
    return registry.push(tag, [gzip.compress(raw)], [diff_id])


def run(outport, image):
    """The task of an image, once it stopped."""
    definition = outport.register("hostile", [{
        "name": "main", "image": image, "memory": 64, "command": ["/bin/true"]}],
        networkMode="none")
    return outport.reaches(outport.run(definition)["taskArn"], "STOPPED")


def check_not_pulled(outport, image, text):
    task = run(outport, image)
    assert task["stopCode"] == "TaskFailedToStart"
    reason = task["containers"][0]["reason"]
    assert reason.startswith("CannotPullContainerError:") and text in reason, reason
    # As AWS words it for the EC2 launch type; Fargate's has the container's reason.
    assert task["stoppedReason"] == "Task failed to start"
    assert "exitCode" not in task["containers"][0]
    check_nothing_left(outport, task)


def check_nothing_left(outport, task):
    """No directory of a half-unpacked layer, no mount, no file outside."""
    task_id = task["taskArn"].rsplit("/", 1)[1]
    assert task_id not in Path("/proc/self/mounts").read_text()
    unfinished = outport.data_dir / "node/images/tmp"
    assert not unfinished.exists() or not list(unfinished.iterdir())
    for place in ("/", "/tmp", "/etc", str(outport.data_dir), str(outport.data_dir.parent)):
        assert not (Path(place) / SENTINEL).exists(), place


@pytest.mark.parametrize("name, entries", [
    ("parent", [entry(f"../../../../../../../../tmp/{SENTINEL}", b"x")]),
    ("parent-inside", [entry(f"a/../../../../../../../../../tmp/{SENTINEL}", b"x")]),
    ("through-a-link", [entry("out", kind=tarfile.SYMTYPE, link="/tmp"),
                        entry(f"out/{SENTINEL}", b"x")]),
    ("through-a-long-link", [entry("out", kind=tarfile.SYMTYPE, link="../" * 20 + "tmp"),
                             entry(f"out/{SENTINEL}", b"x")]),
    ("hard-link-out", [entry("shadow", kind=tarfile.LNKTYPE, link="../../../../etc/shadow")]),
    ("device", [entry("disk", kind=tarfile.BLKTYPE, device=(254, 0))]),
])
def test_layers_that_reach_out(outport, registry, name, entries):
    """Refused, or unpacked harmlessly as containerd does: never anything outside of the layer."""
    task = run(outport, push(registry, name, layer_of(*entries)))
    assert task["stopCode"] == "TaskFailedToStart", task
    assert task["stoppedReason"], task
    check_nothing_left(outport, task)
    layers = outport.data_dir / "node/images/layers"
    found = [path for path in layers.rglob("*") if path.is_block_device()]
    assert not found, found


def test_an_absolute_path_stays_inside(outport, registry):
    raw = layer_of(entry(f"/tmp/{SENTINEL}", b"x"), entry("/etc/" + SENTINEL, b"x"))
    task = run(outport, push(registry, "absolute", raw))
    assert task["stopCode"] == "TaskFailedToStart"
    check_nothing_left(outport, task)


def test_a_bomb(outport, registry):
    """Far more bytes than it was sent as: a thousandfold, of zeros."""
    zeros = layer_of(entry("zeros", b"\0" * (300 << 20)))
    packed = gzip.compress(gzip.compress(zeros, 9), 9)
    image = registry.push("bomb", [gzip.compress(zeros, 9)],
                          ["sha256:" + hashlib.sha256(zeros).hexdigest()])
    assert len(packed) < len(zeros) // 100
    check_not_pulled(outport, image, "")


def test_a_layer_of_other_content_than_promised(outport, registry):
    raw = layer_of(entry("file", b"content"))
    image = push(registry, "other-content", raw, diff_id="sha256:" + "0" * 64)
    check_not_pulled(outport, image, "wrong diff id")


def test_a_layer_that_is_no_archive(outport, registry):
    image = registry.push("no-archive", [b"this is no gzip"], [digest_of(b"this is no gzip")])
    check_not_pulled(outport, image, "failed to extract layer")


def test_a_layer_that_ends_early(outport, registry):
    raw = layer_of(entry("file", b"content" * 1000))
    packed = gzip.compress(raw)[:-20]
    image = registry.push("short", [packed], ["sha256:" + hashlib.sha256(raw).hexdigest()])
    check_not_pulled(outport, image, "failed to extract layer")


def test_fewer_diff_ids_than_layers(outport, registry):
    raw = layer_of(entry("file", b"content"))
    check_not_pulled(outport, registry.push("fewer", [gzip.compress(raw)], []), "")


def test_a_program_of_another_architecture(outport, registry):
    elf_of_s390x = b"\x7fELF\x02\x02\x01" + b"\0" * 9 + b"\0\x02\0\x16\0\0\0\x01" + b"\0" * 200
    raw = layer_of(entry("bin/true", elf_of_s390x, mode=0o755))
    task = run(outport, push(registry, "s390x", raw))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "exec format error" in task["containers"][0]["reason"], task["containers"][0]["reason"]
    check_nothing_left(outport, task)


def test_a_digest_that_does_not_match_is_refused_at_the_push(registry):
    status, _, body = registry.finish_upload(registry.begin_upload(), b"content",
                                             "sha256:" + "0" * 64)
    assert (status, error_codes(body)) == (400, ["DIGEST_INVALID"])
    status, _, _ = registry.call("HEAD", f"/v2/{registry.repository}/blobs/sha256:" + "0" * 64)
    assert status == 404


def test_manifests_that_are_refused_at_the_push(registry):
    status, _, body = registry.put_manifest("bad", b"{")
    assert (status, error_codes(body)) == (400, ["MANIFEST_INVALID"])
    missing = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
               "config": {"mediaType": CONFIG, "digest": "sha256:" + "1" * 64, "size": 1}}
    status, _, body = registry.put_manifest("bad", missing)
    assert status in (400, 404), body
    assert set(error_codes(body)) & {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}, body
    try:
        status, _, _ = registry.put_manifest("bad", json.dumps({"x": "y" * (8 << 20)}).encode())
        assert status in (400, 413)
    except ConnectionError:
        pass  # It was refused before all of it was sent.
    status, _, _ = registry.call("GET", f"/v2/{registry.repository}/manifests/bad")
    assert status == 404


def test_a_digest_that_nobody_pushed(outport, registry):
    check_not_pulled(outport, f"{registry.uri}@sha256:" + "2" * 64, "not found")


def test_on_fargate_the_task_says_it_too(outport, registry):
    definition = outport.register(
        "absent", [{"name": "main", "image": f"{registry.uri}:absent"}], networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        executionRoleArn=outport.execution_role())
    network = {"awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    task = outport.run(definition, launch_type="FARGATE", networkConfiguration=network)
    task = outport.reaches(task["taskArn"], "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: "), task["stoppedReason"]
    assert task["stoppedReason"] == task["containers"][0]["reason"]
    check_nothing_left(outport, task)


def test_a_registry_that_is_not_there(outport):
    check_not_pulled(outport, "127.0.0.1:1/absent:latest", "127.0.0.1:1")
