"""CloudWatch Logs through boto3 and the AWS CLI: groups, streams, events, patterns, following."""

import json
import os
import subprocess
import time

import botocore.exceptions
import pytest

from support.wait import until


@pytest.fixture(scope="module")
def logs(shared_outport):
    return shared_outport.client("logs")


def now_ms():
    return int(time.time() * 1000)


def put(logs, group, stream, *messages):
    start = now_ms() - len(messages)
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[
        {"timestamp": start + n, "message": message} for n, message in enumerate(messages)])


def messages(pages):
    return [event["message"] for page in pages for event in page["events"]]


def code_of(call):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call()
    return refused.value.response["Error"]["Code"]


def test_groups_streams_and_retention(logs):
    names = [f"/groups/{n}" for n in range(5)]
    for name in names:
        logs.create_log_group(logGroupName=name, tags={"n": name})
    paginator = logs.get_paginator("describe_log_groups")
    pages = list(paginator.paginate(logGroupNamePrefix="/groups/", PaginationConfig={"PageSize": 2}))
    assert [len(page["logGroups"]) for page in pages] == [2, 2, 1]
    assert [g["logGroupName"] for page in pages for g in page["logGroups"]] == names
    logs.put_retention_policy(logGroupName=names[0], retentionInDays=7)
    group = logs.describe_log_groups(logGroupNamePrefix=names[0])["logGroups"][0]
    assert group["retentionInDays"] == 7 and group["arn"].endswith(":log-group:/groups/0:*")
    logs.delete_retention_policy(logGroupName=names[0])
    group = logs.describe_log_groups(logGroupNamePrefix=names[0])["logGroups"][0]
    assert "retentionInDays" not in group
    assert logs.list_tags_for_resource(resourceArn=group["arn"].removesuffix(":*"))["tags"] \
        == {"n": names[0]}

    logs.create_log_stream(logGroupName=names[0], logStreamName="a/b")
    assert code_of(lambda: logs.create_log_stream(logGroupName=names[0], logStreamName="a/b")) \
        == "ResourceAlreadyExistsException"
    streams = logs.describe_log_streams(logGroupName=names[0])["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["a/b"]
    logs.delete_log_stream(logGroupName=names[0], logStreamName="a/b")
    assert code_of(lambda: logs.create_log_group(logGroupName=names[0])) \
        == "ResourceAlreadyExistsException"
    assert code_of(lambda: logs.put_retention_policy(logGroupName=names[0], retentionInDays=8)) \
        == "InvalidParameterException"
    for name in names:
        logs.delete_log_group(logGroupName=name)
    assert code_of(lambda: logs.describe_log_streams(logGroupName=names[0])) \
        == "ResourceNotFoundException"


def test_events_by_page_in_both_directions(logs):
    logs.create_log_group(logGroupName="/events")
    logs.create_log_stream(logGroupName="/events", logStreamName="s")
    lines = [f"line {n}" for n in range(25)]
    put(logs, "/events", "s", *lines)
    where = {"logGroupName": "/events", "logStreamName": "s", "limit": 10}
    def read(**options):
        found, answer = [], logs.get_log_events(**where, **options)
        while answer["events"]:
            found.append([event["message"] for event in answer["events"]])
            forward = options.get("startFromHead", False)
            token = answer["nextForwardToken" if forward else "nextBackwardToken"]
            answer = logs.get_log_events(**where, **options, nextToken=token)
        return found
    assert [line for page in read(startFromHead=True) for line in page] == lines
    assert [line for page in reversed(read()) for line in page] == lines
    end = logs.get_log_events(**where, startFromHead=True)
    for _ in range(3):
        end = logs.get_log_events(**where, nextToken=end["nextForwardToken"])
    again = logs.get_log_events(**where, nextToken=end["nextForwardToken"])
    assert again["nextForwardToken"] == end["nextForwardToken"], "the end is the same token"
    logs.delete_log_group(logGroupName="/events")


@pytest.mark.parametrize("pattern, expected", [
    ("", [0, 1, 2, 3]), ("ERROR", [0, 1]), ("ERROR disk", [1]), ('"ERROR disk"', [1]),
    ("?network ?disk", [0, 1]), ("ERROR -disk", [0]),
    ('{ $.level = "warn" }', [2]), ("{ $.status >= 500 }", [3]),
    ('{ $.level = "warn" || $.status = 503 }', [2, 3])])
def test_filter_patterns(logs, pattern, expected):
    lines = ["ERROR network is down", "ERROR disk full", json.dumps({"level": "warn", "status": 200}),
             json.dumps({"level": "info", "status": 503})]
    group = "/filter"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        put(logs, group, "s", *lines)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern=pattern, PaginationConfig={"PageSize": 1})
    assert messages(pages) == [lines[n] for n in expected]


def test_a_bad_filter_pattern(logs):
    logs.create_log_group(logGroupName="/bad-filter")
    assert code_of(lambda: logs.filter_log_events(logGroupName="/bad-filter",
                                                  filterPattern="{ $.a = ")) \
        == "InvalidParameterException"
    logs.delete_log_group(logGroupName="/bad-filter")


def test_tail_follows(shared_outport, logs):
    logs.create_log_group(logGroupName="/tail")
    logs.create_log_stream(logGroupName="/tail", logStreamName="s")
    put(logs, "/tail", "s", "before")
    output = shared_outport.directory / "tail.txt"
    with output.open("w") as sink:
        tail = subprocess.Popen(["aws", "logs", "tail", "/tail", "--follow", "--format", "short"],
                                env={**os.environ, **shared_outport.env(), "PYTHONUNBUFFERED": "1"},
                                stdout=sink, stderr=subprocess.STDOUT)
    try:
        until(lambda: "before" in output.read_text(), "what was there")
        put(logs, "/tail", "s", "after")
        until(lambda: "after" in output.read_text(), "what came then")
    finally:
        tail.terminate()
        tail.wait(timeout=30)
    assert output.read_text().count("before") == 1
    logs.delete_log_group(logGroupName="/tail")


def test_events_that_are_refused(logs):
    logs.create_log_group(logGroupName="/refused")
    logs.create_log_stream(logGroupName="/refused", logStreamName="s")
    where = {"logGroupName": "/refused", "logStreamName": "s"}
    hour_ms = 60 * 60 * 1000
    old = logs.put_log_events(**where, logEvents=[
        {"timestamp": now_ms() - (14 * 24 + 6) * hour_ms, "message": "too old"},
        {"timestamp": now_ms() - (14 * 24 - 6) * hour_ms, "message": "old"}])
    assert old["rejectedLogEventsInfo"]["tooOldLogEventEndIndex"] == 1
    disordered = [{"timestamp": now_ms(), "message": "b"}, {"timestamp": now_ms() - 5, "message": "a"}]
    assert code_of(lambda: logs.put_log_events(**where, logEvents=disordered)) \
        == "InvalidParameterException"
    absent = {**where, "logStreamName": "absent"}
    assert code_of(lambda: logs.put_log_events(
        **absent, logEvents=[{"timestamp": now_ms(), "message": "x"}])) \
        == "ResourceNotFoundException"
    logs.delete_log_group(logGroupName="/refused")
