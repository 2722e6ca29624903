"""A first start needs no thought: what it takes by itself, says, and remembers."""

import json
import subprocess

import pytest

CLASH = "172.31.0.0/16"


@pytest.fixture
def clashing_host():
    """A network of its own in which the host uses the usual range: the command that runs something there."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    within = ["nsenter", "--net", "--target", str(holder.pid)]
    try:
        for command in (["ip", "link", "set", "lo", "up"],
                        ["ip", "route", "add", CLASH, "dev", "lo"]):
            done = subprocess.run(["sh", "-c", f"until [ \"$(readlink /proc/{holder.pid}/ns/net)\" != "
                                   "\"$(readlink /proc/self/ns/net)\" ]; do sleep 0.05; done"],
                                  timeout=60)
            assert done.returncode == 0
            subprocess.run([*within, *command], check=True)
        yield within
    finally:
        holder.kill()
        holder.wait()


def refused(binary, outport, *options):
    """The one line that a start says when it is refused."""
    done = subprocess.run([binary, "up", "--data-dir", outport.data_dir, *options],
                          capture_output=True, text=True, timeout=90)
    assert done.returncode != 0, done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_free_range_is_taken_and_kept(outport, clashing_host):
    outport.vpc_cidr = None
    outport.within = clashing_host
    outport.start()
    chosen = outport.summary()["VPC"]
    assert chosen.startswith(("172.", "10.", "192.168.")) and chosen != CLASH
    assert f"{CLASH} overlaps" in outport.log()
    outport.stop()
    # The usual one has become free, and is not taken any more.
    subprocess.run([*clashing_host, "ip", "route", "del", CLASH, "dev", "lo"], check=True)
    outport.start()
    assert outport.summary()["VPC"] == chosen
    outport.stop()
    # And what uses the chosen one now has to go: it is not exchanged.
    subprocess.run([*clashing_host, "ip", "route", "add", chosen, "dev", "lo"], check=True)
    done = subprocess.run([*clashing_host, outport.binary, "up", "--data-dir", outport.data_dir,
                           "--listen", str(outport.port)], capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert "the range of this data directory is fixed: free it on this host" in done.stderr
    outport.assert_nothing_left()


def test_a_first_start_that_is_refused_leaves_nothing_and_its_advice_works(outport, clashing_host, tmp_path):
    outport.vpc_cidr = None
    outport.within = clashing_host
    outport.data_dir = tmp_path / "var/lib/outport"
    done = subprocess.run([*clashing_host, outport.binary, "up", "--data-dir", outport.data_dir, "--listen",
                           str(outport.port), "--default-vpc-cidr", CLASH],
                          capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert "leave --default-vpc-cidr away, and a free range is taken" in done.stderr, done.stderr
    assert not (tmp_path / "var").exists()
    outport.start()
    assert outport.summary()["VPC"] != CLASH
    outport.stop()
    outport.assert_nothing_left()


def test_range_and_cluster_are_remembered_and_a_contradiction_is_refused(binary, outport):
    outport.start("--cluster", "edge")
    first = outport.vpc_cidr
    outport.stop()
    listen = ("--listen", str(outport.port))
    line = refused(binary, outport, *listen, "--default-vpc-cidr", "10.250.0.0/16")
    assert f"is {first}, not 10.250.0.0/16: start without --default-vpc-cidr" in line
    line = refused(binary, outport, *listen, "--cluster", "default")
    assert "of the cluster edge, not of default: start without --cluster" in line
    outport.vpc_cidr = None
    outport.start()
    assert outport.summary()["VPC"] == first
    assert outport.summary()["cluster"] == "edge"
    assert outport.connected_instances() == []
    (arn,) = outport.ecs.list_container_instances(cluster="edge")["containerInstanceArns"]
    assert "/edge/" in arn
    outport.stop()
    stored = json.loads((outport.data_dir / "settings").read_text())
    assert stored["cluster"] == "edge" and stored["default_vpc_cidr"] == first
    outport.assert_nothing_left()


def test_the_start_says_what_it_serves_and_what_to_do_next(outport):
    outport.start("--cpu-units", "1536", "--memory-mib", "900")
    said = outport.summary()
    assert said["serves"].startswith("Amazon ECS")
    assert said["data"] == str(outport.data_dir)
    assert (said["account"], said["region"]) == ("000000000000", "us-east-1")
    assert said["VPC"] == outport.vpc_cidr
    assert (said["cluster"], said["CPU"], said["memory"]) == \
        ("default", "1536 units (1.5 vCPU)", "900 MiB")
    # What it says to do next works as it stands.
    next_command = said["next"].replace("outport env", f"{outport.binary} env", 1)
    shell = subprocess.run(["sh", "-c", f"{next_command}; echo $AWS_ENDPOINT_URL"],
                           capture_output=True, text=True, check=True)
    assert shell.stdout.strip() == outport.url


@pytest.mark.parametrize("listen", ["{}", "localhost:{}"])
def test_a_port_alone_and_localhost_are_this_machine(outport, listen):
    outport.listen = listen.format(outport.port)
    outport.start()
    assert f"ready at http://127.0.0.1:{outport.port}\n" in outport.log()
    outport.stop()


def test_a_colon_and_a_port_are_all_addresses(outport):
    outport.listen = f":{outport.port}"
    outport.start("--plain-http", "nobody")
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{outport.port}"], capture_output=True,
                               text=True, check=True).stdout
    assert f"0.0.0.0:{outport.port}" in listening
    outport.stop()


def test_an_address_of_another_machine_gets_advice(binary, outport):
    line = refused(binary, outport, "--listen", "192.0.2.1:4566", "--default-vpc-cidr",
                   outport.vpc_cidr)
    assert "this machine does not have that address" in line and "--listen :PORT" in line
