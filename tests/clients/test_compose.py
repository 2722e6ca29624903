"""`outport compose`: a compose file as a task that runs, changes, and leaves nothing."""

import json
import os
import shutil
import socket
import subprocess
import urllib.request

import pytest

from support.wait import until


def compose(outport, directory, *words, env=None, check=True):
    done = subprocess.run([outport.binary, "compose", *words], cwd=directory, text=True,
                          capture_output=True, timeout=180,
                          env={**os.environ, **outport.env(), **(env or {})})
    assert not check or done.returncode == 0, f"{done.stderr}\n{outport.log()[-3000:]}"
    return done


def page(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def image(shared_outport):
    return f"{shared_outport.repository_uri('app')}:1.0"


def project(directory, image, message="one", asked=80):
    (directory / "compose.yaml").write_text(f"""
x-base: &base
  image: ${{IMAGE:-{image}}}
  stop_grace_period: 2s
services:
  prepare:
    <<: *base
    command: echo prepared
  back:
    <<: *base
    container_name: behind
    command: sh -c 'mkdir /tmp/www; echo {message} > /tmp/www/index.html; exec httpd -f -p 8001 -h /tmp/www'
    expose: [8001]
    mem_limit: 64m
    depends_on:
      prepare: {{condition: service_completed_successfully}}
  front:
    <<: *base
    depends_on: [back]
    environment: {{BACK: "http://back:8001", NONE: }}
    ports: ["{asked}:8002"]
    command:
      - sh
      - -c
      - |
        mkdir /tmp/www
        until wget -qO /tmp/www/index.html $$BACK && wget -qO /tmp/www/second http://behind:8001; do sleep 0.1; done
        exec httpd -f -p 8002 -h /tmp/www
""")


def rows(outport, directory, *options):
    return {row["service"]: row for row in json.loads(
        compose(outport, directory, "ps", "--json", *options).stdout)}


def revisions(outport):
    return outport.ecs.list_task_definitions(familyPrefix="shop", status="ACTIVE")["taskDefinitionArns"]


def test_up_of_what_ends_at_once_shows_what_it_wrote_and_ends(shared_outport, image, tmp_path):
    outport, directory = shared_outport, tmp_path / "crash"
    directory.mkdir()
    (directory / "compose.yaml").write_text(f"""
services:
  web:
    image: {image}
    command: sh -c 'echo no database here >&2; exit 4'
""")
    up = compose(outport, directory, "up", check=False)
    assert up.returncode == 1, up.stdout
    assert "crash does not run: " in up.stderr and " of its tasks ended" in up.stderr, up.stderr
    assert "web exited with 4" in up.stderr and "no database here" in up.stderr, up.stderr
    # As docker compose leaves it.
    assert outport.ecs.describe_services(services=["crash"])["services"][0]["status"] == "ACTIVE"
    compose(outport, directory, "down")


def test_a_project_runs_changes_and_leaves_nothing(shared_outport, image, tmp_path):
    outport, directory = shared_outport, tmp_path / "Shop!"
    directory.mkdir()
    asked = outport.reserved.host_port(7)
    project(directory, image, asked=asked)
    up = compose(outport, directory, "up")
    assert "created the service shop" in up.stderr and "does not lead" not in up.stderr
    seen = rows(outport, directory)
    assert seen["prepare"]["exitCode"] == 0
    assert {seen[name]["status"] for name in ("back", "front")} == {"RUNNING"}
    (url,) = seen["front"]["ports"]
    assert url == f"http://127.0.0.1:{asked}" and url in up.stdout
    # By the name of its service, and by that of its container.
    assert until(lambda: page(url), "the page is there") == "one\n"
    assert until(lambda: page(f"{url}/second"), "the other page is there") == "one\n"

    # Nothing changed: nothing is registered.
    before = revisions(outport)
    assert "is as the file says" in compose(outport, directory, "up").stderr
    assert revisions(outport) == before

    project(directory, image, "two", asked)
    assert "updated the service shop" in compose(outport, directory, "up").stderr
    assert len(revisions(outport)) == 2
    (url,) = rows(outport, directory)["front"]["ports"]
    assert until(lambda: page(url), "the new page is there") == "two\n"
    # The new task has the port of the old one.
    assert url == f"http://127.0.0.1:{asked}"
    # Of one service, and what comes next is told for this project.
    logs = compose(outport, directory, "logs", "prepare").stdout
    assert "prepared" in logs and "front" not in logs, logs
    assert compose(outport, directory, "logs", "nobody", check=False).stderr.strip().endswith(
        "no task of shop has a container nobody")
    up = compose(outport, tmp_path, "up", "--file", directory / "compose.yaml", "-p", "shop")
    told = f"next: outport compose logs -f --file '{directory}/compose.yaml' -p shop;"
    assert told in up.stderr, up.stderr
    logs = subprocess.run([outport.binary, "logs", "shop"], text=True, capture_output=True,
                          env={**os.environ, **outport.env()}, timeout=60)
    assert "prepared" in logs.stdout

    down = compose(outport, directory, "down")
    assert "removed the service shop" in down.stderr
    assert rows(outport, directory) == {} and revisions(outport) == []
    groups = outport.client("logs").describe_log_groups(logGroupNamePrefix="/compose/shop")
    assert groups["logGroups"] == []
    assert "there is nothing of shop" in compose(outport, directory, "down").stderr


def test_a_port_of_the_machine_that_somebody_has_is_told_by_name(shared_outport, image, tmp_path):
    asked = shared_outport.reserved.host_port(8)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", asked))
        taken.listen()
        (tmp_path / "compose.yml").write_text(
            f"services:\n  web:\n    image: {image}\n    stop_grace_period: 2s\n"
            f"    ports: ['{asked}:8000']\n")
        try:
            up = compose(shared_outport, tmp_path, "up", "-p", "late")
            (url,) = rows(shared_outport, tmp_path, "-p", "late")["web"]["ports"]
            assert not url.endswith(f":{asked}")
            told = f"services.web.ports: {asked} of this machine does not lead to 8000"
            assert told in up.stderr and f"reached at {url}" in up.stderr, up.stderr
        finally:
            compose(shared_outport, tmp_path, "down", "-p", "late")


def test_what_does_not_run_says_why(shared_outport, image, tmp_path):
    (tmp_path / "compose.yml").write_text(
        f"services:\n  web:\n    image: {image}\n    command: sh -c 'exit 7'\n")
    done = compose(shared_outport, tmp_path, "up", "-p", "broken", "--timeout", "60", check=False)
    try:
        assert done.returncode == 1
        assert "broken does not run" in done.stderr and "7" in done.stderr, done.stderr
    finally:
        compose(shared_outport, tmp_path, "down", "-p", "broken")


def test_all_that_is_not_run_is_refused_before_anything_is_made(shared_outport, tmp_path):
    outport = shared_outport
    (tmp_path / "docker-compose.yml").write_text("""
services:
  web:
    build: .
    volumes: [".:/app"]
  db:
    image: db
    healthcheck: {test: "true"}
    security_opt: [seccomp:unconfined]
""")
    words = ["up", "-p", "refused"]
    said = compose(outport, tmp_path, *words, check=False)
    assert said.returncode == 1
    assert "docker-compose.yml:5: services.web.volumes is not supported" in said.stderr
    assert "docker-compose.yml:9: services.db.security_opt is not supported" in said.stderr
    said = compose(outport, tmp_path, *words, "--ignore", "volumes", check=False).stderr
    assert "docker-compose.yml:9: services.db.security_opt is not supported" in said
    assert "building" not in said
    ignored = ["--ignore", "volumes,security_opt"]
    config = compose(outport, tmp_path, "config", "-p", "refused", *ignored)
    definition = json.loads(config.stdout)["taskDefinition"]
    assert definition["containerDefinitions"][1]["healthCheck"]["command"] == ["CMD-SHELL", "true"]
    assert "volumes is ignored" in config.stderr
    assert outport.ecs.list_task_definitions(familyPrefix="refused")["taskDefinitionArns"] == []


def test_somebody_elses_service_is_left_alone(shared_outport, image, tmp_path):
    outport = shared_outport
    definition = outport.register("taken", [{"name": "web", "image": image, "memory": 64}])
    outport.ecs.create_service(serviceName="taken", taskDefinition=definition, desiredCount=0)
    (tmp_path / "compose.yaml").write_text(f"name: taken\nservices: {{web: {{image: '{image}'}}}}\n")
    for command in ("up", "down"):
        done = compose(outport, tmp_path, command, check=False)
        assert done.returncode == 1 and "is not of `outport compose`" in done.stderr, done.stderr
    outport.ecs.delete_service(service="taken", force=True)


def test_config_is_what_the_aws_cli_registers(shared_outport, image, tmp_path):
    outport = shared_outport
    project(tmp_path, image)
    config = json.loads(compose(outport, tmp_path, "config", "-p", "printed").stdout)
    # What `compose config` needs is no Outport.
    alone = subprocess.run([outport.binary, "compose", "config", "-p", "printed"], cwd=tmp_path,
                           env={"PATH": "/usr/bin"}, check=True, capture_output=True, text=True)
    assert json.loads(alone.stdout) == config
    (tmp_path / "task.json").write_text(json.dumps(config["taskDefinition"]))
    registered = outport.aws("ecs", "register-task-definition", "--cli-input-json",
                             f"file://{tmp_path}/task.json")["taskDefinition"]
    assert [c["name"] for c in registered["containerDefinitions"]] == ["prepare", "back", "front"]


def test_an_image_is_built(shared_outport, image, tmp_path):
    """With buildah: it needs no daemon. Each change of what is built is another revision."""
    if not shutil.which("buildah"):
        pytest.skip("buildah is not installed")
    outport = shared_outport
    base = tmp_path / "base"
    base.mkdir()
    shutil.copy("/bin/busybox", base / "busybox")
    (base / "Dockerfile.web").write_text(
        "FROM scratch\nARG WORD\nCOPY busybox /busybox\nENV WORD=$WORD\n"
        'CMD ["/busybox", "sh", "-c", "echo the word is $WORD; exec /busybox sleep 600"]\n')

    def up(word):
        (tmp_path / "compose.yaml").write_text(f"""
name: built
services:
  web:
    build: {{context: base, dockerfile: Dockerfile.web, args: {{WORD: {word}}}}}
    stop_grace_period: 2s
""")
        compose(outport, tmp_path, "up", "--builder", "buildah", env={
            "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_FORMAT": "docker"})
        return rows(outport, tmp_path)["web"]["image"]
    storage = tmp_path / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/storage"\n'
                       f'runroot = "{tmp_path}/run"\n')
    first = up("one")
    assert ".dkr.ecr.us-east-1.amazonaws.com/compose/built/web@sha256:" in first
    assert up("two") != first
    compose(outport, tmp_path, "down")
    repositories = outport.client("ecr").describe_repositories()["repositories"]
    assert not [r for r in repositories if r["repositoryName"].startswith("compose/")]
