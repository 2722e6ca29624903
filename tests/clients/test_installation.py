"""A data directory is for one account, one region and one range of addresses of its host."""

import subprocess

from support.wait import until


def up(binary, outport, *options, data_dir=None, port=None, vpc_cidr=None, env=None):
    """A start that is to be refused; the one line that it says."""
    done = subprocess.run(
        [binary, "up", "--data-dir", data_dir or outport.data_dir, "--listen",
         f"127.0.0.1:{port or outport.port}", "--default-vpc-cidr", vpc_cidr or outport.vpc_cidr,
         *options], capture_output=True, text=True, timeout=90)
    assert done.returncode != 0, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_account_and_region_are_the_first_starts_for_good(binary, outport):
    outport.start("--region", "eu-west-1", "--account-id", "123456789012")
    outport.ecs.create_cluster(clusterName="mine")
    outport.stop()
    for other in (["--region", "us-east-1"], ["--account-id", "000000000000"]):
        line = up(binary, outport, *other)
        assert "account 123456789012 in eu-west-1" in line, line
    outport.start()
    (arn,) = [arn for arn in outport.ecs.list_clusters()["clusterArns"] if arn.endswith("/mine")]
    assert arn == "arn:aws:ecs:eu-west-1:123456789012:cluster/mine"
    outport.stop()
    outport.assert_nothing_left()


def test_a_range_inside_of_another_instances_is_refused(binary, outport, tmp_path):
    outport.start()
    inside = outport.vpc_cidr.replace(".0.0/16", ".128.0/20")
    line = up(binary, outport, data_dir=tmp_path / "second", port=outport.port + 400,
              vpc_cidr=inside)
    assert inside in line and outport.instance() in line, line
    outport.stop()
    outport.start()
    outport.stop()
    outport.assert_nothing_left()


def test_a_node_that_cannot_work_on_its_host_joins_nothing(binary, outport, tmp_path):
    """A second node on one host: the first has the range already."""
    outport.start()
    ended = subprocess.run(
        [binary, "node", "--data-dir", tmp_path / "node", "--server",
         outport.url.replace("http:", "https:"),
         "--join-token-file", outport.data_dir / "join-token"],
        capture_output=True, text=True, timeout=90)
    assert ended.returncode != 0
    assert outport.vpc_cidr in ended.stderr, ended.stderr
    # It has a certificate, and did not join.
    log = outport.log()
    assert log.count('event="node_certificate_issued"') == 2, log
    assert log.count('event="node_joined"') == 1, log
    instances = outport.ecs.list_container_instances()["containerInstanceArns"]
    assert len(instances) == 1
    described = outport.ecs.describe_container_instances(containerInstances=instances)
    assert described["containerInstances"][0]["agentConnected"]
    until(lambda: outport.ecs.list_clusters()["clusterArns"], "it goes on", 90)
    outport.stop()
    outport.assert_nothing_left()
