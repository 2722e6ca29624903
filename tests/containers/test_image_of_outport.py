"""Outport's own image under a Docker engine: with what docs/guide/install.md says, and without."""

import urllib.request
from pathlib import Path

import pytest
from support import image_tools
from support.docker import Docker
from support.outport import READY, Outport
from support.packaging import package
from support.wait import until

# What `--privileged` gives, one by one: a machine may lack some of its capabilities.
PIECES = {
    "capabilities": ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"],
    "sysctl": ["--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined"],
    "profile": ["--security-opt", "apparmor=unconfined"],
    "cgroups": ["--cgroupns=host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup"],
    "devices": ["--volume", "/dev:/dev", "--device-cgroup-rule", "b 7:* rwm",
                "--device-cgroup-rule", "c 10:237 rwm"],
}


@pytest.fixture(scope="module")
def docker(tmp_path_factory, binary):
    engine = Docker(tmp_path_factory.mktemp("docker"))
    reason = engine.start()
    if reason:
        engine.stop()
        pytest.skip(reason)
    files = package(binary, tmp_path_factory.mktemp("image"), "--only", "image")
    (archive,) = [path for name, path in files.items() if name.endswith(".oci.tar")]
    loaded = engine.run("load", "--input", archive).stdout
    engine.image = loaded.split("Loaded image: ")[1].strip()
    yield engine
    engine.stop()


def options(*without):
    return [each for name, piece in PIECES.items() if name not in without for each in piece]


class InDocker(Outport):
    """An Outport in a container of the network of the host, with its data directory on the host."""

    def __init__(self, binary, directory, docker):
        super().__init__(binary, directory)
        self.docker = docker
        self.name = f"outport-{self.port}"

    def start(self, *_):
        self.docker.run(
            "run", "--detach", "--init=false", "--name", self.name, "--network", "host", *options(),
            "--volume", f"{self.data_dir}:/var/lib/outport", self.docker.image, "up",
            "--listen", f"127.0.0.1:{self.port}", "--default-vpc-cidr", self.vpc_cidr)
        until(lambda: READY in self.log(), lambda: f"it is ready\n{self.log()}", 90)

    def log(self):
        done = self.docker.run("logs", self.name)
        return done.stdout + done.stderr

    def stop(self, patience_s=60):
        self.docker.run("stop", "--time", str(patience_s), self.name)
        state = self.docker.run("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout
        assert state.strip() == "0", self.log()

    def destroy(self):
        self.docker.run("stop", "--time", "60", self.name, check=False)
        self.docker.run("rm", "--force", self.name, check=False)
        if (self.data_dir / "instance").exists():
            self.cleanup()


def test_a_task_runs_in_the_container(docker, binary, app_image, tmp_path):
    outport = InDocker(binary, tmp_path, docker)
    try:
        outport.start()
        uri = push(outport, app_image)
        family = outport.register("web", [{
            "name": "web", "image": f"{uri}:1.0", "essential": True, "memory": 64}],
            networkMode="awsvpc")
        task = outport.run(family, networkConfiguration={
            "awsvpcConfiguration": {"subnets": [outport.subnet()]}})
        task = outport.reaches(task["taskArn"], "RUNNING", 90)
        address = outport.address(task)
        until(lambda: page(address), "the page of the task is there", 60)
        assert "user_namespaces_off" not in outport.log(), outport.log()
        # Those whose parent has ended are waited for by the first process.
        outport.ecs.stop_task(task=task["taskArn"])
        outport.reaches(task["taskArn"], "STOPPED", 90)
        first = outport.docker.run("inspect", "--format", "{{.State.Pid}}", outport.name).stdout.strip()
        until(lambda: not zombies_of(first), "no zombie is left", 30)
        outport.stop()
        outport.assert_nothing_left()
    finally:
        outport.destroy()


def page(address):
    try:
        with urllib.request.urlopen(f"http://{address}:8000/", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def push(outport, image):
    """Not as `Outport.push`: it cannot tell the tools of the host that the registry speaks plain HTTP here."""
    created = outport.client("ecr").create_repository(repositoryName="app")
    uri = created["repository"]["repositoryUri"]
    password = outport.aws("ecr", "get-login-password").strip()
    image_tools.run("skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds",
                    f"AWS:{password}", f"oci:{image.directory}:1.0", f"docker://{uri}:1.0")
    return uri


def zombies_of(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, of, *_ = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state == "Z" and of == parent:
            found.append(stat)
    return found


@pytest.mark.parametrize("without, said", [
    (list(PIECES), ["CAP_SYS_ADMIN", "docker run --privileged --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup"]),
    (["capabilities"], ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "docker run --privileged ("]),
    (["sysctl"], ["/proc/sys is read-only", "docker run --privileged ("]),
    (["cgroups"], ["control group", "docker run --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup ("]),
    (["devices"], ["/dev/loop-control", "docker run -v /dev:/dev ("]),
])
def test_what_is_missing_is_named_with_its_option(docker, without, said):
    done = docker.run("run", "--rm", "--network", "none", *options(*without), docker.image, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1, lines
    for part in said:
        assert part in lines[0], lines
