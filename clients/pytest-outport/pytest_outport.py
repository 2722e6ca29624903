"""pytest fixtures for tests with an Outport of their own. See README.md."""

import json
import os
import shlex
import subprocess
import sys

import boto3
import pytest

# What `outport run` sets for its command.
NAMES = ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
         "AWS_SECRET_ACCESS_KEY", "AWS_CA_BUNDLE", "OUTPORT_DATA_DIR"]
FIXTURES = {"outport", "outport_boto3", "outport_environment"}
# Says the environment, waits for the end of the session, and ends as the session did.
KEEPER = f"""
import json, os, sys
names = {NAMES!r}
print(json.dumps({{name: os.environ[name] for name in names if name in os.environ}}), flush=True)
sys.exit(1 if "failed" in sys.stdin.read() else 0)
"""
STOP_PATIENCE_S = 120
TASKS_SHOWN = 10
LINES_SHOWN = 50


class Outport:
    """An Outport that runs."""

    def __init__(self, command, environment):
        self.command = command
        self.environment = environment

    @property
    def endpoint_url(self):
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def region(self):
        return self.environment["AWS_REGION"]

    def client(self, service, **options):
        """A client of boto3 that asks this Outport."""
        own = self.environment
        return boto3.client(service, **{
            "endpoint_url": self.endpoint_url, "region_name": self.region,
            "aws_access_key_id": own["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": own["AWS_SECRET_ACCESS_KEY"],
            "verify": own.get("AWS_CA_BUNDLE"), **options})

    def subnets(self):
        """Those of the default VPC."""
        return [subnet["SubnetId"] for subnet in self.client("ec2").describe_subnets()["Subnets"]]

    def run(self, *arguments, check=True, **options):
        """A command of `outport`, with this one; its completed process, with what it wrote."""
        command = list(self.command)
        if command[:1] == ["sudo"]:
            command[1:1] = ["--preserve-env=" + ",".join(self.environment)]
        done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True,
                              env={**os.environ, **self.environment}, **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"outport {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done

    def load_image(self, source, target):
        """Loads an image as `outport image load` does; what a task definition calls it."""
        return self.run("image", "load", source, target).stdout.strip()

    def tasks(self):
        """A line for each task, those that run first."""
        ecs = self.client("ecs")
        for cluster in ecs.list_clusters()["clusterArns"]:
            for status in ["RUNNING", "STOPPED"]:
                arns = ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
                tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
                for task in tasks:
                    reasons = [task.get("stoppedReason")]
                    for container in task["containers"]:
                        code = container.get("exitCode")
                        reasons.append(container.get("reason"))
                        reasons.append(f"{container['name']} exited with {code}" if code else None)
                    words = [task["taskArn"].rsplit("/", 1)[1], task["lastStatus"], task["group"],
                             *filter(None, reasons)]
                    yield "  ".join(words)


def pytest_addoption(parser):
    group = parser.getgroup("outport")
    group.addoption("--outport-endpoint", metavar="URL", default=os.environ.get("OUTPORT_ENDPOINT"),
                    help="use the Outport that runs there, with the credentials of the environment")
    group.addoption("--outport-command", metavar="COMMAND", default=os.environ.get("OUTPORT_COMMAND"),
                    help="how outport is called, such as 'sudo -n outport'")
    group.addoption("--outport-logs", metavar="DIR",
                    help="where the logs of an Outport go that was started for tests which failed")


@pytest.fixture(scope="session")
def outport(request):
    """The Outport of this session."""
    config = request.config
    command = config.getoption("--outport-command")
    command = shlex.split(command) if command else usual_command()
    environment = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    endpoint = config.getoption("--outport-endpoint")
    if endpoint:
        environment["AWS_ENDPOINT_URL"] = endpoint
        # That is of another one.
        environment.pop("OUTPORT_DATA_DIR", None)
    elif not {"AWS_ENDPOINT_URL", "OUTPORT_DATA_DIR"} <= environment.keys():
        yield from started(command, request.session, config.getoption("--outport-logs"))
        return
    missing = {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} - environment.keys()
    if missing:
        pytest.fail(f"{endpoint} is asked with what `outport env` prints: {', '.join(sorted(missing))} "
                    "is not in the environment", pytrace=False)
    yield remember(config, Outport(command, environment))


def usual_command():
    return ["outport"] if os.geteuid() == 0 else ["sudo", "-n", "outport"]


def started(command, session, logs):
    """One of its own, which ends with this process at the latest: its standard input does."""
    options = ["--logs", os.path.abspath(logs)] if logs else []
    try:
        process = subprocess.Popen(
            [*command, "run", *options, "--", sys.executable, "-c", KEEPER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        pytest.fail(f"cannot start {' '.join(command)}: {error}", pytrace=False)
    said = process.stdout.readline()
    if not said:
        process.wait()
        pytest.fail(f"`{' '.join(command)} run` ended with {process.returncode}; it says why on "
                    "standard error", pytrace=False)
    yield remember(session.config, Outport(command, json.loads(said)))
    process.communicate("failed" if session.testsfailed else "", timeout=STOP_PATIENCE_S)


def remember(config, outport):
    """For the reports of failed tests."""
    config.stash[OUTPORT] = outport
    return outport


OUTPORT = pytest.StashKey()


@pytest.fixture
def outport_boto3(outport):
    """A function that makes clients of boto3: `outport_boto3("ecs")`."""
    return outport.client


@pytest.fixture
def outport_environment(outport, monkeypatch):
    """The environment of the test leads to the Outport; answers what was set."""
    for name in NAMES + ["AWS_PROFILE", "AWS_SESSION_TOKEN"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in outport.environment.items():
        monkeypatch.setenv(name, value)
    return outport.environment


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    outport = item.config.stash.get(OUTPORT, None)
    if not report.failed or outport is None or not FIXTURES & set(item.fixturenames):
        return
    try:
        lines = list(outport.tasks())
    except Exception as error:  # It is the test that failed; this is said beside.
        lines = [f"cannot be asked: {error}"]
    if not lines:
        return
    report.sections.append(("tasks of Outport", "\n".join(lines)))
    for line in lines[:TASKS_SHOWN]:
        task = line.split()[0]
        try:
            done = outport.run("logs", task, "--tail", LINES_SHOWN, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return
        if done.stdout:
            report.sections.append((f"output of task {task}", done.stdout))
