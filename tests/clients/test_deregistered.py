"""The node of `outport up`, deregistered: the rest of it goes on."""

from support.wait import until


def instances(outport, status="ACTIVE"):
    return outport.ecs.list_container_instances(status=status)["containerInstanceArns"]


def test_the_api_goes_on_without_its_node_and_the_next_start_makes_it_one_again(outport, app_image):
    outport.start()
    image = f"{outport.push(app_image, 'app', '1.0')}:1.0"
    definition = outport.register(
        "web", [{"name": "web", "image": image, "memory": 64}], networkMode="bridge")
    outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    (instance,) = instances(outport)
    outport.ecs.deregister_container_instance(containerInstance=instance, force=True)
    until(lambda: "goes on without a node" in outport.log(), "it says what it does")
    # The API, the registry and the logs.
    assert instances(outport) == []
    assert outport.client("logs").describe_log_groups()["logGroups"] == []
    outport.push(app_image, "app", "2.0")
    outport.stop()
    outport.assert_nothing_left()
    outport.start()
    until(lambda: outport.connected_instances(), "it is a node again")
    outport.reaches(outport.run(definition)["taskArn"], "RUNNING")
    outport.stop()
    outport.assert_nothing_left()
