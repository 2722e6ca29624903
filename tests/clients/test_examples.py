"""What stands in `examples/` works as it is."""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml

from support import image_tools
from support.app_image import AppImage
from support.docker import Docker
from support.terraform import Terraform

EXAMPLES = Path(__file__).parents[2] / "examples"


def everything(text):
    """What a README calls an example, and so what is tested."""
    return set(re.findall(r"^\| \[[\w-]+\]\(([\w-]+)\) \|", text, re.M))


def test_each_example_is_listed():
    listed = everything((EXAMPLES / "README.md").read_text())
    assert listed == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}


def run_as_typed(outport, tmp_path, script, *words):
    """A script of an example, with what `eval "$(outport env)"` sets; what it printed."""
    env = {**os.environ, **outport.env(), "AWS_PAGER": "",
           "PATH": f"{outport.binary.parent}:{os.environ['PATH']}"}
    done = subprocess.run([EXAMPLES / script, *words], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{outport.log()[-3000:]}"
    return done.stdout


def page(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def test_the_first_service(outport, tmp_path):
    outport.start()
    for tag in ("1.0", "2.0"):
        AppImage(tmp_path / tag, tags=[tag])
    said = run_as_typed(outport, tmp_path, "first-service/run.sh", "1.0", "2.0")
    service, = outport.ecs.describe_services(services=["web"], include=["TAGS"])["services"]
    assert service["taskDefinition"].endswith("/web:2") and service["runningCount"] == 2
    assert service["deploymentConfiguration"]["deploymentCircuitBreaker"]["rollback"]
    assert service["tags"] == [{"key": "team", "value": "shop"}]
    url = said.splitlines()[-1]
    assert page(url) == "hello from app 2.0\n", said
    assert "reached a steady state" in said, said


def test_the_compose_file(outport, app_image, tmp_path):
    outport.start()
    outport.push(app_image, "app", "1.0")
    shutil.copy(EXAMPLES / "compose/compose.yaml", tmp_path)
    env = {**os.environ, **outport.env()}

    def compose(*words):
        done = subprocess.run([outport.binary, "compose", *words], env=env, cwd=tmp_path, capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr + outport.log()[-3000:]
        return done.stdout

    compose("up")
    url = subprocess.run([outport.binary, "open", "shop", "--print"], env=env, check=True, capture_output=True,
                         text=True, timeout=60).stdout.strip()
    assert page(url) == "42\n"
    assert "prices" in compose("ps")
    compose("down")
    assert not outport.ecs.list_services()["serviceArns"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_understands_the_example(outport, tmp_path):
    units = tmp_path / "units"
    shutil.copytree(EXAMPLES / "systemd", units)
    packaged = Path(__file__).parents[2] / "xtask/src/package/files/outport.service"
    shutil.copy(packaged, units)
    for unit in units.glob("*.service"):
        # It wants the program and the directory to be where the unit says.
        text = unit.read_text().replace("/usr/bin/outport", str(outport.binary))
        unit.write_text(text.replace("/srv/web", str(tmp_path)))

    def complaints():
        done = subprocess.run(["systemd-analyze", "verify", *units.glob("*.service")],
                              capture_output=True, text=True, timeout=120)
        return [line for line in done.stderr.splitlines() if str(units) in line or "web.service" in line]

    assert complaints() == []
    with (units / "outport.service.d/beside.conf").open("a") as drop_in:
        drop_in.write("NoSuchSetting=1\n")
    assert len(complaints()) == 1, "the drop-in is one of outport.service"
    # What the unit starts is a project; the guest of `cargo xtask package --boot` starts it.
    done = subprocess.run([outport.binary, "compose", "config"], cwd=units, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout), done.stderr


def test_terraform_makes_a_service(outport, app_image, tmp_path):
    there = tmp_path / "terraform"
    shutil.copytree(EXAMPLES / "terraform", there)
    terraform = Terraform(there)
    outport.start()
    terraform.run(outport, "init")
    on = ("-auto-approve", "-var", f"endpoint={outport.url}")
    terraform.run(outport, "apply", "-target", "aws_ecr_repository.app", *on)
    archive = tmp_path / "app.tar"
    image_tools.run("skopeo", "copy", "--insecure-policy", f"oci:{app_image.directory}:1.0",
                    f"docker-archive:{archive}:app:1.0")
    subprocess.run([outport.binary, "image", "load", archive, "app:1.0"], check=True, capture_output=True, timeout=60,
                   env={**os.environ, **outport.env()})
    terraform.run(outport, "apply", *on)
    service, = outport.ecs.describe_services(cluster="prod", services=["app"])["services"]
    assert service["runningCount"] == 2
    group, = outport.client("logs").describe_log_groups()["logGroups"]
    assert (group["logGroupName"], group["retentionInDays"]) == ("/ecs/app", 7)
    # 2 would be: there is something to do.
    terraform.run(outport, "plan", "-detailed-exitcode", *on[1:])
    terraform.run(outport, "destroy", *on)
    assert not outport.client("ecr").describe_repositories()["repositories"]


def test_the_first_task(outport, app_image, tmp_path):
    outport.start()
    env = {**os.environ, **outport.env(), "AWS_PAGER": "",
           "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
           "PATH": f"{outport.binary.parent}:{os.environ['PATH']}"}
    done = subprocess.run([EXAMPLES / "first-task/run.sh", f"oci:{app_image.directory}:1.0"],
                          env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{outport.log()[-3000:]}"
    assert "is starting" in done.stdout, done.stdout
    rows = json.loads(subprocess.run(
        [outport.binary, "ps", "--json"], env=env, check=True, capture_output=True, text=True,
        timeout=60).stdout)
    assert sorted(row["group"] for row in rows) == ["app", "app", "app", "family:app"]
    urls = {url for row in rows for url in row["ports"]}
    assert len(urls) == 4 and all(url.startswith("http://127.0.0.1:") for url in urls), urls
    opened = set(done.stdout.splitlines()) & urls
    assert len(opened) == 1, done.stdout


def test_tests_with_an_outport_of_their_own(binary, tmp_path):
    pytest = ["pytest", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "tests"]
    done = subprocess.run([binary, "run", "--", *pytest, EXAMPLES / "pytest"], text=True,
                          capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


WORKFLOW = EXAMPLES / "github-actions/outport.yml"
# What a runner of GitHub has and this machine may not: `sudo` for whoever is root already, the unit of the package.
SUDO = """#!/bin/sh
exec "$@"
"""
SYSTEMCTL = """#!/bin/sh
[ "$*" = "start outport" ] || exit 1
"""


def workflow():
    document = yaml.safe_load(WORKFLOW.read_text())
    # YAML 1.1 takes the key `on` for true.
    assert {"name", True, "jobs"} == set(document), document
    for job in document["jobs"].values():
        assert job["runs-on"] and all(("run" in step) != ("uses" in step) for step in job["steps"])
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
                   for step in job["steps"] if "uses" in step)
    return document["jobs"]


class Runner:
    """Runs the steps of a job as GitHub does: with bash, and what one writes to GITHUB_ENV is there for the next."""

    def __init__(self, binary, directory, env):
        self.directory = directory
        self.variables = directory / "github-env"
        self.variables.touch()
        bin_directory = directory / "bin"
        bin_directory.mkdir()
        for name, text in {"sudo": SUDO, "systemctl": SYSTEMCTL}.items():
            (bin_directory / name).write_text(text)
            (bin_directory / name).chmod(0o755)
        (bin_directory / "outport").symlink_to(binary)
        self.env = {**os.environ, **env, "PYTHONDONTWRITEBYTECODE": "1", "AWS_PAGER": "",
                    "GITHUB_ENV": str(self.variables),
                    "PATH": f"{bin_directory}:{os.environ['PATH']}"}

    def step(self, step, check=True):
        said = [line.split("=", 1) for line in self.variables.read_text().splitlines()]
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], text=True,
            cwd=self.directory, env={**self.env, **dict(said)}, capture_output=True, timeout=180)
        assert not check or done.returncode == 0, f"{step}: {done.stdout}{done.stderr}"
        return done


def steps(job, *without):
    """Those that run in a shell, without what only another machine can do."""
    return [step for step in workflow()[job]["steps"]
            if "run" in step and "if" not in step and step["name"] not in without]


def test_a_workflow_with_an_outport_for_one_command(binary, tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_it.py").write_text((EXAMPLES / "pytest/test_service.py").read_text())
    runner = Runner(binary, tmp_path, {})
    (step,) = steps("tests", "Install Outport")
    assert "2 passed" in runner.step(step).stdout
    (tests / "test_it.py").write_text("def test_it():\n    assert False\n")
    assert runner.step(step, check=False).returncode == 1
    assert (tmp_path / "outport-logs/outport.log").exists()


def test_a_workflow_with_an_outport_for_several_steps(outport, app_image, tmp_path):
    engine = Docker(tmp_path / "docker")
    engine.directory.mkdir()
    reason = engine.start()
    try:
        outport.start()
        runner = Runner(outport.binary, tmp_path, {
            "OUTPORT_DATA_DIR": str(outport.data_dir), "DOCKER_HOST": engine.host})
        # Without an engine, a builder or the base image of somebody's Dockerfile the image comes from elsewhere.
        without = ["Install Outport", "Build"]
        if reason:
            without.append("Load")
            uri = outport.push(app_image, "app", "1.0")
            runner.variables.write_text(f"IMAGE={uri}:1.0\n")
        else:
            archive = tmp_path / "app.tar"
            image_tools.run("skopeo", "copy", "--insecure-policy", f"oci:{app_image.directory}:1.0",
                            f"docker-archive:{archive}:app:latest")
            engine.run("load", "--input", archive)
        done = [runner.step(step) for step in steps("service", *without)]
        assert "RUNNING" in done[-1].stdout, done[-1].stdout
        on_failure = [step for step in workflow()["service"]["steps"] if "failure()" in str(step.get("if"))]
        (step,) = on_failure
        lines = [line for line in step["run"].splitlines() if "journalctl" not in line]
        assert "family:app" in runner.step({"run": "\n".join(lines)}).stdout
    finally:
        engine.stop()
