"""Outport's own image under a Docker engine: with what docs/guide/install.md says, and without."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml
from support import image_tools
from support.docker import Docker
from support.outport import READY, Outport
from support.packaging import package
from support.wait import until

EXAMPLES = Path(__file__).parents[2] / "examples"
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


def pieces(flag, *without):
    """The values of an option, of all that `--privileged` gives."""
    words = options(*without)
    return [value for name, value in zip(words, words[1:]) if name == flag]


# What the command `docker` makes of systempaths=unconfined, and its library for Python does not know.
UNMASKED = """
import docker.models.containers
class HostConfig(docker.types.HostConfig):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.update(MaskedPaths=[], ReadonlyPaths=[])
docker.models.containers.HostConfig = HostConfig
"""


def test_testcontainers(docker, tmp_path):
    """The recipe, with an engine of the tests' own and the pieces of its privileges."""
    security = [option for option in pieces("--security-opt") if "systempaths" not in option]
    privileges = {"cap_add": pieces("--cap-add"), "security_opt": security,
                  "device_cgroup_rules": pieces("--device-cgroup-rule")}
    (tmp_path / "test_recipe.py").write_text(
        f"import sys\nsys.path.insert(0, {str(EXAMPLES / 'testcontainers')!r})\n"
        f"{UNMASKED}\nimport test_service\ntest_service.PRIVILEGES = {privileges!r}\n"
        "from test_service import *  # noqa: F401, F403, E402\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        capture_output=True, text=True, timeout=300, env={
            **os.environ, "DOCKER_HOST": docker.host, "OUTPORT_IMAGE": docker.image,
            "DOCKER_CONFIG": str(docker.directory / "config"), "PYTHONDONTWRITEBYTECODE": "1",
            # It is an image of the internet.
            "TESTCONTAINERS_RYUK_DISABLED": "true"})
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    assert docker.run("ps", "--all", "--quiet").stdout == ""
    assert docker.run("volume", "ls", "--quiet").stdout == ""


class ByCompose(InDocker):
    """The service of the compose file, by the `docker run` that Docker Compose would make of it."""

    FLAGS = {"network_mode": "--network", "cgroup": "--cgroupns",
             "restart": "--restart", "volumes": "--volume", "stop_grace_period": "--stop-timeout"}

    def start(self, *_):
        document = yaml.safe_load((EXAMPLES / "docker-compose/compose.yaml").read_text())
        service = document["services"]["outport"]
        known = {*self.FLAGS, "image", "command", "privileged", "healthcheck"}
        assert set(service) == known, "each key of the file is tried"
        service["stop_grace_period"] = service["stop_grace_period"].removesuffix("s")
        # The test stops it itself, and has its data on the host.
        service["restart"] = "no"
        service["volumes"][-1] = f"{self.data_dir}:/var/lib/outport"
        command = [word.replace("${OUTPORT_PORT:-4566}", str(self.port)) for word in service["command"]]
        assert service["privileged"] is True
        arguments = [each for name in ("capabilities", "sysctl", "profile") for each in PIECES[name]]
        for rule in pieces("--device-cgroup-rule"):
            arguments += ["--device-cgroup-rule", rule]
        for key, flag in self.FLAGS.items():
            values = service[key] if isinstance(service[key], list) else [service[key]]
            arguments += [f"{flag}={value}" for value in values]
        assert service["image"] == "outport:${OUTPORT_VERSION:-0.1.0}"
        self.docker.run("run", "--detach", "--name", self.name, *arguments, self.docker.image,
                        *command, "--default-vpc-cidr", self.vpc_cidr)
        check = service["healthcheck"]["test"]
        assert check[0] == "CMD"
        is_healthy = lambda: self.docker.run("exec", self.name, *check[1:], check=False).returncode == 0  # noqa: E731
        until(is_healthy, lambda: f"its check says that it is healthy\n{self.log()}", 90)


def test_the_compose_file(docker, binary, app_image, tmp_path):
    outport = ByCompose(binary, tmp_path, docker)
    try:
        outport.start()
        said = docker.run("exec", outport.name, "outport", "env").stdout
        assert f"export AWS_ENDPOINT_URL='{outport.url}'" in said
        family = outport.register("web", [{
            "name": "web", "image": f"{push(outport, app_image)}:1.0", "memory": 64}],
            networkMode="awsvpc")
        task = outport.run(family, networkConfiguration={
            "awsvpcConfiguration": {"subnets": [outport.subnet()]}})
        outport.reaches(task["taskArn"], "RUNNING", 90)
        outport.stop(180)
        outport.assert_nothing_left()
    finally:
        outport.destroy()
