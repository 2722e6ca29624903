"""What keeps a container is stopped, killed, or loses its directory: tasks stop, are found, and start."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from support.wait import until


def image(outport, app_image):
    outport.push(app_image, "app", "1.0")
    return f"{outport.repository_uri('app')}:1.0"


def start(outport, uri, command, wait="RUNNING", network_mode="none", **container):
    definition = outport.register("keeper", [{
        "name": "main", "image": uri, "memory": 64, "essential": True, "stopTimeout": 2,
        "command": ["sh", "-c", command], **container}], networkMode=network_mode)
    task = outport.run(definition)
    outport.reaches(task["taskArn"], wait)
    return task["taskArn"]


def run_dir(outport):
    return Path("/run/outport") / outport.instance()


def shim_of(outport, arn):
    import json
    task = arn.rsplit("/", 1)[1]
    return json.loads((run_dir(outport) / "c" / f"{task}.main" / "pid").read_text())["shim_pid"]


def exit_code(outport, arn):
    task = outport.reaches(arn, "STOPPED", 60)
    return task["containers"][0].get("exitCode")


def test_a_task_whose_shim_is_stopped_or_killed_gets_stopped(outport, app_image):
    outport.start()
    uri = image(outport, app_image)
    deaf, polite, bare = (start(outport, uri, script) for script in (
        "trap '' TERM; while true; do sleep 0.1; done",
        "trap 'exit 5' TERM; while true; do sleep 0.1; done", "sleep 600"))
    for arn in (deaf, polite):
        os.kill(shim_of(outport, arn), signal.SIGSTOP)
        outport.ecs.stop_task(task=arn)
    os.kill(shim_of(outport, bare), signal.SIGKILL)
    # What is known of the end: its own code, or that of the kill.
    assert (exit_code(outport, polite), exit_code(outport, deaf)) == (5, 137)
    outport.reaches(bare, "STOPPED", 90)
    outport.stop()
    outport.assert_nothing_left()


@pytest.mark.parametrize("restart", [False, True])
def test_a_cleaned_run_directory_costs_nothing(outport, app_image, restart):
    outport.start()
    uri = image(outport, app_image)
    polite = start(outport, uri, "trap 'exit 5' TERM; while true; do sleep 0.1; done",
                   network_mode="bridge")
    ends = start(outport, uri, "until [ -e /go ]; do sleep 0.1; done; exit 6")
    if restart:
        outport.kill()
    # As a cleaner of temporary files does it: what is busy stays.
    shutil.rmtree(run_dir(outport), ignore_errors=True)
    if restart:
        outport.start()
    for arn in (polite, ends):
        assert outport.task(arn)["lastStatus"] == "RUNNING"
    assert exit_code(outport, start(outport, uri, "exit 7", wait="STOPPED")) == 7
    outport.ecs.stop_task(task=polite)
    assert exit_code(outport, polite) == 5
    if not restart:
        outport.kill()
        outport.start()
        assert outport.task(ends)["lastStatus"] == "RUNNING"
    outport.ecs.stop_task(task=ends)
    assert exit_code(outport, ends) == 137
    outport.stop()
    outport.assert_nothing_left()


def logging(group, **options):
    return {"logDriver": "awslogs", "options": {
        "awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
        **options}}


def lines_of(outport, group, arn):
    logs = outport.client("logs")
    stream, token, lines = f"p/main/{arn.rsplit('/', 1)[1]}", None, []
    while True:
        more = {"nextToken": token} if token else {}
        try:
            page = logs.get_log_events(logGroupName=group, logStreamName=stream,
                                       startFromHead=True, **more)
        except logs.exceptions.ResourceNotFoundException:
            return lines
        lines += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            return lines
        token = page["nextForwardToken"]


@pytest.mark.parametrize("create", ["true", "false"])
def test_a_deleted_log_group_is_waited_for_and_nothing_comes_twice(outport, app_image, create):
    outport.start()
    uri, logs, group = image(outport, app_image), outport.client("logs"), "/gone"
    logs.create_log_group(logGroupName=group)
    script = "i=0; while true; do i=$((i+1)); echo $i $(head -c 900 /dev/zero | tr '\\0' x); done"
    options = {"awslogs-create-group": create, "mode": "blocking"}
    arn = start(outport, uri, script, logConfiguration=logging(group, **options))
    until(lambda: len(lines_of(outport, group, arn)) > 50, "lines come", 90)
    before = lines_of(outport, group, arn)
    logs.delete_log_group(logGroupName=group)
    if create == "false":
        logs.create_log_group(logGroupName=group)
    numbers = lambda: [int(line.split()[0]) for line in lines_of(outport, group, arn)]
    after = until(numbers, "lines come again", 90)
    assert after[0] > len(before) and after == list(range(after[0], after[0] + len(after)))
    outport.kill()
    outport.start()
    count = len(after)
    after = until(lambda: (n := numbers()) and len(n) > count and n, "and after a restart", 90)
    assert after == list(range(after[0], after[0] + len(after)))
    outport.stop()


def test_a_long_line_is_cut_between_characters(outport, app_image):
    outport.start()
    uri, group = image(outport, app_image), "/long"
    script = "awk 'BEGIN{printf \"x\"; for(i=0;i<200000;i++) printf \"\\303\\251\"; printf \"\\n\"}'"
    options = {"awslogs-create-group": "true"}
    arn = start(outport, uri, script, wait="STOPPED", logConfiguration=logging(group, **options))
    whole = "x" + "é" * 200000
    until(lambda: len("".join(lines_of(outport, group, arn))) >= len(whole), "it is delivered", 90)
    lines = lines_of(outport, group, arn)
    assert "".join(lines) == whole
    assert [len(line.encode()) for line in lines] == [262_117, 400_001 - 262_117]
    outport.stop()
