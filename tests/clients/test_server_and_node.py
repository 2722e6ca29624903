"""`outport server` and `outport node`: two processes that may go and come back by themselves."""

import contextlib
import glob
import json
import os
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support.containers import WAIT_FOR_GO, go
from support.halves import Halves
from support.wait import until

COUNTER = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done"
GROUP = "/ecs/two-halves"


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
    ends = logged(outport, app_image, f"{WAIT_FOR_GO}seq 1 300; exit 17")
    task = outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    arn = task["taskArn"]

    halves.terminate("node")
    halves.node()
    assert runtime_id(outport.reaches(arn, "RUNNING")) == runtime_id(task)

    ending = outport.reaches(outport.run(ends)["taskArn"], "RUNNING")["taskArn"]
    halves.terminate("server")
    halves.kill("node")
    go((halves.node_dir / "instance").read_text().strip(), ending)
    halves.node(wait=False)
    halves.server()
    ended = outport.reaches(ending, "STOPPED")
    assert ended["containers"][0]["exitCode"] == 17
    # A task may be over before the last of its log is delivered.
    until(lambda: len(messages(outport, ending)) >= 300,
          lambda: f"its log is whole: {messages(outport, ending)}", 90)
    assert messages(outport, ending) == [str(n) for n in range(1, 301)]

    for _ in range(3):
        halves.kill("server")
        halves.server()
    assert runtime_id(outport.reaches(arn, "RUNNING")) == runtime_id(task)
    outport.ecs.stop_task(task=arn)
    outport.reaches(arn, "STOPPED")
    until(lambda: len(messages(outport, arn)) > 50, "its log is long", 90)
    lines = messages(outport, arn)
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)]


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
    until(lambda: "report_not_delivered" in halves.log("node"), "the node works alone")
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
    until(lambda: "node_join_retried" in halves.log("node"), "the node says that it waits", 90)
    assert node.poll() is None
    halves.server()
    until(lambda: "outport node is ready" in halves.log("node"), "the node joins", 90)


SECRET = "deadbeef" * 8


@pytest.mark.parametrize("change, says", [
    (lambda token: "", "is empty"),
    (lambda token: "deadbeef", "no join token"),
    (lambda token: token.split(".")[1], "of an older Outport"),
    (lambda token: token.replace("outport1", "outport2"), "of a newer Outport"),
    (lambda token: ".".join([token.split(".")[0], SECRET, token.split(".")[2]]),
     "does not have this installation's join token"),
    (lambda token: ".".join([*token.split(".")[:2], SECRET]), "is not believed"),
])
def test_a_wrong_join_token_is_refused(halves, outport, tmp_path, change, says):
    halves.server()
    wrong = tmp_path / "wrong-token"
    wrong.write_text(change((outport.data_dir / "join-token").read_text().strip()))
    assert halves.node(wrong, wait=False).wait(timeout=90) == 1
    lines = halves.log("node").strip().splitlines()
    assert len(lines) == 1 and says in lines[0], lines


def test_a_stand_in_for_the_server_is_not_obeyed(halves, outport, binary, tmp_path, app_image):
    """Another installation at the address: it has its own authority, and everything else."""
    halves.server()
    halves.node()
    definition = logged(outport, app_image, COUNTER)
    arn = outport.reaches(outport.run(definition)["taskArn"], "RUNNING")["taskArn"]
    halves.terminate("server")
    port, real = outport.port, outport.data_dir
    stand_in = tmp_path / "stand-in"
    try:
        outport.data_dir = stand_in
        halves.server()
        outport._clients.clear()
        until(lambda: "not believed" in halves.log("node"), "the node says so", 90)
        assert outport.ecs.list_container_instances()["containerInstanceArns"] == []
        halves.terminate("server")
    finally:
        outport.data_dir = real
        outport._clients.clear()
    halves.server()
    assert outport.port == port
    assert outport.reaches(arn, "RUNNING")["taskArn"] == arn, "it ran on"


