"""How containers start, run and end, through the API, on real containers."""

import pytest

from support.wait import until


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


END = "the end"


def run(outport, command, wait="STOPPED", network_mode="none", extra=None, **container):
    """One container of the app image running a shell command."""
    uri = outport.repository_uri("app")
    containers = [{"name": "main", "image": f"{uri}:1.0", "memory": 64,
                   "command": ["sh", "-c", command], "stopTimeout": 2, **container}]
    definition = outport.register("life", containers + (extra or []), networkMode=network_mode)
    return outport.reaches(outport.run(definition)["taskArn"], wait)


def output(outport, command, **container):
    """What a command printed, by CloudWatch Logs, to its end."""
    options = {"awslogs-group": "/life", "awslogs-region": "us-east-1",
               "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}
    task = run(outport, f"trap 'echo {END}' EXIT; {command}",
               logConfiguration={"logDriver": "awslogs", "options": options}, **container)
    stream = f"p/main/{task['taskArn'].rsplit('/', 1)[1]}"

    def printed():
        events = outport.client("logs").get_log_events(
            logGroupName="/life", logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]
    # A task may be over before the last of its log is delivered.
    until(lambda: printed()[-1:] == [END], lambda: f"its log is whole: {printed()}", 90)
    return "\n".join(printed()[:-1])


def main(task):
    return next(c for c in task["containers"] if c["name"] == "main")


@pytest.mark.parametrize("command, code", [("exit 0", 0), ("exit 3", 3),
                                           ("sh -c 'kill -9 $$'; exit $?", 137),
                                           ("sh -c 'kill -15 $$'; exit $?", 143)])
def test_exit_codes(outport, command, code):
    task = run(outport, command)
    assert main(task)["exitCode"] == code
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"


def test_stop_sends_sigterm_and_then_sigkill(outport):
    polite = run(outport, "trap 'exit 5' TERM; while true; do sleep 0.1; done", wait="RUNNING")
    deaf = run(outport, "trap '' TERM; while true; do sleep 0.1; done", wait="RUNNING")
    for task in (polite, deaf):
        outport.ecs.stop_task(task=task["taskArn"], reason="enough")
    polite, deaf = (outport.reaches(t["taskArn"], "STOPPED") for t in (polite, deaf))
    assert (main(polite)["exitCode"], main(deaf)["exitCode"]) == (5, 137)
    assert polite["stopCode"] == "UserInitiated" and polite["stoppedReason"] == "enough"
    assert (deaf["stoppedAt"] - deaf["stoppingAt"]).total_seconds() >= 2


def test_a_container_that_outgrows_its_memory_is_killed(outport):
    task = run(outport, "head -c 200m /dev/zero | tail -c 200m > /dev/null; exit $?", memory=32)
    container = main(task)
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_a_command_that_does_not_exist(outport):
    uri = outport.repository_uri("app")
    definition = outport.register("broken", [{"name": "main", "image": f"{uri}:1.0", "memory": 64,
                                              "command": ["/no/such/program"]}], networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert main(task)["reason"].startswith("CannotStartContainerError")
    assert "exitCode" not in main(task)


def test_an_image_that_does_not_exist(outport):
    uri = outport.repository_uri("app")
    definition = outport.register("missing", [{"name": "main", "image": f"{uri}:no-such-tag",
                                               "memory": 64}], networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert main(task)["reason"].startswith("CannotPullContainerError")
    assert "not found" in main(task)["reason"]


def test_a_side_container_may_end_and_an_essential_one_may_not(outport):
    uri = outport.repository_uri("app")
    side = {"name": "side", "image": f"{uri}:1.0", "memory": 64, "essential": False,
            "command": ["sh", "-c", "exit 9"]}
    task = run(outport, "sleep 600", wait="RUNNING", extra=[side])
    arn = task["taskArn"]
    def side_code():
        containers = outport.task(arn)["containers"]
        return next(c for c in containers if c["name"] == "side").get("exitCode")
    assert until(side_code, "the side container ended") == 9
    assert outport.task(arn)["lastStatus"] == "RUNNING"
    outport.ecs.stop_task(task=arn)
    outport.reaches(arn, "STOPPED")


def test_environment_user_directory_and_command(outport):
    text = output(outport, "echo $GREETING; id -u; id -g; pwd; echo $AWS_EXECUTION_ENV; exit 0",
                  environment=[{"name": "GREETING", "value": "hello"}], user="app",
                  workingDirectory="/www")
    assert text.splitlines() == ["hello", "1000", "1000", "/www", "AWS_ECS_EC2"]


def test_overrides(outport):
    uri = outport.repository_uri("app")
    definition = outport.register("over", [{"name": "main", "image": f"{uri}:1.0", "memory": 64,
                                            "command": ["sh", "-c", "exit 1"]}], networkMode="none")
    task = outport.run(definition, overrides={"containerOverrides": [
        {"name": "main", "command": ["sh", "-c", "exit $CODE"],
         "environment": [{"name": "CODE", "value": "42"}]}]})
    assert main(outport.reaches(task["taskArn"], "STOPPED"))["exitCode"] == 42


def test_a_read_only_root_and_ulimits(outport):
    assert output(outport, "touch /x 2>/dev/null && echo writable || echo read-only; ulimit -n",
                  readonlyRootFilesystem=True,
                  ulimits=[{"name": "nofile", "softLimit": 123, "hardLimit": 456}],
                  ).splitlines() == ["read-only", "123"]


def test_isolation(outport):
    """Capabilities, seccomp, masked paths, processes: what Docker's defaults allow."""
    status = output(outport, "grep -E '^(CapEff|Seccomp):' /proc/self/status; "
                             "head -c 10 /proc/kcore 2>/dev/null | wc -c; "
                             "mount -t tmpfs x /tmp 2>/dev/null && echo mounted; "
                             "ps | wc -l; ls /proc/sys/kernel/hostname >/dev/null && "
                             "(echo x > /proc/sys/kernel/hostname) 2>/dev/null && echo writable; "
                             "true")
    lines = status.splitlines()
    assert lines[0].split() == ["CapEff:", "00000000a80425fb"]
    assert lines[1].split() == ["Seccomp:", "2"]
    assert lines[2] == "0"
    assert "mounted" not in status and "writable" not in status
    assert int(lines[3]) < 10


def test_a_fork_bomb_meets_the_process_limit(outport):
    task = run(outport, "i=0; while [ $i -lt 9000 ]; do sleep 600 & i=$((i+1)); done; exit 0",
               memory=1024)
    assert main(task)["exitCode"] not in (0, 137), "its shell could not fork"


def test_the_task_limit_bites_on_all_containers_together(outport):
    uri = outport.repository_uri("app")
    hungry = ("head -c 100m /dev/zero | tail -c 100m > /dev/null")
    containers = [{"name": name, "image": f"{uri}:1.0", "command": ["sh", "-c", hungry]}
                  for name in ("main", "other")]
    definition = outport.register("both", containers, networkMode="none", memory="128")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert any(c.get("exitCode") == 137 for c in task["containers"]), task["containers"]


def test_cpu_is_limited(outport):
    """A quarter of a core: a second of work takes about four."""
    uri = outport.repository_uri("app")
    spin = "i=0; while true; do i=$((i+1)); done"
    definition = outport.register("spin", [{"name": "main", "image": f"{uri}:1.0",
                                            "command": ["sh", "-c", spin]}],
                                  networkMode="none", cpu="256", memory="64")
    task = outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    task_id = task["taskArn"].rsplit("/", 1)[1]
    throttled = lambda: _throttled(outport.instance(), task_id)
    # On a busy host it may seldom get a quarter of a core: being held back once shows the limit.
    until(lambda: throttled() > 0, "the kernel holds the task back", 180)
    outport.ecs.stop_task(task=task["taskArn"])
    outport.reaches(task["taskArn"], "STOPPED")


def _throttled(instance, task_id):
    import glob
    for path in glob.glob(f"/sys/fs/cgroup/**/outport-{instance}/{task_id}/cpu.stat", recursive=True):
        for line in open(path):
            if line.startswith("nr_throttled"):
                return int(line.split()[1])
    return 0
