"""A node needs many open files itself; its containers get what it was started with."""

import resource

START_SOFT = 1000


def test_the_node_raises_its_own_limit_and_not_that_of_its_containers(outport, app_image):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (START_SOFT, hard))
    try:
        outport.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(outport.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)

    uri = outport.push(app_image, "app", "1.0")
    check = f"[ $(ulimit -Sn) = {START_SOFT} ] && [ $(ulimit -Hn) = {hard} ]"
    definition = outport.register("limits", [{
        "name": "main", "image": f"{uri}:1.0", "memory": 32,
        "command": ["sh", "-c", check]}], networkMode="none")
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["containers"][0]["exitCode"] == 0, task
