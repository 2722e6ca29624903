"""`outport image load`: an image of a file, a directory or an engine in the registry, and a task from it."""

import gzip
import json
import os
import shutil
import subprocess
import tarfile

import pytest

from support import image_tools
from support.app_image import AppImage
from support.docker import Docker

INDEX = "application/vnd.oci.image.index.v1+json"


def load(outport, *words, stdin=None, env=None, check=True):
    done = subprocess.run([outport.binary, "image", "load", *words], stdin=stdin, text=True,
                          capture_output=True, timeout=120,
                          env={**os.environ, **outport.env(), **(env or {})})
    assert not check or done.returncode == 0, done.stderr
    return done


def refusal(outport, *words, **options):
    done = load(outport, *words, check=False, **options)
    assert done.returncode == 1 and not done.stdout, (done.stdout, done.stderr)
    return done.stderr


@pytest.fixture(scope="module")
def archives(app_image, tmp_path_factory):
    """One image in all forms: by what `image load` is given."""
    directory = tmp_path_factory.mktemp("archives")
    source = f"oci:{app_image.directory}:1.0"
    forms = {"docker": f"docker-archive:{directory}/docker.tar:app:1.0",
             "oci": f"oci-archive:{directory}/oci.tar:1.0",
             "layout": f"oci:{directory}/layout:1.0"}
    for to in forms.values():
        image_tools.run("skopeo", "copy", "--insecure-policy", source, to)
    found = {name: directory / name for name in ["docker.tar", "oci.tar", "layout"]}
    for name in ["docker.tar", "oci.tar"]:
        found[f"{name}.gz"] = directory / f"{name}.gz"
        found[f"{name}.gz"].write_bytes(gzip.compress(found[name].read_bytes(), compresslevel=1))
    return found


def manifest_of(app_image, tag):
    index = json.loads((app_image.directory / "index.json").read_text())
    (entry,) = [each for each in index["manifests"]
                if each["annotations"]["org.opencontainers.image.ref.name"] == tag]
    return entry["digest"]


@pytest.mark.parametrize("form", ["docker.tar", "docker.tar.gz", "oci.tar", "oci.tar.gz", "layout"])
def test_a_task_runs_from_each_form(shared_outport, archives, form):
    outport = shared_outport
    repository = f"loaded/{form}"
    done = load(outport, archives[form], f"{repository}:1.0")
    uri = done.stdout.strip()
    assert uri == f"{outport.repository_uri(repository)}:1.0"
    assert f"made the repository {repository}" in done.stderr
    definition = outport.register("loaded", [{"name": "web", "image": uri, "memory": 64}],
                                  networkMode="none")
    task = outport.run(definition)["taskArn"]
    outport.reaches(task, "RUNNING")
    outport.ecs.stop_task(task=task)
    outport.reaches(task, "STOPPED")
    # Once more: nothing is sent, and nothing is made.
    again = load(outport, archives[form], f"{repository}:1.0", "--json")
    loaded = json.loads(again.stdout)
    assert (loaded["uri"], loaded["createdRepository"]) == (uri, False)
    assert loaded["uriByDigest"] == uri.replace(":1.0", f"@{loaded['digest']}")
    layers = [line for line in again.stderr.splitlines() if " MiB" in line]
    assert len(layers) == 3 and all(line.endswith("is there") for line in layers), layers


def test_a_layout_keeps_its_digest(shared_outport, app_image, tmp_path):
    outport = shared_outport
    several = refusal(outport, app_image.directory, "kept:2.0")
    assert "1.0 and 2.0: say which one with --name" in several
    assert "has no image 3.0" in refusal(outport, app_image.directory, "kept:2.0", "--name", "3.0")
    loaded = json.loads(load(outport, app_image.directory, "kept:2.0", "--name", "2.0",
                             "--json").stdout)
    assert loaded["digest"] == manifest_of(app_image, "2.0")
    # As any other client sees it.
    images = outport.client("ecr").describe_images(repositoryName="kept")["imageDetails"]
    assert [(i["imageDigest"], i["imageTags"]) for i in images] == [(loaded["digest"], ["2.0"])]


def test_standard_input_and_a_name_with_the_registry(shared_outport, archives):
    outport = shared_outport
    uri = outport.repository_uri("app").replace("/app", "/piped")
    with archives["docker.tar"].open() as archive:
        assert load(outport, "-", f"{uri}:2", stdin=archive).stdout == f"{uri}:2\n"
    of_aws = "000000000000.dkr.ecr.us-east-1.amazonaws.com/piped"
    assert load(outport, archives["docker.tar"], of_aws).stdout == f"{uri}:latest\n"
    said = refusal(outport, archives["docker.tar"], "docker.io/app:1.0")
    assert "names the registry docker.io" in said


@pytest.fixture(scope="module")
def two_platforms(tmp_path_factory):
    """A layout with one image for two architectures, and what a builder says of itself beside."""
    directory = tmp_path_factory.mktemp("platforms")
    entries = []
    for architecture in ["arm64", "amd64"]:
        image = AppImage(directory / architecture, ["1.0"], architecture)
        (entry,) = json.loads((image.directory / "index.json").read_text())["manifests"]
        del entry["annotations"]
        entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    layout = directory / "both"
    shutil.copytree(directory / "arm64", layout)
    shutil.copytree(directory / "amd64/blobs", layout / "blobs", dirs_exist_ok=True)
    index = image._blob(INDEX, json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode())
    shutil.copytree(directory / "amd64/blobs", layout / "blobs", dirs_exist_ok=True)
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    return layout, index["digest"], {e["platform"]["architecture"]: e["digest"] for e in entries}


