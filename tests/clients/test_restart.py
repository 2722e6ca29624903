"""What survives: kill -9 of everything but the containers, and a stop that keeps the tasks."""

from support.containers import WAIT_FOR_GO, go
from support.wait import until

COUNTER = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.02; done"


def logged(uri, command):
    return [{
        "name": "main", "image": f"{uri}:1.0", "memory": 64, "command": ["sh", "-c", command],
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": "/ecs/restart", "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": "t", "awslogs-create-group": "true"}},
    }]


def messages(outport, arn):
    """Every line of the stream, in the order that CloudWatch Logs has."""
    stream = f"t/main/{arn.rsplit('/', 1)[1]}"
    found, token = [], None
    while True:
        options = {"nextToken": token} if token else {}
        page = outport.client("logs").get_log_events(
            logGroupName="/ecs/restart", logStreamName=stream, startFromHead=True, **options)
        found += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            return found
        token = page["nextForwardToken"]


def runtime_id(task):
    return task["containers"][0]["runtimeId"]


def test_tasks_and_their_logs_survive_kill_9(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register("counter", logged(uri, COUNTER), networkMode="none")
    quick = outport.register("quick", logged(uri, f"{WAIT_FOR_GO}echo bye; exit 7"),
                             networkMode="none")
    running = outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    arn = running["taskArn"]
    ends_meanwhile = outport.reaches(outport.run(quick)["taskArn"], "RUNNING")["taskArn"]
    until(lambda: len(messages(outport, arn)) > 20, "some lines arrived")

    for restart in range(2):
        outport.kill()
        if restart == 0:
            go(outport.instance(), ends_meanwhile)
        outport.start()
        after = outport.reaches(arn, "RUNNING")
        assert runtime_id(after) == runtime_id(running)
        assert after["startedAt"] == running["startedAt"]

    ended = outport.reaches(ends_meanwhile, "STOPPED")
    assert ended["containers"][0]["exitCode"] == 7
    # A task may be over before the last of its log is delivered.
    until(lambda: messages(outport, ends_meanwhile), "its log is there", 90)
    assert messages(outport, ends_meanwhile) == ["bye"]

    so_far = len(messages(outport, arn))
    until(lambda: len(messages(outport, arn)) > so_far + 20, "lines go on arriving")
    outport.ecs.stop_task(task=arn)
    outport.reaches(arn, "STOPPED")
    lines = messages(outport, arn)
    assert lines == [f"line {n}" for n in range(1, len(lines) + 1)]
    outport.stop()
    outport.assert_nothing_left()


def test_a_stop_that_keeps_the_tasks(outport, app_image):
    outport.start("--keep-tasks")
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register("counter", logged(uri, COUNTER), networkMode="none")
    before = outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    outport.stop()
    assert outport.left_on_host(), "the task still runs"
    outport.start()
    after = outport.reaches(before["taskArn"], "RUNNING")
    assert runtime_id(after) == runtime_id(before)
    outport.stop()
    outport.assert_nothing_left()


def test_services_come_back_with_new_tasks(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register("counter", logged(uri, COUNTER), networkMode="none")
    outport.ecs.create_service(serviceName="s", taskDefinition=definition, desiredCount=1,
                               launchType="EC2")
    first = until(lambda: outport.ecs.list_tasks(serviceName="s")["taskArns"], "a task")[0]
    outport.reaches(first, "RUNNING")
    outport.stop()
    outport.assert_nothing_left()
    outport.start()
    def replacement():
        arns = outport.ecs.list_tasks(serviceName="s")["taskArns"]
        return [arn for arn in arns if arn != first]
    second = until(replacement, "a new task")[0]
    outport.reaches(second, "RUNNING")
    assert outport.task(first)["lastStatus"] == "STOPPED"


def test_cleanup_removes_what_a_crash_left(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register(
        "web", [{"name": "web", "image": f"{uri}:1.0", "memory": 64}], networkMode="awsvpc")
    task = outport.run(definition, networkConfiguration={
        "awsvpcConfiguration": {"subnets": [outport.subnet()]}})
    outport.reaches(task["taskArn"], "RUNNING")
    outport.kill()
    assert outport.left_on_host()
    outport.cleanup()
    outport.assert_nothing_left()
    outport.start()
    ended = outport.reaches(task["taskArn"], "STOPPED")
    assert ended["containers"][0]["reason"] == "The container ended while nobody watched it"
