"""What stands in `examples/` works as it is."""

import json
import os
import re
import subprocess
from pathlib import Path

import yaml

from support import image_tools
from support.docker import Docker

EXAMPLES = Path(__file__).parents[2] / "examples"


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