def call(url, body, context=None):
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_node_link_needs_a_nodes_certificate(halves, outport):
    halves.server()
    halves.node()
    node = (halves.node_dir / "node/node-id").read_text().strip()
    context = ssl.create_default_context(cafile=outport.data_dir / "tls/authority.pem")
    ask = json.dumps({"node": node, "known_generation": 0}).encode()
    for scheme, ssl_context in (("http", None), ("https", context)):
        link = f"{scheme}://127.0.0.1:{outport.port}/_outport/node/v1"
        for name in ("assignment", "register", "report", "logs", "registry-credential",
                     "certificate"):
            status, text = call(f"{link}/{name}", ask, ssl_context)
            assert status == 401 and json.loads(text)["code"] == "no-certificate", (name, text)
    join = {"node": node, "certificate_request": "x", "proof": "00"}
    assert call(f"http://127.0.0.1:{outport.port}/_outport/node/v1/join",
                json.dumps(join).encode())[0] == 401


def test_a_second_machine_cannot_take_a_nodes_place(halves, outport):
    """A copied data directory without the key, and the right token."""
    halves.server()
    halves.node()
    identity = halves.node_dir / "node/identity.pem"
    assert identity.stat().st_mode & 0o777 == 0o600
    halves.terminate("node")
    kept = identity.read_bytes()
    identity.unlink()
    assert halves.node(wait=False).wait(timeout=90) == 1
    last = halves.log("node").strip().splitlines()[-1]
    assert "another key" in last and "deregister-container-instance" in last, last
    identity.write_bytes(kept)
    halves.node()


def test_a_damaged_identity_is_refused_by_its_file(halves, outport):
    halves.server()
    halves.node()
    halves.terminate("node")
    identity = halves.node_dir / "node/identity.pem"
    kept = identity.read_bytes()
    middle = kept.index(b"BEGIN CERTIFICATE") + 300
    identity.write_bytes(kept[:middle] + bytes([kept[middle] ^ 1]) + kept[middle + 1:])
    assert halves.node(wait=False).wait(timeout=90) == 1
    last = halves.log("node").strip().splitlines()[-1]
    assert f"{identity} is damaged" in last and "remove all lines from" in last, last
    # What the line says.
    identity.write_bytes(kept[:kept.index(b"-----BEGIN CERTIFICATE")])
    halves.node()


def test_a_node_is_told_to_write_https(halves, outport):
    halves.server()
    ended = subprocess.run(
        [outport.binary, "node", "--data-dir", halves.node_dir, "--server",
         f"http://127.0.0.1:{outport.port}", "--join-token-file", outport.data_dir / "join-token"],
        capture_output=True, text=True, timeout=90)
    assert ended.returncode == 1
    assert f"write https://127.0.0.1:{outport.port}" in ended.stderr, ended.stderr


def test_the_servers_log_says_who_is_refused_once(halves, outport):
    halves.server()
    halves.node()
    context = ssl.create_default_context(cafile=outport.data_dir / "tls/authority.pem")
    link = f"127.0.0.1:{outport.port}/_outport/node/v1"
    for _ in range(3):
        assert call(f"http://{link}/report", b"{}")[0] == 401
        assert call(f"https://{link}/join", b"{", context)[0] == 400
    # A node's name in a handshake, and a peer that does not know our authority.
    stranger = ssl.create_default_context()
    for _ in range(3):
        with pytest.raises(ssl.SSLError), \
                socket.create_connection(("127.0.0.1", outport.port), timeout=30) as stream:
            stranger.wrap_socket(stream, server_hostname="control-plane.outport.internal")
    until(lambda: "node_handshake_failed" in halves.log("server"), "it is said", 90)
    lines = halves.log("server").splitlines()
    for event, words in (("node_refused", "over TLS"), ("node_join_refused", "EOF while parsing"),
                         ("node_handshake_failed", "give it the file join-token")):
        (line,) = [line for line in lines if f'event="{event}"' in line]
        assert words in line and "127.0.0.1:" in line, line


