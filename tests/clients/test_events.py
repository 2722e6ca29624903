"""EventBridge: rules, patterns, targets and schedules, as boto3 sees them; ECS's events; nothing lost by kill -9."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from support.wait import until

ROLE = "arn:aws:iam::000000000000:role/events"


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture
def name():
    return f"test-{uuid.uuid4().hex[:8]}"


def refused(call, code, text=""):
    with pytest.raises(ClientError) as error:
        call()
    found = error.value.response["Error"]
    assert (found["Code"], text in found["Message"]) == (code, True), found


def log_group(outport, name):
    """Makes it; the ARN that a target has."""
    logs = outport.client("logs")
    logs.create_log_group(logGroupName=f"/events/{name}")
    return logs.describe_log_groups(logGroupNamePrefix=f"/events/{name}")["logGroups"][0]["logGroupArn"]


def messages(outport, name):
    pages = outport.client("logs").get_paginator("filter_log_events").paginate(logGroupName=f"/events/{name}")
    return [event["message"] for page in pages for event in page["events"]]


def events_of(outport, name):
    return [json.loads(message) for message in messages(outport, name)]


def put(outport, *details, source="shop", bus="default"):
    entries = [{"Source": source, "DetailType": "order", "Detail": json.dumps(detail), "EventBusName": bus}
               for detail in details]
    answer = outport.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 0, answer
    return [entry["EventId"] for entry in answer["Entries"]]


def forget(outport, name, *ids, bus="default"):
    events = outport.client("events")
    events.remove_targets(Rule=name, Ids=list(ids), EventBusName=bus)
    events.delete_rule(Name=name, EventBusName=bus)


def test_events_go_where_their_rule_says(outport, name):
    events, arn = outport.client("events"), log_group(outport, name)
    pattern = {"source": ["shop"], "detail": {"total": [{"numeric": [">=", 100]}], "test": [name]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), Tags=[{"Key": "team", "Value": "red"}])
    template = {"InputPathsMap": {"total": "$.detail.total"}, "InputTemplate": '{"total": <total>, "rule": "<aws.events.rule-name>"}'}
    events.put_targets(Rule=name, Targets=[
        {"Id": "whole", "Arn": arn},
        {"Id": "part", "Arn": arn, "InputTransformer": template},
    ])
    wanted, _ = put(outport, {"total": 250, "test": name}, {"total": 50, "test": name})
    found = until(lambda: len(messages(outport, name)) == 2 and events_of(outport, name), "both targets have the event")
    whole = next(event for event in found if "detail" in event)
    assert {"total": 250, "rule": name} in found
    assert (whole["id"], whole["source"], whole["detail-type"]) == (wanted, "shop", "order")
    assert (whole["account"], whole["region"], whole["version"]) == ("000000000000", "us-east-1", "0")
    listed = events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
    assert listed == [name]
    refused(lambda: events.delete_rule(Name=name), "ValidationException", "since it has targets")
    events.disable_rule(Name=name)
    put(outport, {"total": 300, "test": name})
    events.enable_rule(Name=name)
    last, = put(outport, {"total": 400, "test": name})
    until(lambda: any(event.get("id") == last for event in events_of(outport, name)), "the last event is there")
    assert {event["detail"]["total"] for event in events_of(outport, name) if "detail" in event} == {250, 400}
    forget(outport, name, "whole", "part")
    refused(lambda: events.describe_rule(Name=name), "ResourceNotFoundException", "does not exist on EventBus default")


def test_a_bus_of_its_own(outport, name):
    events, arn = outport.client("events"), log_group(outport, name)
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    events.put_rule(Name=name, EventBusName=name, EventPattern='{"source": [{"prefix": "sh"}]}')
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "log", "Arn": arn, "InputPath": "$.detail"}])
    put(outport, {"other": name})
    put(outport, {"mine": name}, bus=bus)
    assert until(lambda: events_of(outport, name), "the event is there") == [{"mine": name}]
    forget(outport, name, "log", bus=name)
    events.delete_event_bus(Name=name)


def test_what_is_wrong_is_refused(outport, name):
    events = outport.client("events")
    wrong = [
        ({"EventPattern": '{"source": "x"}'}, "InvalidEventPatternException", "Event pattern is not valid. Reason: "),
        ({"EventPattern": '{"a": [{"wildcard": "**"}]}'}, "InvalidEventPatternException", "Consecutive wildcard characters"),
        ({"ScheduleExpression": "cron(0 0 31 2 ? *)"}, "ValidationException", "Parameter ScheduleExpression is not valid."),
        ({"ScheduleExpression": "cron(0 0 * * * *)"}, "ValidationException", "Parameter ScheduleExpression is not valid."),
        ({"ScheduleExpression": "rate(1 minutes)"}, "ValidationException", "Parameter ScheduleExpression is not valid."),
        ({}, "ValidationException", "EventPattern or ScheduleExpression must be specified"),
    ]
    for arguments, code, text in wrong:
        refused(lambda: events.put_rule(Name=name, **arguments), code, text)
    assert events.list_rules(NamePrefix=name)["Rules"] == []
    event = {"id": "1", "account": "0", "source": "shop", "time": "2026-12-01T00:00:00Z", "region": "us-east-1",
             "resources": [], "detail-type": "t", "detail": {"ip": "10.0.0.7"}}
    tried = lambda pattern: events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"]
    assert tried({"$or": [{"source": ["x"]}, {"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}]})
    assert not tried({"source": [{"anything-but": {"prefix": "sh"}}]})
    failed = events.put_events(Entries=[{"Source": "aws.ecs", "DetailType": "t", "Detail": "{}"}])
    assert failed["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    refused(lambda: events.create_api_destination(Name="x", ConnectionArn="arn:aws:events:us-east-1:000000000000:connection/x/1",
                                                  InvocationEndpoint="https://x", HttpMethod="POST"), "NotImplemented")


@pytest.fixture(scope="module")
def role(outport):
    """What a target of ECS has: who may run tasks for EventBridge."""
    iam = outport.client("iam")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    iam.create_role(RoleName="events", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", **trust}))
    allow = [{"Effect": "Allow", "Action": ["ecs:RunTask", "ecs:TagResource", "iam:PassRole"], "Resource": "*"}]
    iam.put_role_policy(RoleName="events", PolicyName="run", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allow}))
    return ROLE


def job(outport, name):
    """A task definition whose task is over at once."""
    container = {"name": "main", "image": f"{outport.repository_uri('app')}:1.0", "memory": 16, "command": ["sh", "-c", "exit 3"]}
    return outport.register(name, [container])


def test_a_task_runs_by_its_schedule_and_ecs_tells_of_it(outport, role, name):
    events, arn = outport.client("events"), log_group(outport, name)
    definition = job(outport, name)
    heard = {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"], "detail": {"group": [f"family:{name}"]}}
    events.put_rule(Name=f"{name}-heard", EventPattern=json.dumps(heard))
    events.put_targets(Rule=f"{name}-heard", Targets=[{"Id": "log", "Arn": arn}])
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")
    overrides = {"containerOverrides": [{"name": "main", "command": ["sh", "-c", "exit 4"]}]}
    cluster = outport.ecs.describe_clusters(clusters=["default"])["clusters"][0]["clusterArn"]
    events.put_targets(Rule=name, Targets=[{
        "Id": "job", "Arn": cluster, "RoleArn": role, "Input": json.dumps(overrides),
        "EcsParameters": {"TaskDefinitionArn": definition, "LaunchType": "EC2", "Group": f"family:{name}"},
    }])
    stopped = lambda: [event for event in events_of(outport, name) if event["detail"]["lastStatus"] == "STOPPED"]
    told = until(stopped, "the task of the schedule has stopped", patience_s=150)[0]
    forget(outport, name, "job")
    detail = told["detail"]
    assert detail["startedBy"] == f"events-rule/{name}"
    assert detail["taskDefinitionArn"].endswith(f"task-definition/{definition}")
    assert detail["containers"][0]["exitCode"] == 4
    assert told["resources"] == [detail["taskArn"]] and told["detail-type"] == "ECS Task State Change"
    shown = outport.task(detail["taskArn"])
    assert detail["version"] == shown["version"]
    assert detail["createdAt"].endswith("Z")
    of_task = [event["detail"] for event in events_of(outport, name) if event["resources"] == told["resources"]]
    assert sorted(set(one["version"] for one in of_task)) == list(range(1, detail["version"] + 1))
    forget(outport, f"{name}-heard", "log")


def test_what_cannot_be_delivered_is_in_the_dead_letter_log(outport, role, name):
    events, arn = outport.client("events"), log_group(outport, name)
    cluster = outport.ecs.describe_clusters(clusters=["default"])["clusters"][0]["clusterArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"detail": {"test": [name]}}))
    gone = arn.replace(f"/events/{name}", f"/none/{name}")
    nothing = "arn:aws:ecs:us-east-1:000000000000:task-definition/none"
    events.put_targets(Rule=name, Targets=[
        {"Id": "log", "Arn": gone, "DeadLetterConfig": {"Arn": arn}},
        {"Id": "task", "Arn": cluster, "RoleArn": role, "EcsParameters": {"TaskDefinitionArn": nothing},
         "DeadLetterConfig": {"Arn": arn}},
    ])
    wanted, = put(outport, {"test": name})
    dead = until(lambda: len(messages(outport, name)) == 2 and events_of(outport, name), "both are in the dead-letter log")
    by_target = {one["TARGET_ID"]: one for one in dead}
    assert by_target["log"]["ERROR_CODE"] == "ResourceNotFoundException"
    assert by_target["task"]["ERROR_CODE"] == "ClientException", by_target
    assert {one["event"]["id"] for one in dead} == {wanted}
    forget(outport, name, "log", "task")


def test_a_service_tells_what_it_does(outport, name):
    events, arn = outport.client("events"), log_group(outport, name)
    service = f"arn:aws:ecs:us-east-1:000000000000:service/default/{name}"
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.ecs"], "resources": [service]}))
    events.put_targets(Rule=name, Targets=[{"Id": "log", "Arn": arn}])
    main = {"name": "main", "image": f"{outport.repository_uri('app')}:1.0", "memory": 16,
            "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]}
    outport.ecs.create_service(serviceName=name, taskDefinition=outport.register(name, [main]), desiredCount=1, launchType="EC2")
    wanted = {("ECS Deployment State Change", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
              ("ECS Deployment State Change", "SERVICE_DEPLOYMENT_COMPLETED"), ("ECS Service Action", "SERVICE_STEADY_STATE")}
    seen = lambda: {(event["detail-type"], event["detail"]["eventName"]) for event in events_of(outport, name)}
    until(lambda: wanted <= seen(), lambda: f"{wanted} of {seen()}", patience_s=120)
    outport.ecs.delete_service(service=name, force=True)
    forget(outport, name, "log")


def test_nothing_is_lost_by_a_kill(binary, tmp_path_factory):
    from support.outport import Outport
    outport = Outport(binary, tmp_path_factory.mktemp("events"))
    outport.start()
    try:
        arn = log_group(outport, "kill")
        events = outport.client("events")
        events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
        events.put_targets(Rule="all", Targets=[{"Id": "log", "Arn": arn, "InputPath": "$.id"}])
        wanted = set()
        for round_ in range(3):
            for n in range(5):
                wanted |= set(put(outport, *[{"n": [round_, n, m]} for m in range(10)]))
            outport.kill()
            outport.start()
        until(lambda: {json.loads(message) for message in messages(outport, "kill")} >= wanted, "every event that was taken is there")
    finally:
        outport.destroy()
