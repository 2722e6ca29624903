"""`outport export` and `outport import`: accounts come as moto has them, exports go by the AWS CLI."""

import json
import os
import re
import shutil
import subprocess
import urllib.request

import boto3
import pytest

from support.outport import Outport
from support.reservation import Reservation
from support.terraform import Terraform
from support.wait import until

ROLE = "arn:aws:iam::{}:role/x"
# What is said of a revision. Which attributes it requires depends on the name by which its registry is called.
OUTPUTS = ("taskDefinitionArn", "revision", "registeredAt", "registeredBy", "requiresAttributes")


LIFECYCLE = json.dumps({"rules": [{"rulePriority": 1, "selection": {
    "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 9}, "action": {"type": "expire"}}]})


def policy(account):
    """Of a repository: two principals of the account, as an ARN and as its number."""
    principals = [f"arn:aws:iam::{account}:role/ci", account]
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Sid": "s", "Effect": "Allow", "Principal": {"AWS": principals}, "Action": "ecr:BatchGetImage"}]})


def policies(ecr, repository):
    """The policy and the lifecycle policy of a repository, as they were given."""
    texts = (ecr.get_repository_policy(repositoryName=repository)["policyText"],
             ecr.get_lifecycle_policy(repositoryName=repository)["lifecyclePolicyText"])
    return tuple(json.loads(text) for text in texts)


def given(account):
    return json.loads(policy(account)), json.loads(LIFECYCLE)


class Account:
    """An account of AWS, as moto answers for it."""

    id = "123456789012"
    region = "eu-west-1"

    def __init__(self, url):
        self.url = url
        self.ecs, self.ecr, self.logs = (self.client(name) for name in ("ecs", "ecr", "logs"))

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, region_name=self.region,
                            aws_access_key_id="there", aws_secret_access_key="secret")

    def profile(self, directory):
        """The environment in which a profile `there` is this account's."""
        (directory / "credentials").write_text(
            "[there]\naws_access_key_id = there\naws_secret_access_key = secret\n")
        (directory / "config").write_text(f"[profile there]\nregion = {self.region}\n")
        return {"AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
                "AWS_CONFIG_FILE": str(directory / "config")}

    def web(self, command):
        container = {
            "name": "web", "image": f"{self.id}.dkr.ecr.{self.region}.amazonaws.com/team/app:1.0",
            "command": ["sh", "-c", command], "portMappings": [{"containerPort": 80}],
            "environment": [{"name": "QUEUE", "value": f"arn:aws:sqs:{self.region}:{self.id}:q"}],
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "/ecs/web", "awslogs-region": self.region,
                "awslogs-stream-prefix": "web"}}}
        return self.ecs.register_task_definition(
            family="web", containerDefinitions=[container], networkMode="awsvpc", cpu="256",
            memory="512", requiresCompatibilities=["FARGATE"],
            executionRoleArn=ROLE.format(self.id), tags=[{"key": "team", "value": "a"}])

    def fill(self):
        self.ecs.create_cluster(clusterName="prod")
        self.ecs.create_cluster(clusterName="other")
        self.ecr.create_repository(repositoryName="team/app", imageTagMutability="IMMUTABLE",
                                   tags=[{"Key": "team", "Value": "a"}])
        self.ecr.set_repository_policy(repositoryName="team/app", policyText=policy(self.id))
        self.ecr.put_lifecycle_policy(repositoryName="team/app", lifecyclePolicyText=LIFECYCLE)
        self.logs.create_log_group(logGroupName="/ecs/web", tags={"team": "a"})
        self.logs.put_retention_policy(logGroupName="/ecs/web", retentionInDays=14)
        self.logs.create_log_group(logGroupName="/aws/lambda/other")
        for command in ("one", "two", "three"):
            self.web(command)
        self.ecs.register_task_definition(family="job", containerDefinitions=[{
            "name": "job", "image": "busybox", "memory": 64,
            "interactive": True}])
        ec2 = self.client("ec2")
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
        self.groups = [group["GroupId"]
                       for group in ec2.describe_security_groups()["SecurityGroups"]]
        network = {"awsvpcConfiguration": {"subnets": subnets, "securityGroups": self.groups,
                                           "assignPublicIp": "ENABLED"}}
        for name, definition, cluster in (("web", "web:3", "prod"), ("before", "web:2", "prod"),
                                          ("far", "web:1", "other")):
            self.ecs.create_service(
                cluster=cluster, serviceName=name, taskDefinition=definition, desiredCount=0,
                launchType="FARGATE", networkConfiguration=network,
                tags=[{"key": "team", "value": "a"}])
        self.ecs.create_service(
            cluster="prod", serviceName="balanced", taskDefinition="web:3", desiredCount=0,
            launchType="FARGATE", networkConfiguration=network, loadBalancers=[
                {"containerName": "web", "containerPort": 80, "targetGroupArn": "arn:x"}])
        self.ecs.create_service(cluster="prod", serviceName="each", taskDefinition="job",
                                schedulingStrategy="DAEMON")
        self.ecs.create_service(cluster="prod", serviceName="checked", taskDefinition="job",
                                desiredCount=0)
        return self


@pytest.fixture
def account():
    from moto.server import ThreadedMotoServer
    reserved = Reservation()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=reserved.port, verbose=False)
    server.start()
    # Its accounts are the process's, and outlive a server.
    urllib.request.urlopen(urllib.request.Request(
        f"http://127.0.0.1:{reserved.port}/moto-api/reset", method="POST"), timeout=60).close()
    yield Account(f"http://127.0.0.1:{reserved.port}").fill()
    server.stop()


def carry(outport, *arguments, env=None, check=True):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run([outport.binary, *arguments], capture_output=True, text=True, timeout=120,
                          env={**clean, **(env or {})})
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def left_of(said):
    """What an import says that it does not carry."""
    return said.split("\nnot carried:\n")[1].split("\n\n")[0].splitlines()


def everything(outport):
    """What an import makes, as it is described."""
    ecs = outport.ecs
    clusters = sorted(ecs.list_clusters()["clusterArns"])
    services = [arn for cluster in clusters
                for arn in ecs.list_services(cluster=cluster)["serviceArns"]]
    groups = outport.client("logs").describe_log_groups()["logGroups"]
    repositories = outport.client("ecr").describe_repositories()["repositories"]
    return (clusters, sorted(services), ecs.list_task_definitions()["taskDefinitionArns"],
            sorted(group["logGroupName"] for group in groups),
            sorted(repository["repositoryName"] for repository in repositories))


def test_an_account_is_imported_and_a_second_time_nothing(outport, account, tmp_path):
    outport.start()
    # Roles are not carried, and one that a policy names has to be there.
    outport.execution_role("ci")
    env = account.profile(tmp_path)

    def bring(*options):
        done = carry(outport, "import", "--from-endpoint", account.url, "--profile", "there",
                     "--data-dir", outport.data_dir, *options, env=env, check=False)
        # Of the services there two cannot be made here.
        assert done.returncode == 1, done.stdout
        assert "asked for and not made, with the reasons above: service each of prod, " in done.stderr
        return done.stdout

    before = everything(outport)
    planned = bring("--cluster", "prod", "--dry-run")
    assert everything(outport) == before, "a dry run makes nothing"
    for line in ("would make       cluster prod", "would make       repository team/app",
                 "would make       repository-policy team/app", "would make       lifecycle-policy team/app",
                 "would make       log group /ecs/web", "would make       retention of /ecs/web: 14 days",
                 "would make       task definition web:2", "would make       task definition web:3",
                 "would make       service before of prod", "would make       service balanced of prod"):
        assert line in planned, planned
    assert "web:1" not in planned and "far" not in planned and "lambda" not in planned, planned

    assert "service checked of prod: its task definition is not run here" in planned
    assert "would make       service checked" not in planned

    made = bring("--cluster", "prod")
    assert left_of(made) == left_of(planned)
    for left in ("service balanced of prod: loadBalancers: there are no load balancers yet",
                 "service each of prod: DAEMON services are not built yet",
                 "service web of prod: securityGroups: the default VPC's is taken",
                 "task definition job:1: kept and shown, but not run here: "
                 "containerDefinitions[job].interactive",
                 "images of the registry there (1): --images copies them",
                 "service checked of prod: "):
        assert left in made, made
    names = ["web", "before", "balanced", "each", "checked"]
    here = outport.ecs.describe_services(cluster="prod", services=names)
    services = {service["serviceName"]: service for service in here["services"]}
    assert set(services) == {"web", "before", "balanced"}, made
    web = services["web"]
    assert web["taskDefinition"].endswith("web:2") and web["launchType"] == "FARGATE"
    assert services["before"]["taskDefinition"].endswith("web:1")
    awsvpc = web["networkConfiguration"]["awsvpcConfiguration"]
    subnets = outport.client("ec2").describe_subnets()["Subnets"]
    assert awsvpc["subnets"] == [subnet["SubnetId"] for subnet in subnets] and awsvpc["assignPublicIp"] == "ENABLED"
    definition = outport.ecs.describe_task_definition(taskDefinition="web", include=["TAGS"])
    tags = {tag["key"]: tag["value"] for tag in definition["tags"]}
    assert tags.pop("outport:source").startswith(f"{account.id}/{account.region}/3 ")
    assert tags == {"team": "a"}
    definition = definition["taskDefinition"]
    container, = definition["containerDefinitions"]
    assert container["command"] == ["sh", "-c", "three"]
    assert container["image"] == "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app:1.0"
    assert container["environment"][0]["value"] == f"arn:aws:sqs:{account.region}:{account.id}:q"
    assert container["logConfiguration"]["options"]["awslogs-region"] == "us-east-1"
    assert definition["executionRoleArn"] == ROLE.format("000000000000")
    repository, = outport.client("ecr").describe_repositories()["repositories"]
    assert (repository["repositoryName"], repository["imageTagMutability"]) == ("team/app", "IMMUTABLE")
    assert policies(outport.client("ecr"), "team/app") == given("000000000000")
    group, = outport.client("logs").describe_log_groups()["logGroups"]
    assert (group["logGroupName"], group["retentionInDays"]) == ("/ecs/web", 14)

    after = everything(outport)
    again = bring("--cluster", "prod")
    assert "\n0 made, " in again and everything(outport) == after, again
    # What has come since comes: another cluster, and revisions that no service uses.
    more = bring("--all-revisions")
    assert "made             service far of other" in more, more
    assert "made             task definition web:1" in more, more
    assert "\n0 made, " in bring("--all-revisions")
    # What was changed here is left so, and said.
    outport.ecs.update_service(cluster="prod", service="web", desiredCount=0, taskDefinition="web:1")
    assert "service web of prod: taskDefinition: it runs web:1 here" in bring("--cluster", "prod")


def test_what_cannot_be_read_is_said_in_a_line(shared_outport, tmp_path):
    outport = shared_outport
    data_dir = ("--data-dir", outport.data_dir)

    def refused(*arguments, env=None):
        done = carry(outport, *arguments, env=env, check=False)
        assert done.returncode == 1, done.stdout
        return done.stderr
    assert "say what is read: --profile" in refused("import", *data_dir)
    assert "say --profile, or set AWS_ACCESS_KEY_ID" in refused(
        "import", *data_dir, "--from-endpoint", "http://127.0.0.1:1")
    (tmp_path / "config").write_text("[profile far]\nrole_arn = arn:aws:iam::1:role/x\n")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"),
             "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    assert "aws configure export-credentials --profile far" in refused(
        "import", *data_dir, "--profile", "far", env=files)
    key = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert "which region is read?" in refused(
        "import", *data_dir, "--from-endpoint", "http://127.0.0.1:1", env=key)
    assert "no answer from http://127.0.0.1:1" in refused(
        "import", *data_dir, "--from-endpoint", "http://127.0.0.1:1", "--region", "us-east-1", env=key)
    assert "is where it would go, too" in refused(
        "import", *data_dir, "--from-endpoint", f"{outport.url}/", env=outport.env())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    assert "is not empty" in refused("export", *data_dir, str(tmp_path / "full"))
    assert "there is no cluster" in refused(
        "export", *data_dir, "--cluster", "none", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def fill(outport, uri):
    """Things to carry, of an Outport with an image."""
    outport.execution_role("ci")
    outport.ecs.create_cluster(clusterName="carried")
    ecr = outport.client("ecr")
    ecr.set_repository_policy(repositoryName="app", policyText=policy("000000000000"))
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=LIFECYCLE)
    logs = outport.client("logs")
    logs.create_log_group(logGroupName="/ecs/carried", tags={"team": "a"})
    logs.put_retention_policy(logGroupName="/ecs/carried", retentionInDays=7)
    for greeting in ("one", "${HOME} %{x}"):
        outport.register("carried", [{
            "name": "web", "image": f"{uri}:1.0", "portMappings": [{"containerPort": 8000}],
            "command": ["sh", "-c", f"trap 'exit 0' TERM; echo '{greeting}'; sleep 600 & wait"],
            "environment": [{"name": "QUEUE", "value": "arn:aws:sqs:us-east-1:000000000000:q"}],
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "/ecs/carried", "awslogs-region": "us-east-1",
                "awslogs-stream-prefix": "web"}}}],
            networkMode="awsvpc", cpu="256", memory="512", requiresCompatibilities=["FARGATE"],
            executionRoleArn=ROLE.format("000000000000"), tags=[{"key": "team", "value": "a"}])
    for name, definition in (("newest", "carried"), ("older", "carried:1")):
        outport.ecs.create_service(
            cluster="carried", serviceName=name, taskDefinition=definition, desiredCount=0,
            launchType="FARGATE", networkConfiguration=outport.awsvpc(), propagateTags="SERVICE",
            deploymentConfiguration={"maximumPercent": 150, "minimumHealthyPercent": 50,
                                     "deploymentCircuitBreaker": {"enable": True, "rollback": True}})


