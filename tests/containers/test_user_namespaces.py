"""Root in a container is nobody on the host: a range of ids for each task, kept over a restart, given back."""

from pathlib import Path

import pytest

from support import containers
from support.wait import until

IDS = 65536


def run_dir(outport):
    return Path("/run/outport") / outport.instance()


def start(outport, uri, network_mode="none", **options):
    container = {"name": "main", "image": f"{uri}:1.0", "memory": 64, "stopTimeout": 2,
                 "command": ["sh", "-c", "echo mine > /file; trap 'exit 0' TERM; "
                             "while true; do sleep 0.1; done"], **options.pop("container", {})}
    definition = outport.register(f"users-{network_mode}", [container], networkMode=network_mode)
    if network_mode == "awsvpc":
        options["networkConfiguration"] = {
            "awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    arn = outport.run(definition, **options)["taskArn"]
    outport.reaches(arn, "RUNNING")
    return arn


def process_of(outport, arn):
    return containers.process_of(outport.instance(), arn)


def uid_of(process):
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("Uid:"))
    (uid,) = set(line.split()[1:])
    return int(uid)


def given_out(outport):
    return sorted(int(name.name) for name in (run_dir(outport) / "ids").iterdir())


def stop(outport, arn):
    outport.ecs.stop_task(task=arn)
    outport.reaches(arn, "STOPPED")


def test_tasks_have_ids_of_their_own_over_a_restart(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    tasks = [start(outport, uri, mode) for mode in ("none", "bridge", "awsvpc")]
    uids = [uid_of(process_of(outport, arn)) for arn in tasks]
    assert min(uids) >= IDS and given_out(outport) == sorted(uids)
    assert all(abs(one - other) >= IDS for one in uids for other in uids if one != other)
    assert len(set(uids)) == len(uids)
    # What root writes in there is not root's here.
    for arn, uid in zip(tasks, uids):
        written = Path(f"/proc/{process_of(outport, arn)}/root/file")
        until(lambda: written.exists(), "it has written")
        assert written.stat().st_uid == uid
    outport.kill()
    outport.start()
    for arn, uid in zip(tasks, uids):
        outport.reaches(arn, "RUNNING")
        assert uid_of(process_of(outport, arn)) == uid
    another = start(outport, uri)
    assert uid_of(process_of(outport, another)) not in uids
    for arn in [*tasks, another]:
        stop(outport, arn)
    until(lambda: given_out(outport) == [], "every range is given back")
    assert list((run_dir(outport) / "users").iterdir()) == []
    outport.stop()
    outport.assert_nothing_left()


@pytest.mark.parametrize("options, mode, container", [
    (["--no-user-namespaces"], "none", {}),
    ([], "host", {}),
    ([], "none", {"linuxParameters": {"capabilities": {"add": ["IPC_LOCK"]}}}),
])
def test_where_root_is_the_hosts(outport, app_image, options, mode, container):
    outport.start(*options)
    uri = outport.push(app_image, "app", "1.0")
    arn = start(outport, uri, mode, container=container)
    assert uid_of(process_of(outport, arn)) == 0
    said = "tasks have no user namespaces" in outport.log()
    assert said == bool(options)
    stop(outport, arn)
    outport.stop()
    outport.assert_nothing_left()


def test_the_operator_chooses_the_ids_and_their_end_is_said(outport, app_image):
    outport.start("--subordinate-ids", "3700000000:65536")
    uri = outport.push(app_image, "app", "1.0")
    first = start(outport, uri)
    assert uid_of(process_of(outport, first)) == 3700000000
    definition = outport.register("second", [{"name": "main", "image": f"{uri}:1.0", "memory": 32}])
    second = outport.run(definition)["taskArn"]
    stopped = outport.reaches(second, "STOPPED")
    reason = stopped["containers"][0]["reason"]
    assert "all 1 ranges of ids" in reason and "--subordinate-ids" in reason, reason
    stop(outport, first)
    until(lambda: given_out(outport) == [], "its range is given back")
    third = start(outport, uri)
    assert uid_of(process_of(outport, third)) == 3700000000
    stop(outport, third)


def test_a_user_beyond_the_range_fails_by_name(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register("far", [
        {"name": "main", "image": f"{uri}:1.0", "memory": 32, "user": "70000"}])
    arn = outport.run(definition)["taskArn"]
    reason = outport.reaches(arn, "STOPPED")["containers"][0]["reason"]
    assert "unable to use user 70000" in reason, reason
