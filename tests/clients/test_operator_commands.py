"""`outport status`, `ps`, `logs` and `events`: what a person sees, and what a program reads."""

import datetime
import json
import os
import re
import subprocess
import threading

import pytest

from support.wait import until

LOG_OPTIONS = {"awslogs-group": "/ecs/seen", "awslogs-region": "us-east-1",
               "awslogs-stream-prefix": "seen", "awslogs-create-group": "true"}
# The first process of a container is not ended by a signal that it does not handle.
ENDS_AT_ONCE = "trap 'exit 0' TERM;"


def ask(outport, *arguments, env=None, check=True):
    done = subprocess.run([outport.binary, *arguments], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})
    if check:
        assert done.returncode == 0, done.stderr
        return done.stdout
    return done


def local(outport, command, *arguments, **options):
    """As root on the host, with the data directory."""
    return ask(outport, command, "--data-dir", outport.data_dir, *arguments, **options)


@pytest.fixture(scope="module")
def uri(shared_outport):
    return shared_outport.repository_uri("app")


def fargate(outport, uri, family, command=None, logs=True, ports=True):
    container = {"name": "web", "image": f"{uri}:1.0"}
    if command:
        container["command"] = ["sh", "-c", command]
    if logs:
        container["logConfiguration"] = {"logDriver": "awslogs", "options": LOG_OPTIONS}
    if ports:
        container["portMappings"] = [{"containerPort": 8000}]
    return outport.register(family, [container], networkMode="awsvpc", cpu="256", memory="512",
                            requiresCompatibilities=["FARGATE"],
                            executionRoleArn=outport.execution_role())


def run(outport, definition):
    return outport.run(definition, launch_type="FARGATE",
                       networkConfiguration=outport.awsvpc())["taskArn"]


def test_a_task_is_seen_with_its_url_and_its_output(shared_outport, uri):
    outport = shared_outport
    command = f"{ENDS_AT_ONCE} echo begins; echo goes on >&2; httpd -f -p 8000 -h / & wait"
    arn = run(outport, fargate(outport, uri, "seen", command))
    task = outport.reaches(arn, "RUNNING")
    task_id = arn.rsplit("/", 1)[1]
    rows = json.loads(local(outport, "ps", "--json"))
    row = next(row for row in rows if row["taskArn"] == arn)
    assert row["address"] == outport.address(task)
    url, = row["ports"]
    assert url.startswith("http://127.0.0.1:")
    assert (row["status"], row["images"], row["reason"]) == ("RUNNING", [f"{uri}:1.0"], "")
    shown = local(outport, "ps")
    assert shown.startswith("TASK"), shown
    line = next(line for line in shown.splitlines() if line.startswith(task_id[:12]))
    assert outport.address(task) in line and url in line

    for word in ("seen", "family:seen", task_id[:10]):
        assert task_id[:12] in local(outport, "ps", word), word
    nothing = local(outport, "ps", "unseen", check=False)
    assert nothing.returncode == 0 and task_id[:12] not in nothing.stdout
    assert "no task of unseen runs: `outport ps --all`" in nothing.stderr
    assert local(outport, "ps", "--json", "unseen", check=False).stderr == ""

    def lines():
        return local(outport, "logs", task_id[:10]).splitlines()
    until(lambda: sorted(lines()) == ["begins", "goes on"], "both lines are shown")
    assert local(outport, "logs", arn, "--tail", "1").count("\n") == 1
    began = task["startedAt"].timestamp()
    hour = datetime.timezone(datetime.timedelta(hours=1))
    for seconds, expected in ((-60, 2), (3600, 0)):
        since = datetime.datetime.fromtimestamp(began + seconds, hour).isoformat()
        assert local(outport, "logs", arn, "--since", since).count("\n") == expected, since
    first = json.loads(local(outport, "logs", task_id, "--json").splitlines()[0])
    assert (first["task"], first["container"]) == (task_id, "web")

    described = local(outport, "describe", task_id[:10])
    assert described.startswith(f"task        {arn}\n") and url in described, described
    both = json.loads(local(outport, "describe", "--json", arn))
    assert both["task"]["taskArn"] == arn and both["taskDefinition"]["family"] == "seen"

    # `--follow` ends with the task, and says what came meanwhile.
    following = subprocess.Popen([outport.binary, "logs", "--data-dir", outport.data_dir, "-f",
                                  task_id], stdout=subprocess.PIPE, text=True)
    read = []
    reader = threading.Thread(target=lambda: read.extend(following.stdout))
    reader.start()
    until(lambda: len(read) >= 2, "what is there is shown")
    outport.ecs.stop_task(task=arn, reason="seen enough")
    outport.reaches(arn, "STOPPED", 90)
    assert following.wait(timeout=60) == 0
    reader.join()

    assert task_id[:12] not in local(outport, "ps")
    stopped = next(line for line in local(outport, "ps", "--all").splitlines()
                   if line.startswith(task_id[:12]))
    assert "UserInitiated" in stopped and "seen enough" in stopped
    assert any(task_id in line and "seen enough" in line
               for line in local(outport, "events").splitlines())


