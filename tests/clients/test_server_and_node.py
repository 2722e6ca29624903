"""`outport server` and `outport node`: two processes that may go and come back by themselves."""

import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support.wait import until

COUNTER = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done"
GROUP = "/ecs/two-halves"


class Halves:
    """A server and a node of one test, each with its data directory and its log."""

    def __init__(self, outport):
        self.outport = outport
        self.node_dir = outport.directory / "node"
        self.running = {}

    def server(self):
        self._run("server", "--data-dir", self.outport.data_dir, "--listen",
                  f"127.0.0.1:{self.outport.port}", "--default-vpc-cidr", self.outport.vpc_cidr)
        until(self._is_healthy, "the server answers", 30)

    def node(self, join_token_file=None, wait=True):
        ready_before = self.log("node").count("outport node is ready")
        token = join_token_file or self.outport.data_dir / "join-token"
        process = self._run("node", "--data-dir", self.node_dir, "--server", self.outport.url,
                            "--join-token-file", token)
        if wait:
            until(lambda: self.log("node").count("outport node is ready") > ready_before,
                  "the node is ready", 30)
        return process

    def _run(self, half, *options):
        with self.log_path(half).open("ab") as log:
            self.running[half] = subprocess.Popen(
                [self.outport.binary, half, *options], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        return self.running[half]

    def _is_healthy(self):
        assert self.running["server"].poll() is None, self.log("server")
        try:
            with urllib.request.urlopen(f"{self.outport.url}/_outport/health") as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False

    def terminate(self, half):
        self.running[half].terminate()
        assert self.running[half].wait(timeout=30) == 0, self.log(half)

    def kill(self, half):
        self.running[half].kill()
        self.running[half].wait()

    def log_path(self, half):
        return self.outport.directory / f"{half}.log"

    def log(self, half):
        path = self.log_path(half)
        return path.read_text(errors="replace") if path.exists() else ""

    def destroy(self):
        for half, process in self.running.items():
            if process.poll() is None:
                self.kill(half)
        for directory in (self.node_dir, self.outport.data_dir):
            if (directory / "instance").exists():
                subprocess.run([self.outport.binary, "cleanup", "--data-dir", directory],
                               check=True, capture_output=True)


@pytest.fixture
def halves(outport):
    halves = Halves(outport)
    yield halves
    halves.destroy()


def logged(outport, image, command):
    uri = outport.push(image, "app", "1.0")
    return outport.register("logged", [{
        "name": "main", "image": f"{uri}:1.0", "memory": 32, "stopTimeout": 2,
        "command": ["sh", "-c", command],
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": GROUP, "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "t", "awslogs-create-group": "true"}}}], networkMode="none")


def messages(outport, arn):
    """Every line of the task's stream, in order."""
    pages = outport.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=GROUP, logStreamNames=[f"t/main/{arn.rsplit('/', 1)[1]}"])
    return [event["message"] for page in pages for event in page["events"]]


def runtime_id(task):
    return task["containers"][0]["runtimeId"]


def test_a_server_without_nodes_fails_placement_as_aws_does(halves, outport, app_image):
    halves.server()
    assert [arn.rsplit("/", 1)[1] for arn in outport.ecs.list_clusters()["clusterArns"]] == \
        ["default"]
    definition = logged(outport, app_image, "true")
    with pytest.raises(outport.ecs.exceptions.InvalidParameterException,
                       match="No Container Instances were found in your cluster"):
        outport.ecs.run_task(taskDefinition=definition, launchType="EC2")


def test_tasks_outlive_either_half(halves, outport, app_image):
    halves.server()
    halves.node()
    definition = logged(outport, app_image, COUNTER)
    ends = logged(outport, app_image, "sleep 3; seq 1 300; exit 17")
    task = outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    arn = task["taskArn"]

    halves.terminate("node")
    halves.node()
    assert runtime_id(outport.reaches(arn, "RUNNING")) == runtime_id(task)

    ending = outport.reaches(outport.run(ends)["taskArn"], "RUNNING")["taskArn"]
    halves.terminate("server")
    halves.kill("node")
    halves.node(wait=False)
    halves.server()
    ended = outport.reaches(ending, "STOPPED")
    assert ended["containers"][0]["exitCode"] == 17
    assert until(lambda: messages(outport, ending), "its log") == [str(n) for n in range(1, 301)]

    for _ in range(3):
        halves.kill("server")
        halves.server()
    assert runtime_id(outport.reaches(arn, "RUNNING")) == runtime_id(task)
    outport.ecs.stop_task(task=arn)
    outport.reaches(arn, "STOPPED")
    lines = messages(outport, arn)
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)] and len(lines) > 50


def test_a_task_that_begins_while_the_server_is_away_waits_for_it(halves, outport, app_image):
    """The node has its assignment; log streams, passwords and images are the server's."""
    halves.server()
    halves.node()
    definition = logged(outport, app_image, COUNTER)
    halves.running["node"].send_signal(signal.SIGSTOP)
    task = outport.run(definition)
    until(lambda: unread_from(outport.port), "the assignment is at the node")
    halves.kill("server")
    halves.running["node"].send_signal(signal.SIGCONT)
    until(lambda: "report not delivered" in halves.log("node"), "the node works alone")
    halves.server()
    outport.reaches(task["taskArn"], "RUNNING")


def unread_from(port):
    """Bytes that a client of `port` has got and not read, by /proc/net/tcp."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(fields[4].split(":")[1], 16) for fields in lines
               if fields[2] == f"0100007F:{port:04X}")


def test_a_node_waits_for_its_server(halves, outport, app_image):
    halves.server()
    halves.terminate("server")
    node = halves.node(wait=False)
    until(lambda: "cannot join yet" in halves.log("node"), "the node says that it waits", 20)
    assert node.poll() is None
    halves.server()
    until(lambda: "outport node is ready" in halves.log("node"), "the node joins", 30)


@pytest.mark.parametrize("token, says", [("deadbeef" * 8, "join token"), ("", "is empty")])
def test_a_wrong_join_token_is_refused(halves, outport, tmp_path, token, says):
    halves.server()
    wrong = tmp_path / "wrong-token"
    wrong.write_text(token)
    assert halves.node(wrong, wait=False).wait(timeout=30) == 1
    lines = halves.log("node").strip().splitlines()
    assert len(lines) == 1 and says in lines[0], lines
