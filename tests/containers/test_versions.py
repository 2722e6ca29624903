"""Records of other versions, and damaged ones: no container ends for what is the matter with a file."""

import json
from pathlib import Path

import pytest

from support import containers
from support.wait import until

SCRIPT = "trap 'exit 7' TERM; i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done"
GROUP = "/versions"


def start(outport, uri, network_mode):
    container = {"name": "main", "image": f"{uri}:1.0", "memory": 64, "stopTimeout": 20,
                 "command": ["sh", "-c", SCRIPT],
                 "logConfiguration": {"logDriver": "awslogs", "options": {
                     "awslogs-group": GROUP, "awslogs-region": "us-east-1",
                     "awslogs-stream-prefix": "v", "awslogs-create-group": "true"}}}
    options = {}
    if network_mode == "awsvpc":
        options["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    definition = outport.register("versions", [container], networkMode=network_mode)
    arn = outport.run(definition, **options)["taskArn"]
    outport.reaches(arn, "RUNNING")
    return arn


def records(outport, arn):
    """The two copies of a task's record."""
    task = arn.rsplit("/", 1)[1]
    return [outport.data_dir / "node/tasks" / task / "task.json",
            Path("/run/outport") / outport.instance() / "tasks" / f"{task}.json"]


def process_of(outport, arn):
    """The container's process, and when it began."""
    process = containers.process_of(outport.instance(), arn)
    stat = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return process, stat[19]


def ids_given_out(outport):
    directory = Path("/run/outport") / outport.instance() / "ids"
    return {path.name for path in directory.iterdir()} if directory.exists() else set()


def lines(outport, arn):
    stream = f"v/main/{arn.rsplit('/', 1)[1]}"
    pages = outport.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=GROUP, logStreamNames=[stream])
    return [int(event["message"]) for page in pages for event in page["events"]]


def all_have_written(outport, tasks):
    until(lambda: all(len(lines(outport, arn)) > 10 for arn in tasks), "each has written some lines")


def exit_code(outport, arn):
    return outport.reaches(arn, "STOPPED")["containers"][0].get("exitCode")


def test_a_task_of_a_newer_version_is_left_alone_until_that_version_is_back(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    modes = ("awsvpc", "bridge", "none")
    tasks = [start(outport, uri, mode) for mode in modes]
    all_have_written(outport, tasks)
    before = {arn: process_of(outport, arn) for arn in tasks}
    ids = ids_given_out(outport)
    outport.kill()
    good = {path: path.read_bytes() for arn in tasks for path in records(outport, arn)}
    future = json.dumps({"version": 3, "parts": [{"kind": "assignment", "of": "tomorrow"}]})
    for path in good:
        path.write_text(future)
    outport.start()
    assert outport.log().count("is not understood") == len(tasks), outport.log()
    # It is there, and as far as anybody knows it runs; new tasks start beside it, with ids of their own.
    new = start(outport, uri, "none")
    for arn in tasks:
        assert outport.task(arn)["lastStatus"] == "RUNNING"
        assert process_of(outport, arn) == before[arn]
        assert [path.read_text() for path in records(outport, arn)] == [future] * 2
    assert ids <= ids_given_out(outport)
    assert containers.process_of(outport.instance(), new) not in [one for one, _ in before.values()]
    # An order cannot be followed by who does not understand the task; nothing is made up.
    outport.ecs.stop_task(task=tasks[0])
    outport.ecs.stop_task(task=new)
    outport.reaches(new, "STOPPED")
    assert outport.task(tasks[0])["lastStatus"] == "RUNNING"
    assert process_of(outport, tasks[0]) == before[tasks[0]]
    outport.kill()
    for path, content in good.items():
        path.write_bytes(content)
    outport.start()
    # The version that understands them does what was ordered, and has every line.
    assert exit_code(outport, tasks[0]) == 7
    for arn in tasks[1:]:
        assert process_of(outport, arn) == before[arn]
        outport.ecs.stop_task(task=arn)
        assert exit_code(outport, arn) == 7
    for arn in tasks:
        written = lines(outport, arn)
        assert written == list(range(1, len(written) + 1)) and len(written) > 10
    outport.stop()
    outport.assert_nothing_left()


def flipped(content):
    at = content.index(b'"cpu_units"') + 3
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


@pytest.mark.parametrize("damage", [flipped, lambda content: content[:200], lambda content: b""],
                         ids=["bit", "cut", "empty"])
def test_a_task_whose_record_is_damaged_is_taken_over_by_its_assignment(outport, app_image, damage):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    tasks = [start(outport, uri, mode) for mode in ("awsvpc", "bridge", "none")]
    all_have_written(outport, tasks)
    before = {arn: process_of(outport, arn) for arn in tasks}
    outport.kill()
    for path in (path for arn in tasks for path in records(outport, arn)):
        path.write_bytes(damage(path.read_bytes()))
    outport.start()
    assert outport.log().count("its record is damaged") == len(tasks), outport.log()
    for arn in tasks:
        assert process_of(outport, arn) == before[arn]
        outport.reaches(arn, "RUNNING")
    # Its record is whole again.
    def is_recorded():
        return all(b'"crc32"' in path.read_bytes() for arn in tasks for path in records(outport, arn))
    until(is_recorded, "every record is written again")
    outport.kill()
    outport.start()
    for arn in tasks:
        assert process_of(outport, arn) == before[arn]
        outport.ecs.stop_task(task=arn)
        assert exit_code(outport, arn) == 7
        written = lines(outport, arn)
        assert written == list(range(1, len(written) + 1)) and len(written) > 10
    outport.stop()
    outport.assert_nothing_left()


def test_one_damaged_copy_of_a_record_is_made_good_by_the_other(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    tasks = [start(outport, uri, "bridge") for _ in range(2)]
    before = {arn: process_of(outport, arn) for arn in tasks}
    outport.kill()
    for arn, copy in zip(tasks, (0, 1)):
        path = records(outport, arn)[copy]
        path.write_bytes(flipped(path.read_bytes()))
    outport.start()
    assert outport.log().count("one copy of its record is damaged") == 2, outport.log()
    for arn in tasks:
        assert process_of(outport, arn) == before[arn]
        assert outport.task(arn)["lastStatus"] == "RUNNING"
        outport.ecs.stop_task(task=arn)
        assert exit_code(outport, arn) == 7
    outport.stop()
    outport.assert_nothing_left()
