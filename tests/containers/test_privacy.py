"""What Outport writes for itself is nobody else's to read: a task's environment, its log, its files."""

import os
import stat
from pathlib import Path


SECRET = "hunter2-of-a-task"


def readable_by_others(top):
    """Every path below `top` that a user who is nobody could come to and open."""
    found = []
    look = [Path(top)]
    while look:
        path = look.pop()
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        if stat.S_ISDIR(mode):
            if mode & 0o055:
                found.append(path)
            if mode & 0o011:
                look += [path / name for name in os.listdir(path)]
        elif mode & 0o066:
            found.append(path)
    return found


def not_private(top):
    """Every file and directory of our own that has a bit for others, wherever it lies. What an image or
    a container filled keeps the modes that those gave it, behind a directory that is closed."""
    theirs = {"layers", "upper", "work", "rootfs"}
    found = []
    for parent, directories, files in os.walk(top):
        directories[:] = [name for name in directories if name not in theirs
                          and not os.path.ismount(os.path.join(parent, name))]
        for name in directories + files:
            path = Path(parent) / name
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # A task comes and goes meanwhile.
                continue
            if mode & 0o077 and not stat.S_ISLNK(mode) and not os.path.ismount(path):
                found.append(f"{path} {stat.filemode(mode)}")
    return found


def test_others_can_read_nothing_of_a_running_outport(outport, app_image):
    # As services get it from systemd, and as a careless shell has it.
    before = os.umask(0)
    try:
        outport.start()
    finally:
        os.umask(before)
    outport.push(app_image, "private", "1.0")
    image = f"{outport.repository_uri('private')}:1.0"
    script = ("umask; id -u; cat /etc/hosts >/dev/null && echo hosts; touch /tmp/mine && ls -l /tmp/mine;"
              "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null;"
              "exec sleep 600")
    definition = outport.register("private", [{
        "name": "main", "image": image, "essential": True, "memory": 64, "user": "1000",
        "command": ["sh", "-c", script], "environment": [{"name": "PASSWORD", "value": SECRET}],
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "/private", "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "t", "awslogs-create-group": "true"}},
    }], networkMode="awsvpc", executionRoleArn=outport.execution_role())
    network = {"awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    task = outport.run(definition, networkConfiguration=network)
    outport.reaches(task["taskArn"], "RUNNING")
    run_dir = Path("/run/outport") / outport.instance()
    intents = list(run_dir.rglob("intent.json"))
    assert intents and SECRET in intents[0].read_text(), "the secret is where it is looked for"
    for top in (run_dir, outport.data_dir):
        assert readable_by_others(top) == []
        assert not_private(top) == []
    # And the container, whose user is nobody's root, lacks nothing for it.
    from support.wait import until
    logs = outport.client("logs")
    stream = f"t/main/{task['taskArn'].split('/')[-1]}"

    def lines():
        events = logs.get_log_events(logGroupName="/private", logStreamName=stream,
                                     startFromHead=True)["events"]
        return [event["message"] for event in events] if len(events) >= 5 else None
    said = until(lines, "it says what it may do", 90)
    assert said[:3] == ["0022", "1000", "hosts"] and said[3].startswith("-rw-r--r--"), said
    assert said[4] == str(64 << 20), said