def test_a_service_is_followed_by_its_events_and_shown_with_its_urls(shared_outport, uri):
    outport = shared_outport
    command = f"{ENDS_AT_ONCE} echo of a family; httpd -f -p 8000 -h / & wait"
    fargate(outport, uri, "followed", command)
    outport.ecs.create_service(cluster="default", serviceName="follow", taskDefinition="followed",
                               desiredCount=1, launchType="FARGATE",
                               networkConfiguration=outport.awsvpc())
    following = subprocess.Popen([outport.binary, "events", "--data-dir", outport.data_dir, "-f", "follow"],
                                 stdout=subprocess.PIPE, text=True)
    try:
        for text in ("has started 1 tasks", "has reached a steady state"):
            assert any(text in line for line in iter(following.stdout.readline, "")), text
        described = local(outport, "describe", "follow")
        assert "PORTS" in described and "http://127.0.0.1:" in described, described
        until(lambda: local(outport, "logs", "family:followed") == "of a family\n", "its line is shown")
        assert local(outport, "logs", "family:followed:1") == "of a family\n"
        assert "has started" in local(outport, "events", "follow", "--since", "1h")
        later = "2100-01-01T00:00:00Z"
        assert json.loads(local(outport, "events", "follow", "--since", later, "--json")) == []
        # It ends quietly once its reader has gone and there is more to say.
        following.stdout.close()
        outport.ecs.update_service(cluster="default", service="follow", desiredCount=0)
        assert following.wait(timeout=90) == 0
    finally:
        following.kill()
        outport.ecs.delete_service(cluster="default", service="follow", force=True)


def test_output_that_is_logged_nowhere_is_read_on_the_host(shared_outport, uri):
    outport = shared_outport
    arn = run(outport, fargate(outport, uri, "nowhere", f"{ENDS_AT_ONCE} echo here; sleep 600 & wait",
                               logs=False))
    outport.reaches(arn, "RUNNING")
    try:
        until(lambda: local(outport, "logs", arn) == "here\n", "its line is shown")
        # From elsewhere it cannot be had, and that is said, also to who follows.
        for follow in ([], ["--follow"]):
            refused = ask(outport, "logs", *follow, arn, env=outport.env(), check=False)
            assert refused.returncode == 1
            assert "has no logConfiguration" in refused.stderr
    finally:
        outport.ecs.stop_task(task=arn)
        outport.reaches(arn, "STOPPED", 90)
    # It is there for who asks why the task ended.
    assert local(outport, "logs", arn) == "here\n"
    assert local(outport, "logs", "--follow", arn) == "here\n"


