"""Power over the host is the operator's to give: default off, on the node itself and at placement."""

ATTRIBUTE = "com.amazonaws.ecs.capability.privileged-container"


def definition(outport, uri, family, **container):
    return outport.register(family, [{
        "name": "app", "image": f"{uri}:1.0", "memory": 32,
        "command": ["sh", "-c", ": >> /proc/sys/kernel/core_pattern"], **container}])


def attributes(outport):
    (arn,) = outport.ecs.list_container_instances()["containerInstanceArns"]
    (instance,) = outport.ecs.describe_container_instances(
        containerInstances=[arn])["containerInstances"]
    return [attribute["name"] for attribute in instance["attributes"]]


def exit_code(outport, definition):
    task = outport.run(definition)
    return outport.reaches(task["taskArn"], "STOPPED")["containers"][0].get("exitCode")


def test_it_is_refused_with_what_to_do(outport, app_image):
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    assert ATTRIBUTE not in attributes(outport)
    admin = {"linuxParameters": {"capabilities": {"add": ["SYS_ADMIN"]}}}
    for family, asked in (("privileged", {"privileged": True}), ("admin", admin)):
        answer = outport.ecs.run_task(taskDefinition=definition(outport, uri, family, **asked))
        (failure,) = answer["failures"]
        assert not answer["tasks"] and failure["reason"] == "ATTRIBUTE"
        assert ATTRIBUTE in failure["detail"] and "--allow-privileged" in failure["detail"]
    inside = {"linuxParameters": {"capabilities": {"add": ["SYS_PTRACE", "NET_ADMIN"]}}}
    assert exit_code(outport, definition(outport, uri, "inside", **inside)) not in (0, None)
    outport.stop()


def test_it_is_given_where_the_operator_allows_it(outport, app_image):
    outport.start("--allow-privileged")
    uri = outport.push(app_image, "app", "1.0")
    assert ATTRIBUTE in attributes(outport)
    privileged = definition(outport, uri, "privileged", privileged=True)
    described = outport.ecs.describe_task_definition(taskDefinition=privileged)["taskDefinition"]
    assert ATTRIBUTE in [attribute["name"] for attribute in described["requiresAttributes"]]
    assert exit_code(outport, privileged) == 0
    # Without asking, a container of the same node has no more than anywhere else.
    assert exit_code(outport, definition(outport, uri, "plain")) not in (0, None)
    outport.stop()
