"""One `outport up` under test: start, stop, kill, its AWS clients, and what it left on the host."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import boto3
import botocore.config

from support import image_tools
from support.reservation import Reservation
from support.wait import until

READY = "outport is ready at"


class Outport:
    def __init__(self, binary, directory):
        self.binary = Path(binary)
        self.directory = Path(directory)
        self.data_dir = self.directory / "data"
        self.reserved = Reservation()
        self.port = self.reserved.port
        self.listen = f"127.0.0.1:{self.port}"
        # None: Outport's own choice.
        self.vpc_cidr = self.reserved.vpc_cidr
        # A command that runs it, such as one that enters a namespace.
        self.within = []
        self.process = None
        self.ready_before = 0
        self.log_path = self.directory / "outport.log"
        self._clients = {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, *options, env=None, ready=True, output=None):
        """Starts it and waits until it says that it is ready.

        `output` takes what it prints instead of the log; whoever names one waits by other means.
        """
        self.ready_before = self.log().count(READY)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, self.binary, "up", "--data-dir", self.data_dir, "--listen",
                 self.listen, *self.range_options(), *options],
                stdout=output or log, stderr=output or log, stdin=subprocess.DEVNULL,
                # A second signal would mean "kill the tasks": a Ctrl-C is not for it, but for us.
                start_new_session=True, env={**os.environ, **(env or {})})
        self._clients.clear()
        if ready:
            self.wait_until_ready()
        return self

    def wait_until_ready(self):
        until(self._is_ready, "outport says that it is ready", 90)

    def range_options(self):
        return ["--default-vpc-cidr", self.vpc_cidr] if self.vpc_cidr else []

    def summary(self):
        """Names and values that the last start said."""
        text = self.log().rpartition(READY)[2]
        return dict(re.findall(r"^  (\w+) +(.+)$", text, re.M))

    def _is_ready(self):
        assert self.process.poll() is None, f"outport ended early:\n{self.log()}"
        return self.log().count(READY) > self.ready_before

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self, patience_s=60):
        """SIGTERM, then the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=patience_s)
        assert code == 0, f"exit code {code}:\n{self.log()}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def destroy(self):
        """Whatever the test did: nothing of it stays on the machine."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                # Tasks that do not listen are killed.
                self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=90)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process:
            self.cleanup()

    def cleanup(self):
        """`outport cleanup`; what it said."""
        return subprocess.run([self.binary, "cleanup", "--data-dir", self.data_dir], check=True,
                              capture_output=True, text=True).stdout

    # -- clients

    def env(self):
        """What `eval "$(outport env)"` sets."""
        text = subprocess.run([self.binary, "env", "--data-dir", self.data_dir], check=True,
                              capture_output=True, text=True).stdout
        pairs = re.findall(r"^export (\w+)='?([^'\n]*)'?$", text, re.M)
        return dict(pairs)

    def client(self, service):
        if service not in self._clients:
            env = self.env()
            self._clients[service] = boto3.client(
                service, endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_REGION"],
                aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
                config=botocore.config.Config(retries={"max_attempts": 1}))
        return self._clients[service]

    @property
    def ecs(self):
        return self.client("ecs")

    def aws(self, *arguments, check=True, stdin=None):
        """The stock AWS CLI; its JSON answer, its text otherwise."""
        done = subprocess.run(["aws", *arguments], input=stdin, text=True, capture_output=True,
                              env={**os.environ, **self.env()}, timeout=180)
        if not check:
            return done
        assert done.returncode == 0, f"aws {arguments}: {done.stderr}\n{self.log()[-4000:]}"
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout

    # -- images

    def repository_uri(self, name):
        repositories = self.client("ecr").describe_repositories(repositoryNames=[name])
        return repositories["repositories"][0]["repositoryUri"]

    def push(self, image, repository, *tags):
        """Makes the repository if need be and pushes with skopeo, as a user would."""
        ecr = self.client("ecr")
        try:
            uri = self.repository_uri(repository)
        except ecr.exceptions.RepositoryNotFoundException:
            uri = ecr.create_repository(repositoryName=repository)["repository"]["repositoryUri"]
        password = self.aws("ecr", "get-login-password").strip()
        auth_file = self.directory / "auth.json"
        image_tools.run("skopeo", "login", "--authfile", auth_file, "--username", "AWS",
                        "--password-stdin", uri.split("/")[0], input=password)
        for tag in tags:
            image_tools.run("skopeo", "copy", "--insecure-policy", "--authfile", auth_file,
                            f"oci:{image.directory}:{tag}", f"docker://{uri}:{tag}")
        return uri

    # -- tasks

    def register(self, family, containers, **options):
        """A task definition of one or more containers; answers family:revision.

        What the first process of a container does not listen to ends it after the stop timeout: a short one here.
        """
        containers = [{"stopTimeout": 2, **container} for container in containers]
        answer = self.ecs.register_task_definition(
            family=family, containerDefinitions=containers, **options)["taskDefinition"]
        return f"{answer['family']}:{answer['revision']}"

    def execution_role(self, name="ecsTaskExecutionRole"):
        """The ARN of a role with which images are pulled and logs written."""
        iam = self.client("iam")
        try:
            return iam.get_role(RoleName=name)["Role"]["Arn"]
        except iam.exceptions.NoSuchEntityException:
            statement = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
            trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
            policy = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
            iam.attach_role_policy(RoleName=name, PolicyArn=policy)
            statement = {"Effect": "Allow", "Action": "logs:CreateLogGroup", "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_role_policy(RoleName=name, PolicyName="groups", PolicyDocument=policy)
            return role

    def subnet(self):
        return self.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]

    def awsvpc(self):
        return {"awsvpcConfiguration": {"subnets": [self.subnet()], "assignPublicIp": "ENABLED"}}

    def run(self, definition, launch_type="EC2", **options):
        """One task; its description."""
        answer = self.ecs.run_task(taskDefinition=definition, launchType=launch_type, **options)
        assert not answer["failures"], answer["failures"]
        return answer["tasks"][0]

    def task(self, arn):
        return self.ecs.describe_tasks(tasks=[arn])["tasks"][0]

    def connected_instances(self):
        """The container instances that get tasks."""
        arns = self.ecs.list_container_instances(status="ACTIVE")["containerInstanceArns"]
        described = self.ecs.describe_container_instances(containerInstances=arns) if arns else {}
        found = described.get("containerInstances", [])
        return [instance for instance in found if instance["agentConnected"]]

    def reaches(self, arn, status, patience_s=60):
        """The description of the task once it has that status; fails if it stops before."""
        def look():
            task = self.task(arn)
            if task["lastStatus"] == status:
                return task
            assert status == "STOPPED" or task["lastStatus"] != "STOPPED", task
            return None
        return until(look, f"{arn} is {status}\n{self.log()[-3000:]}", patience_s)

    def address(self, task):
        details = task["attachments"][0]["details"]
        return next(d["value"] for d in details if d["name"] == "privateIPv4Address")

    # -- the host

    def instance(self):
        return (self.data_dir / "instance").read_text().strip()

    def left_on_host(self):
        """Everything on this host that carries the instance's id."""
        instance = self.instance()
        found = [line for line in Path("/proc/self/mounts").read_text().splitlines()
                 if instance in line]
        # Not `Path.glob`: it fails when a directory goes away meanwhile, such as another Outport's task.
        found += [os.path.join(parent, name) for parent, names, _ in os.walk("/sys/fs/cgroup")
                  for name in names if name.startswith("outport") and instance in name]
        for command in (["ip", "-o", "link"], ["ip", "route"], ["nft", "list", "tables"]):
            text = subprocess.run(command, capture_output=True, text=True).stdout
            found += [line for line in text.splitlines()
                      if instance in line or link_prefix(instance) in line]
        run = Path("/run/outport") / instance
        if run.exists():
            found.append(str(run))
        processes = subprocess.run(["pgrep", "-af", str(self.data_dir)], capture_output=True,
                                   text=True).stdout
        found += [line for line in processes.splitlines() if "pgrep" not in line]
        return found

    def assert_nothing_left(self):
        until(lambda: not self.left_on_host(), lambda: f"nothing is left: {self.left_on_host()}")


def link_prefix(instance):
    """What the names of an instance's links begin with: `op` and five digits of its FNV-1a, folded."""
    digest = 0xcbf29ce484222325
    for byte in instance.encode():
        digest = (digest ^ byte) * 0x100000001b3 % 2**64
    return f"op{(digest ^ digest >> 32) & 0xfffff:05x}"