def test_a_node_that_is_deregistered_ends_and_its_containers_run_on(halves, outport, app_image):
    halves.server()
    node = halves.node()
    definition = logged(outport, app_image, COUNTER)
    arn = outport.reaches(outport.run(definition)["taskArn"], "RUNNING")["taskArn"]
    instance = outport.ecs.list_container_instances()["containerInstanceArns"][0]
    with pytest.raises(outport.ecs.exceptions.InvalidParameterException, match="running tasks"):
        outport.ecs.deregister_container_instance(containerInstance=instance)
    outport.aws("ecs", "deregister-container-instance", "--container-instance", instance, "--force")
    assert node.wait(timeout=90) == 1
    last = halves.log("node").strip().splitlines()[-1]
    assert "was deregistered" in last and "outport cleanup" in last, last
    task = outport.ecs.describe_tasks(tasks=[arn])["tasks"][0]
    assert task["lastStatus"] == "STOPPED" and "deregistered" in task["stoppedReason"], task
    assert containers_of(halves.node_dir, arn), "orphaned, as at AWS"

    assert halves.node(wait=False).wait(timeout=90) == 1, "its key is revoked"
    (halves.node_dir / "node/identity.pem").unlink()
    halves.node()
    until(lambda: not containers_of(halves.node_dir, arn), "what it should not run is gone", 60)
    until(lambda: outport.connected_instances(), "it takes tasks again")
    outport.reaches(outport.run(definition)["taskArn"], "RUNNING")


def containers_of(node_dir, arn):
    """Processes in the control groups of a task, which may go while we look."""
    instance, task = (node_dir / "instance").read_text().strip(), arn.rsplit("/", 1)[1]
    groups = glob.glob(f"/sys/fs/cgroup/**/outport-{instance}/{task}/*/cgroup.procs",
                       recursive=True)
    processes = []
    for group in groups:
        with contextlib.suppress(OSError):
            processes += Path(group).read_text().split()
    return processes


def test_a_node_talks_over_one_connection(halves, outport, app_image):
    halves.server()
    node = halves.node()
    definition = logged(outport, app_image, COUNTER)
    arns = [outport.run(definition)["taskArn"] for _ in range(3)]
    for arn in arns:
        outport.reaches(arn, "RUNNING")
    for arn in arns:
        until(lambda: len(messages(outport, arn)) > 20, "its log grows")
    until(lambda: len(connections(node.pid, outport.port)) == 1, "pulls are over", 60)


def connections(pid, port):
    """Established connections of a process to a port on loopback."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [fields for fields in lines if fields[2] == f"0100007F:{port:04X}"
            and fields[3] == "01" and fields[9] in sockets]


def test_a_node_shows_what_its_tasks_wrote_that_crashed(halves, outport, app_image):
    halves.server()
    halves.node()
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register("crashes", [{
        "name": "main", "image": f"{uri}:1.0", "memory": 32,
        "command": ["sh", "-c", "echo I crashed >&2; exit 3"]}], networkMode="none")
    arn = outport.run(definition)["taskArn"]
    outport.reaches(arn, "STOPPED")
    task = arn.rsplit("/", 1)[1]
    no_aws = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    def ask(*words, env=no_aws):
        return subprocess.run([outport.binary, *words, "--data-dir", halves.node_dir], timeout=60,
                              env=env, capture_output=True, text=True)
    for follow in ([], ["--follow"]):
        assert ask("logs", *follow, task[:12]).stdout == "I crashed\n"
    assert ask("logs", task, env={**no_aws, **outport.env()}).stdout == "I crashed\n"
    # Another agent still has it, and a node needs nobody for that.
    halves.terminate("node")
    halves.node()
    halves.terminate("server")
    assert ask("logs", arn).stdout == "I crashed\n"
    refused = ask("top", "--once")
    assert refused.returncode == 1
    assert f"AWS_ENDPOINT_URL=https://127.0.0.1:{outport.port}" in refused.stderr, refused.stderr
    halves.terminate("node")
    cleaned = subprocess.run([outport.binary, "cleanup", "--data-dir", halves.node_dir], timeout=60,
                             capture_output=True, text=True)
    assert "removed what containers wrote whose tasks are over" in cleaned.stdout, cleaned
    assert "no task whose id begins with" in ask("logs", arn).stderr
