"""`pytest-outport`: built as a wheel, installed into an environment of its own, and used there."""

import json
import os
import signal
import site
import subprocess
import sys
from pathlib import Path

import pytest

from support.wait import until

REPOSITORY = Path(__file__).parents[2]
PLUGIN = REPOSITORY / "clients/pytest-outport"
EXAMPLE = REPOSITORY / "examples/pytest/test_image.py"
SAMPLE = '''
def test_a_task_runs(outport, outport_boto3):
    image = outport.load_image("{layout}", "app:1.0")
    ecs = outport_boto3("ecs")
    ecs.register_task_definition(family="app", networkMode="none", containerDefinitions=[
        {{"name": "app", "image": image, "memory": 64, "stopTimeout": 2,
          "command": ["sh", "-c", "echo I ran; sleep 600"]}}])
    task = ecs.run_task(taskDefinition="app")["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(tasks=[task], WaiterConfig={{"Delay": 1}})
    assert len(outport.subnets()) > 0


def test_code_that_makes_its_own_clients(outport_environment):
    import boto3
    assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"
'''
FAILS = '''

def test_that_fails(outport):
    assert outport.client("ecs").list_tasks()["taskArns"] == []
'''


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment with the plugin's wheel; pytest and boto3 are those of this one."""
    directory = tmp_path_factory.mktemp("plugin")
    wheels = directory / "wheels"
    # A copy: a build leaves files beside its sources.
    sources = directory / "sources"
    subprocess.run(["cp", "-a", PLUGIN, sources], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index",
                    "--wheel-dir", wheels, sources], check=True)
    (wheel,) = wheels.glob("pytest_outport-*-py3-none-any.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / "venv"], check=True)
    (packages,) = (directory / "venv/lib").glob("python3*/site-packages")
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", packages,
                    wheel], check=True)
    (packages / "of-the-tests.pth").write_text("\n".join(site.getsitepackages()))
    return directory / "venv/bin/python"


def run(python, binary, directory, *options, tests=None, env=None, **more):
    return subprocess.Popen(
        [python, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", directory / "pytest",
         *options, tests or directory / "test_sample.py"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env={**os.environ, "OUTPORT_COMMAND": str(binary),
                        "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}, **more)


def ended(process):
    try:
        said, _ = process.communicate(timeout=180)
    finally:
        process.kill()
    return process.returncode, said


def test_tests_have_an_outport_of_their_own(python, binary, app_image, tmp_path):
    sample = SAMPLE.format(layout=one_image(app_image, tmp_path))
    (tmp_path / "test_sample.py").write_text(sample + FAILS)
    logs = tmp_path / "logs"
    code, said = ended(run(python, binary, tmp_path, "--outport-logs", logs))
    assert code == 1 and "2 passed" in said and "1 failed" in said, said
    # The failure is explained: by its own report, and by files.
    assert "tasks of Outport" in said and "RUNNING" in said, said
    assert "output of task" in said and "I ran" in said, said
    (of_task,) = logs.glob("task-*.log")
    assert "I ran" in of_task.read_text()


def test_the_example(python, binary, app_image, tmp_path):
    code, said = ended(run(python, binary, tmp_path, tests=EXAMPLE,
                           env={"IMAGE": str(one_image(app_image, tmp_path))}))
    assert code == 0 and "1 passed" in said, said


def one_image(app_image, tmp_path):
    """A layout with one of the images."""
    index = json.loads((app_image.directory / "index.json").read_text())
    layout = tmp_path / "layout"
    subprocess.run(["cp", "-a", app_image.directory, layout], check=True)
    (layout / "index.json").write_text(json.dumps({**index, "manifests": index["manifests"][:1]}))
    return layout


def test_an_outport_that_runs_is_used(python, shared_outport, app_image, tmp_path):
    outport = shared_outport
    (tmp_path / "test_sample.py").write_text(
        "def test_it(outport, outport_boto3):\n"
        f"    assert outport.endpoint_url == {outport.url!r}\n"
        "    outport_boto3('ecs').create_cluster(clusterName='of-the-plugin')\n")
    env = {**outport.env(), "AWS_ENDPOINT_URL": "http://elsewhere.invalid"}
    code, said = ended(run(python, outport.binary, tmp_path, "--outport-endpoint", outport.url, env=env))
    assert code == 0, said
    assert any(arn.endswith("/of-the-plugin") for arn in outport.ecs.list_clusters()["clusterArns"])
    missing = {"AWS_REGION": "", "AWS_ACCESS_KEY_ID": ""}
    code, said = ended(run(python, outport.binary, tmp_path, env={
        **env, **missing, "OUTPORT_ENDPOINT": outport.url}))
    assert code == 1 and "AWS_ACCESS_KEY_ID, AWS_REGION is not in the environment" in said, said


def test_nothing_stays_when_pytest_is_killed(python, binary, tmp_path):
    (tmp_path / "test_sample.py").write_text(
        "import pathlib, time\n"
        "def test_it(outport):\n"
        "    pathlib.Path('said').write_text(outport.environment['OUTPORT_DATA_DIR'])\n"
        "    time.sleep(600)\n")
    process = run(python, binary, tmp_path, cwd=tmp_path)
    said = tmp_path / "said"
    until(lambda: said.exists() and said.read_text(), "the Outport of the session runs", 90)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: not Path(said.read_text()).exists(), "its data directory is gone", 90)


# Keeps of the environment what sudo does, and what it is asked to.
SUDO = """#!/bin/sh
[ "$1" = -n ] && shift
case $1 in --preserve-env=*) keep=$(echo "${1#*=}" | tr , " "); shift;; esac
[ "$1" = -n ] && shift
for name in $keep; do eval "value=\\$$name"; set -- "$name=$value" "$@"; done
exec env -i "PATH=$PATH" "$@"
"""


def test_others_than_root_go_by_sudo(python, binary, tmp_path):
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / "sudo").write_text(SUDO)
    (bin_directory / "sudo").chmod(0o755)
    (bin_directory / "outport").symlink_to(binary)
    (tmp_path / "test_sample.py").write_text(
        "def test_it(outport):\n"
        "    outport.client('ecs').create_cluster(clusterName='mine')\n"
        "    assert 'mine' in outport.run('status').stdout\n")
    code, said = ended(run(python, "sudo -n outport", tmp_path, env={
        "PATH": f"{bin_directory}:{os.environ['PATH']}"}))
    assert code == 0 and "1 passed" in said, said


def test_what_is_missing_is_said(python, tmp_path):
    (tmp_path / "test_sample.py").write_text("def test_it(outport):\n    pass\n")
    code, said = ended(run(python, "/no/such/outport", tmp_path))
    assert code == 1 and "cannot start /no/such/outport" in said, said