def test_the_environment_of_the_aws_cli_is_enough(shared_outport):
    outport = shared_outport
    status = json.loads(ask(outport, "status", "--json", env=outport.env()))
    assert status["isReady"] and status["account"] == "000000000000"
    assert [c["name"] for c in status["clusters"]] == ["default"]
    instance = status["instances"][0]
    assert instance["isConnected"] and 0 < instance["cpuFree"] <= instance["cpu"]
    assert json.loads(local(outport, "env", "--format", "json")) == outport.env()
    beside = dict(line.split("=", 1) for line in
                  local(outport, "env", "--services", "--format", "github").splitlines())
    assert "AWS_ENDPOINT_URL" not in beside
    assert json.loads(ask(outport, "status", "--json", env=beside))["isReady"]
    wrong = {**outport.env(), "AWS_SECRET_ACCESS_KEY": "wrong"}
    refused = ask(outport, "ps", env=wrong, check=False)
    assert refused.returncode == 1 and "InvalidSignatureException" in refused.stderr, refused.stderr
    del wrong["AWS_ACCESS_KEY_ID"]
    lacking = {**{name: "" for name in outport.env()}, "AWS_ENDPOINT_URL": outport.url}
    refused = ask(outport, "ps", env=lacking, check=False)
    assert "AWS_REGION is not" in refused.stderr, refused.stderr


def test_a_task_that_did_not_start_says_why(shared_outport, uri):
    outport = shared_outport
    definition = outport.register("lacking", [{"name": "web", "image": f"{uri}:9.9",
                                               "memory": 64}], networkMode="none")
    arn = outport.run(definition)["taskArn"]
    outport.reaches(arn, "STOPPED", 90)
    status = local(outport, "status")
    line = next(line for line in status.splitlines() if line.startswith(arn.rsplit("/", 1)[1][:12]))
    assert "CannotPullContainerError" in line, status


def test_what_is_not_there_is_said(shared_outport, tmp_path):
    outport = shared_outport
    unknown = local(outport, "logs", "no-such-thing", check=False)
    assert unknown.returncode == 1 and "no task and no service is called" in unknown.stderr
    nobody = ask(outport, "status", "--data-dir", tmp_path, check=False)
    assert nobody.returncode == 1 and "start `outport up` first" in nobody.stderr
    away = {**outport.env(), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    gone = ask(outport, "status", env=away, check=False)
    assert gone.returncode == 1
    assert "no answer from http://127.0.0.1:1: does `outport up` run there?" in gone.stderr
    for command in ("status", "ps", "events", "top"):
        none = local(outport, command, "--cluster", "nope", check=False)
        assert none.returncode == 1 and re.search("there is no cluster nope: there (is|are) .*default", none.stderr), none
    none = local(outport, "logs", "family:nope", check=False)
    assert none.returncode == 1 and "no task of the family nope" in none.stderr
    wrong = local(outport, "logs", "x", "--since", "soon", check=False)
    assert wrong.returncode == 2 and "such as 10m" in wrong.stderr


def test_a_reader_that_has_seen_enough_is_no_error(shared_outport):
    outport = shared_outport
    pipe = subprocess.run(["sh", "-c", f"{outport.binary} ps --all --data-dir {outport.data_dir} | head -1; "
                           "echo ${PIPESTATUS:-done}"], capture_output=True, text=True, timeout=60)
    assert pipe.stderr == "", pipe.stderr
    assert pipe.stdout.startswith("TASK")


def test_top_shows_who_uses_the_processor(shared_outport, uri):
    outport = shared_outport
    busy = run(outport, fargate(outport, uri, "busy", f"{ENDS_AT_ONCE} while :; do :; done"))
    idle = run(outport, fargate(outport, uri, "idle", f"{ENDS_AT_ONCE} sleep 600 & wait"))
    try:
        for arn in (busy, idle):
            outport.reaches(arn, "RUNNING")

        def used():
            rows = json.loads(local(outport, "top", "--json", "--interval", "1"))
            return {row["taskArn"]: row for row in rows}
        # A quarter of a core is what it has: on a busy machine it may get less.
        until(lambda: used()[busy]["cpuPercent"] > 3, "the busy one is seen")
        rows = used()
        assert rows[idle]["cpuPercent"] < rows[busy]["cpuPercent"]
        assert rows[idle]["memoryLimitBytes"] == 512 << 20
        assert 0 < rows[idle]["memoryBytes"] < 512 << 20 and rows[idle]["processes"] >= 2
        shown = local(outport, "top", "--once", "--interval", "1").splitlines()
        assert shown[0].split() == ["TASK", "GROUP", "CPU", "MEMORY", "LIMIT", "PROCESSES"], shown
    finally:
        for arn in (busy, idle):
            outport.ecs.stop_task(task=arn)