def described(outport):
    """What is the same on both sides, whatever the addresses there."""
    ecs = outport.ecs
    found = []
    for service in ecs.describe_services(cluster="carried", services=["newest", "older"])["services"]:
        definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"],
                                                  include=["TAGS"])
        of_family = {name: value for name, value in definition["taskDefinition"].items()
                     if name not in OUTPUTS}
        for container in of_family["containerDefinitions"]:
            # Its own registry has the name of where it is asked.
            container["image"] = container["image"].split("/", 1)[1]
        members = ("serviceName", "desiredCount", "launchType", "propagateTags",
                   "deploymentConfiguration", "platformVersion", "schedulingStrategy")
        found.append(({name: service.get(name) for name in members}, of_family, definition["tags"]))
    group, = outport.client("logs").describe_log_groups(logGroupNamePrefix="/ecs/carried")["logGroups"]
    names = [one["repositoryName"] for one in outport.client("ecr").describe_repositories()["repositories"]]
    return found, group["retentionInDays"], names, policies(outport.client("ecr"), "app")


@pytest.fixture(scope="module")
def filled(binary, tmp_path_factory, app_image):
    """An Outport with things to carry, and with nothing of other tests'."""
    outport = Outport(binary, tmp_path_factory.mktemp("filled"))
    outport.start()
    try:
        outport.push(app_image, "app", "1.0")
        # The name that AWS gives it, which this registry takes for its own: exported it is the same.
        fill(outport, "000000000000.dkr.ecr.us-east-1.amazonaws.com/app")
        yield outport
    finally:
        outport.destroy()


