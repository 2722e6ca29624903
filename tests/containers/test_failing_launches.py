"""The short form of `cargo xtask campaign launches`: steps of launches fail, by named points in the code."""

import random

from support.wait import until

MODES = ("awsvpc", "bridge", "host", "none")
TASKS = 8


def test_every_failed_launch_has_a_reason_and_leaves_nothing(outport, app_image):
    seed = random.randrange(1_000_000)
    print("seed", seed)
    # No start goes by a point, of a launch some twenty do.
    outport.start(env={"OUTPORT_FAIL_POINTS": f"seed={seed},all=7"})
    image = f"{outport.push(app_image, 'app', '1.0')}:1.0"
    subnet = outport.subnet()
    containers = [
        {"name": "app", "image": image, "memory": 32, "command": ["true"]},
        {"name": "side", "image": image, "memory": 32, "command": ["sleep", "600"],
         "essential": False, "stopTimeout": 2},
    ]
    tasks = []
    for mode in MODES:
        outport.register(mode, containers, networkMode=mode)
        network = {"awsvpcConfiguration": {"subnets": [subnet]}}
        options = {"networkConfiguration": network} if mode == "awsvpc" else {}
        tasks += outport.ecs.run_task(taskDefinition=mode, launchType="EC2", count=TASKS,
                                      **options)["tasks"]
    arns = [task["taskArn"] for task in tasks]

    def over():
        found = outport.ecs.describe_tasks(tasks=arns)["tasks"]
        return found if all(task["lastStatus"] == "STOPPED" for task in found) else None

    failed = [task for task in until(over, "all are over", 120) if task["stopCode"] == "TaskFailedToStart"]
    reasons = [[one.get("reason", "") for one in task["containers"]] for task in failed]
    assert all("Error: " in "".join(each) for each in reasons), (failed, seed)
    # The chance that none of so many fails is nil.
    assert any("injected at " in reason for each in reasons for reason in each), (reasons, seed)

    def left():
        kept = [path.name for path in (outport.data_dir / "node/tasks").iterdir()]
        ids = [arn.rsplit("/", 1)[1] for arn in arns]
        return kept + [line for line in outport.left_on_host() if any(i in line for i in ids)]

    # What cannot be removed is tried again after 1, 2, 4 and more seconds, up to a minute.
    until(lambda: not left(), lambda: f"seed {seed}, left: {left()}", 240)
    outport.stop()
    outport.assert_nothing_left()
