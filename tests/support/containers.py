"""A container as its host sees it, whether or not its Outport runs."""

import json
from pathlib import Path

from support.wait import until

# What a shell command begins with that is to go on only when the test says so.
WAIT_FOR_GO = "until [ -e /go ]; do sleep 0.1; done; "


def process_of(instance, arn):
    """The first process of the task's container `main`, by its number on the host."""
    record = Path("/run/outport") / instance / "c" / f"{arn.rsplit('/', 1)[1]}.main" / "pid"
    return json.loads(record.read_text())["container_pid"]


def go(instance, arn):
    """Lets a container go on that waits for it, and waits until it has ended."""
    process = Path(f"/proc/{process_of(instance, arn)}")
    (process / "root/go").touch()
    until(lambda: not process.exists(), "the container has ended")