def test_an_export_makes_the_same_by_the_aws_cli(filled, outport, tmp_path):
    there = tmp_path / "exported"
    said = carry(filled, "export", "--data-dir", filled.data_dir, "--cluster", "carried", str(there))
    assert said.stdout.startswith("exported 1 cluster, "), said.stdout
    assert (there / "not-carried.txt").read_text() == "", said.stderr
    assert {path.stat().st_mode & 0o077 for path in there.iterdir()} == {0}
    outport.start()
    outport.execution_role("ci")

    def apply():
        return subprocess.run([there / "apply.sh"], env={**os.environ, **outport.env()}, timeout=180,
                              capture_output=True, text=True)
    done = apply()
    assert done.returncode == 0, done.stdout + done.stderr
    for mine, theirs in zip(described(outport), described(filled), strict=True):
        assert mine == theirs
    # Nothing is made twice but revisions.
    again = apply()
    assert again.returncode == 0 and "made   service" not in again.stdout, again.stdout + again.stderr
    assert "there  service newest" in again.stdout


def test_an_export_goes_to_another_account(filled, account, tmp_path):
    there = tmp_path / "exported"
    carry(filled, "export", "--data-dir", filled.data_dir, "--cluster", "carried", str(there))
    done = subprocess.run([there / "apply.sh"], capture_output=True, text=True, timeout=180, env={
        **os.environ, "AWS_ENDPOINT_URL": account.url, "AWS_REGION": account.region,
        "SECURITY_GROUPS": account.groups[0], "AWS_ACCESS_KEY_ID": "there", "AWS_SECRET_ACCESS_KEY": "secret"})
    assert done.returncode == 0, done.stdout + done.stderr
    definition = account.ecs.describe_task_definition(taskDefinition="carried")["taskDefinition"]
    container, = definition["containerDefinitions"]
    assert container["image"] == f"{account.id}.dkr.ecr.{account.region}.amazonaws.com/app:1.0"
    assert container["environment"][0]["value"] == "arn:aws:sqs:us-east-1:000000000000:q"
    assert container["logConfiguration"]["options"]["awslogs-region"] == account.region
    assert definition["executionRoleArn"] == ROLE.format(account.id)
    services = account.ecs.describe_services(cluster="carried", services=["newest", "older"])
    found = {one["serviceName"]: one for one in services["services"]}
    assert found["newest"]["taskDefinition"].endswith("carried:2")
    assert found["older"]["taskDefinition"].endswith("carried:1")
    awsvpc = found["newest"]["networkConfiguration"]["awsvpcConfiguration"]
    default = {subnet["SubnetId"] for subnet in account.client("ec2").describe_subnets()["Subnets"]}
    assert set(awsvpc["subnets"]) <= default and awsvpc["securityGroups"] == account.groups[:1]
    assert awsvpc["assignPublicIp"] == "ENABLED"
    assert account.ecr.describe_repositories(repositoryNames=["app"])["repositories"]
    assert policies(account.ecr, "app") == given(account.id)


