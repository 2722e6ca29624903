"""What an operator sees: each metric of the page after real work, and a log that programs can read."""

import json
import re
import urllib.request
from pathlib import Path

import pytest

from support.outport import READY
from support.wait import until

PAGE = Path(__file__).parents[2] / "docs/operations/metrics.md"
EVENTS = Path(__file__).parents[2] / "docs/operations/events.toml"
# Zero where all goes well, or at the moment of a look.
MAY_BE_ZERO = {
    "outport_audit_events_lost_total", "outport_commit_queue_writes", "outport_controller_failures_total", "outport_disk_low",
    "outport_events_delivered_total", "outport_events_dropped_total", "outport_events_not_delivered_total", "outport_events_pending",
    "outport_log_damages_total", "outport_log_lag_seconds", "outport_registry_uploads",
    "outport_services_below_desired",
}
# Nothing fails here, so nothing has counted it.
MAY_BE_ABSENT = {"outport_controller_failures_total"}
SAID = {"outport_says", "outport_failed", "log_lines_lost"}
LOG_OPTIONS = {"awslogs-group": "/work", "awslogs-region": "us-east-1",
               "awslogs-stream-prefix": "app", "awslogs-create-group": "true"}


@pytest.fixture
def at_work(outport, app_image):
    """An Outport with the log for programs, and a service that runs."""
    outport.start("--log-format", "json")
    uri = outport.push(app_image, "app", "1.0")
    outport.register("app", [{
        "name": "web", "image": f"{uri}:1.0", "memory": 64, "cpu": 64,
        "command": ["sh", "-c", "echo a line; trap 'exit 0' TERM; sleep 1000 & wait"],
        "logConfiguration": {"logDriver": "awslogs", "options": LOG_OPTIONS},
    }])
    outport.ecs.create_service(serviceName="web", taskDefinition="app", desiredCount=1,
                               launchType="EC2")

    def task():
        arns = outport.ecs.list_tasks(serviceName="web", desiredStatus="RUNNING")["taskArns"]
        return arns and outport.task(arns[0])["lastStatus"] == "RUNNING" and arns[0]
    outport.task_arn = until(task, lambda: f"the service runs\n{outport.log()[-4000:]}")
    return outport


def samples(outport):
    """Name, without what a histogram adds, to its values by labels."""
    with urllib.request.urlopen(f"{outport.url}/_outport/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            if name.endswith("_bucket") or name.endswith("_sum"):
                continue
            found.setdefault(name.removesuffix("_count"), {})[labels or ""] = float(value)
    return found


def test_each_metric_of_the_page_counts(at_work):
    listed = re.findall(r"^\| `(outport_\w+)` \| (\w+) \|", PAGE.read_text(), re.M)
    names = {name for name, _ in listed}
    assert len(names) > 15

    def missing():
        found = samples(at_work)
        absent = names - found.keys() - MAY_BE_ABSENT
        zero = {name for name in names & found.keys() if not any(found[name].values())}
        return absent | (zero - MAY_BE_ZERO)
    until(lambda: not missing(), lambda: f"each counts: {missing()}")

    found = samples(at_work)
    assert found.keys() <= names, "each that is served stands on the page"
    steps = {re.search(r'step="(\w+)"', labels)[1] for labels in found["outport_launch_seconds"]}
    assert steps == {"attach", "pull", "create", "start"}
    assert found["outport_shims_running"][""] == 1
    assert found["outport_registry_blobs"][""] >= 3
    passes = found["outport_controller_pass_seconds"]
    assert {re.search(r'controller="(\w+)"', labels)[1] for labels in passes} == {
        "service", "events", "node_health", "retention"}
    assert found["outport_connections"]['kind="node"'] >= 1


def lines(outport):
    """Of the log. What stands on standard output is for whoever started it."""
    said = (READY, *(f"  {name} " for name in outport.summary()))
    return [json.loads(line) for line in outport.log().splitlines() if not line.startswith(said)]


def test_each_line_of_the_log_is_an_object_with_its_ids(at_work):
    at_work.ecs.update_service(service="web", desiredCount=0)
    at_work.reaches(at_work.task_arn, "STOPPED")
    at_work.stop()
    events = {}
    for line in lines(at_work):
        assert {"timestamp", "level", "event", "message"} <= line.keys(), line
        events.setdefault(line["event"], []).append(line)
    known = set(re.findall(r"^(\w+) =", EVENTS.read_text(), re.M)) | SAID
    assert events.keys() <= known
    task = at_work.task_arn.rsplit("/", 1)[1]
    for event in ("task_launching", "image_pulled", "task_running", "container_exited",
                  "task_stopped"):
        [line] = events[event]
        [span] = [span for span in line["spans"] if span["name"] == "task"]
        assert span["task"] == task and span["definition"] == "app:1"
        assert span["cluster"] == "default"
    assert events["task_running"][0]["took_ms"] > 0
    assert events["image_pulled"][0]["bytes"] > 0
    assert events["container_exited"][0]["exit_code"] == 0
    for event in ("service_deployment_started", "service_deployment_completed"):
        [line] = events[event]
        assert line["service"] == "web"
        assert line["spans"][0]["name"] == "pass" and line["spans"][0]["controller"] == "service"
    assert len(events["node_joined"]) == 1
    assert events["node_joined"][0]["spans"][0]["name"] == "request"
    assert events["outport_says"], "what is for people is an object, too"
