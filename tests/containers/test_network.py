"""Addresses, ports and what can reach what, for every network mode."""

import socket
import subprocess
import urllib.request

import pytest

from support.wait import until


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


def start(outport, family, network_mode, **container):
    uri = outport.repository_uri("app")
    definition = outport.register(
        family, [{"name": "web", "image": f"{uri}:1.0", "memory": 64, "stopTimeout": 2,
                  **container}], networkMode=network_mode)
    options = {"networkConfiguration": outport.awsvpc()} if network_mode == "awsvpc" else {}
    if network_mode == "awsvpc":
        del options["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"]
    return outport.reaches(outport.run(definition, **options)["taskArn"], "RUNNING")


def stop(outport, *tasks):
    for task in tasks:
        outport.ecs.stop_task(task=task["taskArn"])
    for task in tasks:
        outport.reaches(task["taskArn"], "STOPPED")


def get(address, port=8000):
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=3) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def run_to_end(outport, family, command, network_mode="awsvpc"):
    uri = outport.repository_uri("app")
    definition = outport.register(
        family, [{"name": "main", "image": f"{uri}:1.0", "memory": 64,
                  "command": ["sh", "-c", command]}], networkMode=network_mode)
    options = {}
    if network_mode == "awsvpc":
        options["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": [outport.subnet()]}}
    task = outport.reaches(outport.run(definition, **options)["taskArn"], "STOPPED")
    return task["containers"][0].get("exitCode")


def test_awsvpc_tasks_have_addresses_and_share_no_ports(outport):
    first, second = (start(outport, "vpc", "awsvpc") for _ in range(2))
    addresses = [outport.address(task) for task in (first, second)]
    assert addresses[0] != addresses[1]
    for address in addresses:
        until(lambda: "hello" in get(address), f"{address} answers the host")
    code = run_to_end(outport, "peer", f"wget -q -O - http://{addresses[0]}:8000/ | grep hello")
    assert code == 0, "a task reaches another"
    interfaces = outport.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert set(addresses) <= {i["PrivateIpAddress"] for i in interfaces}
    stop(outport, first, second)
    until(lambda: not outport.client("ec2").describe_network_interfaces(
        Filters=[{"Name": "addresses.private-ip-address", "Values": addresses}],
    )["NetworkInterfaces"], "their interfaces are gone")


def test_containers_of_a_task_share_its_network(outport):
    uri = outport.repository_uri("app")
    containers = [
        {"name": "web", "image": f"{uri}:1.0", "memory": 64, "essential": False},
        {"name": "main", "image": f"{uri}:1.0", "memory": 64, "command": [
            "sh", "-c", "for i in $(seq 50); do wget -q -O - http://127.0.0.1:8000/ && exit 0; "
                        "sleep 0.2; done; exit 1"]}]
    definition = outport.register("shared", containers, networkMode="awsvpc")
    task = outport.run(definition, networkConfiguration={
        "awsvpcConfiguration": {"subnets": [outport.subnet()]}})
    task = outport.reaches(task["taskArn"], "STOPPED")
    assert next(c for c in task["containers"] if c["name"] == "main")["exitCode"] == 0


def test_the_instance_metadata_address_is_blocked(outport):
    code = run_to_end(outport, "imds", "wget -q -T 2 -O - http://169.254.169.254/ && exit 0; exit 9")
    assert code == 9


def test_bridge_mode_publishes_ports(outport):
    port = outport.reserved.host_port(0)
    fixed = start(outport, "bridge", "bridge",
                  portMappings=[{"containerPort": 8000, "hostPort": port}])
    until(lambda: "hello" in get("127.0.0.1", port), "the fixed host port answers")
    dynamic = start(outport, "bridge", "bridge", portMappings=[{"containerPort": 8000}])
    binding = dynamic["containers"][0]["networkBindings"][0]
    assert binding["containerPort"] == 8000 and binding["hostPort"] >= 32768
    until(lambda: "hello" in get("127.0.0.1", binding["hostPort"]), "the dynamic port answers")
    definition = fixed["taskDefinitionArn"]
    again = outport.ecs.run_task(taskDefinition=definition, launchType="EC2")
    assert [failure["reason"] for failure in again["failures"]] == ["RESOURCE:PORTS"]
    stop(outport, fixed, dynamic)
    until(lambda: not get("127.0.0.1", port), "the port is closed")


def test_host_mode_is_the_hosts_network(outport):
    port = outport.reserved.host_port(1)
    task = start(outport, "host", "host", command=["httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", "/www"],
                 portMappings=[{"containerPort": port}])
    until(lambda: "hello" in get("127.0.0.1", port), "it answers on loopback")
    stop(outport, task)


def test_host_mode_is_kept_from_the_metadata_of_its_machine(outport):
    """What would answer is the cloud's. On a machine of none, what shows it is that the task makes no frames of its own."""
    code = run_to_end(outport, "frames", "arping -c 1 -w 1 -I lo 127.0.0.1 2>&1 | grep -q 'Operation not permitted'", network_mode="host")
    assert code == 0


def test_none_mode_has_loopback_only(outport):
    code = run_to_end(outport, "lonely", "[ \"$(ls /sys/class/net)\" = lo ]", network_mode="none")
    assert code == 0