def test_an_account_is_exported_and_what_is_not_carried_is_named(shared_outport, account, tmp_path):
    there, env = tmp_path / "exported", account.profile(tmp_path)
    done = carry(shared_outport, "export", "--from-endpoint", account.url, "--profile", "there",
                 "--cluster", "prod", "--all-revisions", str(there), env=env)
    left = (there / "not-carried.txt").read_text().splitlines()
    assert [line.split(": ", 1)[0] for line in left] == ["service each of prod", "service balanced of prod"]
    assert all(f"not carried: {line}" in done.stderr for line in left), done.stderr
    script = (there / "apply.sh").read_text()
    order = [line.split("'")[1] for line in script.splitlines()
             if line.startswith(("make '", "service '", "definition '"))]
    assert order == ["cluster prod", "repository team/app", "log-group /ecs/web",
                     "retention /ecs/web", "job", "service checked", "web", "web", "service before", "web",
                     "service balanced", "service web"], script


def test_an_export_is_of_terraforms_form(filled, tmp_path):
    there = tmp_path / "exported"
    carry(filled, "export", "--data-dir", filled.data_dir, "--cluster", "carried", "--format",
          "terraform", str(there))
    main = json.loads((there / "main.tf.json").read_text())
    resources = main["resource"]
    assert resources["aws_ecs_cluster"]["carried"]["name"] == "carried"
    revisions = [made for made in resources["aws_ecs_task_definition"].values()
                 if made["family"] == "carried"]
    assert len(revisions) == 2 and revisions[1]["depends_on"] == ["aws_ecs_task_definition.carried"]
    text = revisions[1]["container_definitions"]
    assert "$${HOME} %%{x}" in text, "what is read is no template"
    container, = json.loads(text)
    assert container["image"] == "${var.account}.dkr.ecr.${var.region}.amazonaws.com/app:1.0"
    assert container["environment"][0]["value"] == "arn:aws:sqs:us-east-1:000000000000:q"
    assert revisions[1]["execution_role_arn"] == ROLE.format("${var.account}")
    older = resources["aws_ecs_service"]["older"]
    assert older["cluster"] == "${aws_ecs_cluster.carried.arn}"
    assert older["task_definition"] == (
        "${aws_ecs_task_definition.carried.family}:${aws_ecs_task_definition.carried.revision}")
    network, = older["network_configuration"]
    subnet = filled.subnet()
    assert network["subnets"] == [f'${{var.networks["{subnet}"]}}']
    assert main["variable"]["networks"]["default"][subnet] == subnet
    assert resources["aws_cloudwatch_log_group"]["ecs_carried"]["retention_in_days"] == 7
    adopted = json.loads((there / "adopt" / "imports.tf.json").read_text())["import"]
    made = {f"{kind}.{label}" for kind, of_kind in resources.items() for label in of_kind}
    assert {block["to"] for block in adopted} == made
    assert {"to": "aws_ecs_service.older", "id": "carried/older"} in adopted