def test_of_several_platforms_the_one_that_is_asked_for(shared_outport, two_platforms):
    layout, index, images = two_platforms

    def digest(*words):
        return json.loads(load(shared_outport, layout, "platforms", "--json", *words).stdout)["digest"]
    assert digest() == images["amd64"]
    assert digest("--platform", "linux/arm64") == images["arm64"]
    assert digest("--all") == index
    said = refusal(shared_outport, layout, "platforms", "--platform", "linux/s390x")
    assert "it is not for linux/s390x, but for linux/arm64, linux/amd64" in said
    found = shared_outport.client("ecr").batch_get_image(
        repositoryName="platforms", imageIds=[{"imageTag": "latest"}])["images"]
    assert found[0]["imageId"]["imageDigest"] == index


@pytest.mark.parametrize("form", ["docker.tar", "layout"])
def test_an_image_for_one_platform_is_not_loaded_for_another(shared_outport, archives, form):
    said = refusal(shared_outport, archives[form], "alone", "--platform", "linux/s390x")
    assert "it is not for linux/s390x, but for linux/amd64 alone" in said
    load(shared_outport, archives[form], "alone", "--platform", "linux/amd64")


def test_what_is_damaged_is_not_loaded(shared_outport, archives, app_image, tmp_path):
    outport = shared_outport
    target = "damaged:1.0"
    cut = tmp_path / "cut.tar"
    cut.write_bytes(archives["docker.tar"].read_bytes()[:100_000])
    assert "the archive is cut" in refusal(outport, cut, target)
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archives["docker.tar.gz"].read_bytes()[:100_000])
    assert "damaged" in refusal(outport, cut, target)
    text = tmp_path / "text"
    text.write_text("no archive\n" * 100)
    assert "no tar archive" in refusal(outport, text, target)
    (tmp_path / "empty").touch()
    assert "is empty" in refusal(outport, tmp_path / "empty", target)
    assert "is no OCI layout" in refusal(outport, tmp_path, target)
    assert "cannot read" in refusal(outport, tmp_path / "nothing", target)

    layout = tmp_path / "layout"
    shutil.copytree(archives["layout"], layout)
    largest = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[1000] ^= 1
    largest.write_bytes(content)
    said = refusal(outport, layout, target)
    assert f"cannot push sha256:{largest.name}: it is damaged" in said
    largest.unlink()
    assert f"the blob sha256:{largest.name} is missing" in refusal(outport, layout, target)

    # A name in an archive is no file of this machine.
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(hostile, "w") as tar:
        link = tarfile.TarInfo("manifest.json")
        link.type, link.linkname = tarfile.SYMTYPE, str(archives["layout"] / "index.json")
        tar.addfile(link)
    assert "has neither index.json" in refusal(outport, hostile, target)
    images = outport.client("ecr").describe_images(repositoryName="damaged")["imageDetails"]
    assert images == []


def test_no_room_for_what_is_decompressed(shared_outport, archives, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    try:
        said = refusal(shared_outport, archives["docker.tar.gz"], "room:1.0", env={"TMPDIR": str(small)})
        assert "TMPDIR" in said and "No space left" in said and "damaged" not in said, said
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_another_machine_needs_the_credentials_and_nothing_else(outport, archives, tmp_path):
    outport.start()
    lines = subprocess.run([outport.binary, "env", "--https", "--format", "json", "--data-dir",
                            outport.data_dir], check=True, capture_output=True, text=True).stdout
    env = json.loads(lines)
    uri = load(outport, archives["oci.tar"], "app:1.0", env=env).stdout.strip()
    assert uri.endswith("/app:1.0")
    wrong = {**env, "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "InvalidSignatureException" in refusal(outport, archives["oci.tar"], "app:1.0", env=wrong)


def test_an_image_of_a_docker_engine(shared_outport, archives, tmp_path):
    outport = shared_outport
    docker = Docker(tmp_path)
    reason = docker.start()
    try:
        if reason:
            pytest.skip(reason)
        docker.run("load", "--input", archives["docker.tar"])
        env = {"DOCKER_HOST": docker.host}
        uri = load(outport, "docker:app:1.0", "engine:1.0", env=env).stdout.strip()
        definition = outport.register("engine", [{"name": "web", "image": uri, "memory": 64}],
                                      networkMode="none")
        task = outport.run(definition)["taskArn"]
        outport.reaches(task, "RUNNING")
        outport.ecs.stop_task(task=task)
        outport.reaches(task, "STOPPED")
        said = refusal(outport, "docker:nothing:1", "engine:1.0", env=env)
        assert "`docker save nothing:1` failed: Error response from daemon" in said
    finally:
        docker.stop()


def test_without_docker_it_is_said(shared_outport, tmp_path):
    said = refusal(shared_outport, "docker:app:1.0", "engine:1.0", env={"PATH": str(tmp_path)})
    assert "there is no docker here" in said and "docker save app:1.0 > image.tar" in said