def test_terraforms_plan_is_clean_on_either_side(filled, outport, tmp_path):
    there = tmp_path / "exported"
    terraform = Terraform(there).run
    carry(filled, "export", "--data-dir", filled.data_dir, "--cluster", "carried", "--format",
          "terraform", str(there))
    (there / "provider.tf").write_text(
        'provider "aws" {\n  skip_metadata_api_check = true\n  skip_region_validation  = true\n}\n')

    # Where it was exported: adopted as it is.
    shutil.copy(there / "adopt/imports.tf.json", there)
    terraform(filled, "init")
    plan = terraform(filled, "plan")
    assert re.search(r"to import, 0 to add, 0 to change, 0 to destroy", plan), plan
    terraform(filled, "apply", "-auto-approve")
    # 2 would be: there is something to do.
    terraform(filled, "plan", "-detailed-exitcode")

    # Elsewhere: made, and then as the files say.
    for name in ("imports.tf.json", "terraform.tfstate"):
        (there / name).unlink()
    outport.start()
    outport.execution_role("ci")
    networks = json.dumps({filled.subnet(): outport.subnet()})
    there_too = ("-var", f"networks={networks}")
    terraform(outport, "apply", "-auto-approve", *there_too)
    terraform(outport, "plan", "-detailed-exitcode", *there_too)
    terraform(outport, "destroy", "-auto-approve", *there_too)


@pytest.fixture
def refused_elsewhere(binary, tmp_path):
    """An Outport with a definition that only its own registry's name lets pass."""
    (tmp_path / "there").mkdir()
    there = Outport(binary, tmp_path / "there")
    there.start()
    try:
        there.ecs.create_cluster(clusterName="c")
        there.client("ecr").create_repository(repositoryName="app")
        for family, image in (("lacking", f"127.0.0.1:{there.port}/app"), ("plain", "busybox")):
            there.register(family, [{"name": "web", "image": image}], networkMode="awsvpc", cpu="256",
                           memory="512", requiresCompatibilities=["FARGATE"])
            there.ecs.create_service(
                cluster="c", serviceName=family, taskDefinition=family, desiredCount=0,
                launchType="FARGATE", networkConfiguration=there.awsvpc())
        yield there
    finally:
        there.destroy()


def test_what_is_refused_elsewhere_is_known_before_and_the_rest_is_made(refused_elsewhere, outport, tmp_path):
    there, files = refused_elsewhere, tmp_path / "exported"
    outport.start()
    carry(there, "export", "--data-dir", there.data_dir, "--cluster", "c", str(files))
    left = (files / "not-carried.txt").read_text()
    assert left.startswith(f'task definition lacking:1: image "127.0.0.1:{there.port}/app": '), left

    def bring(*options):
        env = {**there.env(), "AWS_ENDPOINT_URL": ""}
        return carry(outport, "import", "--data-dir", outport.data_dir, "--from-endpoint", there.url,
                     "--cluster", "c", *options, env=env, check=False)
    planned = bring("--dry-run")
    no_role = "task definition lacking:1: ClientException: Fargate requires task definition to have execution role"
    for line in (no_role, "service lacking of c: its task definition was not made", "would make       service plain of c"):
        assert line in planned.stdout, planned.stdout
    done = bring()
    assert (planned.returncode, done.returncode) == (1, 1)
    assert left_of(done.stdout) == left_of(planned.stdout)
    assert "made             service plain of c" in done.stdout, done.stdout
    assert "not made, with the reasons above: task definition lacking:1, service lacking of c" in done.stderr

    outport.ecs.delete_service(cluster="c", service="plain", force=True)
    applied = subprocess.run([files / "apply.sh"], env={**os.environ, **outport.env()}, timeout=180,
                             capture_output=True, text=True)
    assert applied.returncode == 1, applied.stdout
    assert "made   task-definition plain" in applied.stdout and "made   service plain" in applied.stdout
    told = applied.stderr.split("\nnot made:\n")[1].splitlines()
    assert told[0].startswith("  task-definition lacking: ") and "execution role ARN" in told[0], told
    assert told[1:] == ["  service lacking: its task definition was not made"], told


def test_another_outport_comes_with_its_images(filled, outport):
    outport.start()
    # Roles are not carried, and one that a policy names has to be there.
    outport.execution_role("ci")
    env = {**filled.env(), "AWS_ENDPOINT_URL": ""}
    arguments = ("import", "--data-dir", outport.data_dir, "--from-endpoint", filled.url,
                 "--cluster", "carried", "--images")
    done = carry(outport, *arguments, env=env)
    assert "copied           image app:1.0" in done.stdout, done.stdout
    assert "not carried:" not in done.stdout, done.stdout
    assert "\n0 made, 0 not carried" in carry(outport, *arguments, env=env).stdout
    # Roles are not carried: the definition names one by this name.
    outport.execution_role(ROLE.format("").rsplit("/", 1)[1])
    outport.ecs.update_service(cluster="carried", service="newest", desiredCount=1)

    def runs():
        service, = outport.ecs.describe_services(cluster="carried", services=["newest"])["services"]
        return service["runningCount"] == 1
    until(runs, lambda: f"it runs here\n{outport.log()[-3000:]}", 90)
    outport.ecs.update_service(cluster="carried", service="newest", desiredCount=0)
