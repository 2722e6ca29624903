"""What a container asks 169.254.170.2: the credentials of its task role, and its metadata."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support.task_roles import delete_role, make_role, start, trust
from support.wait import until


def client(outport, service, given):
    return boto3.client(service, endpoint_url=outport.url, region_name="us-east-1",
                        aws_access_key_id=given["AccessKeyId"], aws_secret_access_key=given["SecretAccessKey"],
                        aws_session_token=given["Token"], config=Config(retries={"max_attempts": 1}))


def refused(call):
    with pytest.raises(ClientError) as error:
        call()
    return error.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def outport(shared_outport):
    return shared_outport


@pytest.fixture
def role(outport):
    name = make_role(outport)
    yield name
    if name in [role["RoleName"] for role in outport.client("iam").list_roles()["Roles"]]:
        delete_role(outport, name)


def test_a_task_does_what_its_role_allows_and_no_other_task_does(outport, role):
    arn = f"arn:aws:iam::000000000000:role/{role}"
    task = start(outport, arn, requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    other = start(outport, None)
    try:
        environment = task.environment
        assert environment["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
        assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"
        assert not [name for name in environment if name.startswith("AWS_ENDPOINT_URL")], "nothing is forced"
        uri = environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in other.environment
        status, given = task.ask(uri)
        assert status == 200, given
        assert given["RoleArn"] == arn and sorted(given) == [
            "AccessKeyId", "Expiration", "RoleArn", "SecretAccessKey", "Token"]
        task_id = task.task["taskArn"].rsplit("/", 1)[1]
        who = client(outport, "sts", given).get_caller_identity()["Arn"]
        assert who == f"arn:aws:sts::000000000000:assumed-role/{role}/{task_id}"
        ecs = client(outport, "ecs", given)
        assert ecs.list_clusters()["clusterArns"]
        assert refused(lambda: ecs.create_cluster(clusterName="x")) == "AccessDeniedException"
        # Another task, and the host itself, who know the id.
        status, answer = other.ask(uri)
        assert (status, answer["code"], answer["HTTPErrorCode"]) == (400, "InvalidIdInRequest", 400)
        port = endpoint_port(outport)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"http://169.254.170.2:{port}{uri}", timeout=5)
        assert error.value.code == 400
        # Not in what others can read.
        file = Path("/run/outport") / outport.instance() / "endpoint" / f"{task_id}.json"
        assert file.stat().st_mode & 0o777 == 0o600 and given["SecretAccessKey"] in file.read_text()
        # The record of the task, and what else is written down there of it; its disk is 20 GiB long.
        written = [path for path in (outport.data_dir / "node/tasks").rglob("*")
                   if path.is_file() and path.stat().st_size < 1 << 20]
        assert written and not [path for path in written if given["SecretAccessKey"].encode() in path.read_bytes()]
        assert given["SecretAccessKey"] not in outport.log()
        assert uri.rsplit("/", 1)[1] not in outport.log()
        # A role that is deleted takes its credentials along.
        delete_role(outport, role)
        assert refused(ecs.list_clusters) in ("UnrecognizedClientException", "InvalidClientTokenId")
    finally:
        task.stop()
        other.stop()
    assert not file.exists(), "nothing is left of a task that has stopped"


def endpoint_port(outport):
    """Where the rules of the host lead."""
    table = f"outport_{outport.instance()}"
    text = subprocess.run(["nft", "list", "table", "inet", table], capture_output=True, text=True, check=True).stdout
    return text.split("169.254.170.2:", 1)[1].split()[0]


# In the task's network and with its variables, as an SDK that nobody has configured.
DEFAULT_CHAIN = """import boto3, json
found = boto3.Session(region_name="us-east-1").get_credentials()
print(json.dumps([found.method, found.get_frozen_credentials().access_key]))"""


# Ten thousand requests of one task: how many had which answer, and how it is a moment later.
BURST = """import collections, concurrent.futures, http.client, json, sys, time
def ask(_=None):
    connection = http.client.HTTPConnection("169.254.170.2", timeout=10)
    try:
        connection.request("GET", sys.argv[1])
        answer = connection.getresponse()
        return answer.status, len(answer.read()) > 0
    finally:
        connection.close()
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    seen = collections.Counter(pool.map(ask, range(10_000)))
time.sleep(0.1)
print(json.dumps([sorted(seen.items()), ask()]))"""


def in_the_network_of(outport, task, program, *arguments, **environment):
    """What a program prints that has the task's network, and these variables only."""
    namespace = Path("/run/outport") / outport.instance() / "ns" / task.task["taskArn"].rsplit("/", 1)[1] / "net"
    done = subprocess.run(["nsenter", f"--net={namespace}", sys.executable, "-c", program, *arguments],
                          capture_output=True, text=True, env={"HOME": "/nonexistent", **environment})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_task_that_asks_without_pause_keeps_no_other_waiting(outport, role):
    task, other = start(outport, role), start(outport, role)
    try:
        uris = [one.environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] for one in (task, other)]
        seen, after = in_the_network_of(outport, task, BURST, uris[0])
        counts = {status: count for (status, has_body), count in seen if has_body}
        assert sum(counts.values()) == 10_000 and set(counts) == {200, 429}, seen
        assert counts[200] >= 60 and after == [200, True], seen
        assert other.ask(uris[1])[0] == 200
    finally:
        task.stop()
        other.stop()


def test_an_sdk_finds_the_credentials_without_being_configured(outport, role):
    task = start(outport, role)
    try:
        uri = task.environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        found = in_the_network_of(outport, task, DEFAULT_CHAIN, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=uri)
        assert found == ["container-role", task.ask(uri)[1]["AccessKeyId"]]
    finally:
        task.stop()


def test_a_role_by_override_and_one_that_goes_while_its_task_runs(outport, role):
    iam, short_lived = outport.client("iam"), f"short-lived-{role}"
    iam.create_role(RoleName=short_lived, AssumeRolePolicyDocument=trust())
    without = start(outport, short_lived)
    task = start(outport, "no-such-role", overrides={"taskRoleArn": role})
    try:
        status, given = task.ask(task.environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"])
        assert (status, given.get("RoleArn")) == (200, f"arn:aws:iam::000000000000:role/{role}"), given
        iam.delete_role(RoleName=short_lived)
        # The task runs on, and the next one does not start.
        assert outport.task(without.task["taskArn"])["lastStatus"] == "RUNNING"
        with pytest.raises(ClientError) as refusal:
            start(outport, short_lived)
        assert not_given(short_lived) in refusal.value.response["Error"]["Message"]
    finally:
        without.stop()
        task.stop()


def not_given(role):
    return f"ECS was unable to assume the role 'arn:aws:iam::000000000000:role/{role}' that was provided for this task. " \
           "Please verify that the role being passed has the proper trust relationship and permissions and that your IAM " \
           "user has permissions to pass this role."


def test_a_service_whose_role_ecs_may_not_have_says_so_and_starts_once_it_may(outport):
    iam, name = outport.client("iam"), f"late-{uuid.uuid4().hex[:8]}"
    other = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=other)
    container = {"name": "web", "image": f"{outport.repository_uri('app')}:1.0", "memory": 64,
                 "command": ["sleep", "1000"]}
    definition = outport.register(name, [container], taskRoleArn=name)
    with pytest.raises(ClientError) as refusal:
        outport.run(definition)
    assert refusal.value.response["Error"]["Code"] == "ClientException"
    assert not_given(name) in refusal.value.response["Error"]["Message"]
    outport.ecs.create_service(serviceName=name, taskDefinition=definition, desiredCount=1, launchType="EC2")

    def service():
        return outport.ecs.describe_services(services=[name])["services"][0]
    try:
        event = f"(service {name}) failed to launch a task with (error {not_given(name)})."
        until(lambda: event in [event["message"] for event in service()["events"]], lambda: str(service()["events"]))
        assert service()["runningCount"] == 0
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust())
        until(lambda: service()["runningCount"] == 1, lambda: str(service()["events"]), 30)
    finally:
        outport.ecs.delete_service(service=name, force=True)
        iam.delete_role(RoleName=name)


def test_a_container_in_bridge_mode_asks_for_its_own_only(outport, role):
    first, second = (start(outport, role, "bridge") for _ in range(2))
    try:
        uris = [task.environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] for task in (first, second)]
        assert [first.ask(uri)[0] for uri in uris] == [200, 400]
        assert [second.ask(uri)[0] for uri in uris] == [400, 200]
        uri = first.environment["ECS_CONTAINER_METADATA_URI_V4"].removeprefix("http://169.254.170.2")
        assert first.ask(uri)[1]["Networks"][0]["NetworkMode"] == "bridge"
    finally:
        first.stop()
        second.stop()


def test_a_task_on_the_hosts_network_finds_its_own(outport, role):
    command = "wget -q -O - $AWS_CONTAINER_CREDENTIALS_FULL_URI | grep -q ASIA && " \
              "wget -q -O - $ECS_CONTAINER_METADATA_URI_V4/task | grep -q TaskARN"
    definition = outport.register(
        "roles-host", [{"name": "main", "image": f"{outport.repository_uri('app')}:1.0", "memory": 64,
                        "command": ["sh", "-c", command]}], networkMode="host", taskRoleArn=role)
    task = outport.reaches(outport.run(definition)["taskArn"], "STOPPED")
    assert task["containers"][0].get("exitCode") == 0, task


def test_metadata_of_the_container_and_its_task(outport):
    task, other = start(outport, None), start(outport, None)
    try:
        uri = task.environment["ECS_CONTAINER_METADATA_URI_V4"].removeprefix("http://169.254.170.2")
        status, container = task.ask(uri)
        assert (status, container["Name"], container["KnownStatus"]) == (200, "web", "RUNNING"), container
        assert container["ContainerARN"] == task.task["containers"][0]["containerArn"]
        assert container["ImageID"].startswith("sha256:")
        assert container["Labels"]["com.amazonaws.ecs.task-arn"] == task.task["taskArn"]
        network = container["Networks"][0]
        assert network["IPv4Addresses"] == [outport.address(task.task)] and network["NetworkMode"] == "awsvpc"
        status, whole = task.ask(f"{uri}/task")
        assert (status, whole["TaskARN"], whole["Family"]) == (200, task.task["taskArn"], "roles")
        assert [one["Name"] for one in whole["Containers"]] == ["web"]
        v3 = task.environment["ECS_CONTAINER_METADATA_URI"].removeprefix("http://169.254.170.2")
        assert "LaunchType" not in task.ask(f"{v3}/task")[1]
        assert other.ask(uri)[0] == 404, "another task's"
        stats = task.ask(f"{uri}/stats")[1]
        assert stats["memory_stats"]["usage"] > 0 and stats["memory_stats"]["limit"] == 64 << 20, stats
        assert stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0 and stats["pids_stats"]["current"] > 0
        assert list(task.ask(f"{uri}/task/stats")[1]) == [container["DockerId"]]
        outport.ecs.tag_resource(resourceArn=task.task["taskArn"], tags=[{"key": "team", "value": "blue"}])
        status, tagged = task.ask(f"{uri}/taskWithTags")
        assert (status, tagged.pop("TaskTags")) == (200, {"team": "blue"}), tagged
        assert "Errors" not in tagged and tagged["TaskARN"] == whole["TaskARN"]
    finally:
        task.stop()
        other.stop()


# With nothing configured but what the container's environment has.
CALL_THE_API = """import boto3, json
from botocore.config import Config
from botocore.exceptions import ClientError
once = Config(retries={"max_attempts": 1})
seen = {"who": boto3.client("sts", config=once).get_caller_identity()["Arn"]}
ecs = boto3.client("ecs", config=once)
seen["clusters"] = len(ecs.list_clusters()["clusterArns"])
for name, call in {"create": lambda: ecs.create_cluster(clusterName="x"),
                   "roles": lambda: boto3.client("iam", config=once).list_roles()}.items():
    try:
        call()
    except ClientError as error:
        seen[name] = error.response["Error"]["Code"]
print(json.dumps(seen))"""


def test_a_task_that_asks_for_it_calls_the_api_with_nothing_but_its_environment(outport, role):
    asks = start(outport, role, requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
                 labels={"outport.endpoint-url": "true"})
    silent = start(outport, role)
    try:
        assert "AWS_ENDPOINT_URL" not in silent.environment
        environment = asks.environment
        assert environment["AWS_ENDPOINT_URL"] == "http://169.254.170.2"
        given = {name: value for name, value in environment.items() if name.startswith("AWS_")}
        seen = in_the_network_of(outport, asks, CALL_THE_API, **given)
        task_id = asks.task["taskArn"].rsplit("/", 1)[1]
        assert seen["who"] == f"arn:aws:sts::000000000000:assumed-role/{role}/{task_id}"
        assert seen["clusters"] >= 1
        assert (seen["create"], seen["roles"]) == ("AccessDeniedException", "AccessDenied")
        # Its metadata is where it was, and who did not ask has no way to the API.
        status, task = asks.ask("/v4/" + environment["ECS_CONTAINER_METADATA_URI_V4"].rsplit("/", 1)[1] + "/task")
        assert status == 200 and task["TaskARN"] == asks.task["taskArn"]
        status, _ = silent.ask("/?Action=GetCallerIdentity")
        assert status == 404
    finally:
        asks.stop()
        silent.stop()


# A profile takes another role with what the container has, as boto3 and the CLI read it.
PROFILE = """import boto3, json, os, subprocess
seen = [boto3.Session(profile_name="next").client("sts").get_caller_identity()["Arn"]]
cli = ["aws", "--profile", "next", "sts", "get-caller-identity", "--query", "Arn"]
seen.append(json.loads(subprocess.run(cli, check=True, capture_output=True, text=True).stdout))
print(json.dumps(seen))"""


def test_a_profile_takes_another_role_with_the_credentials_of_its_container(outport, role, tmp_path):
    iam, following = outport.client("iam"), f"next-{role}"
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::000000000000:role/{role}"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = iam.create_role(RoleName=following, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    config = tmp_path / "config"
    config.write_text(f"[profile next]\nrole_arn = {arn}\ncredential_source = EcsContainer\nrole_session_name = visit\n"
                      "region = us-east-1\n")
    task = start(outport, role, labels={"outport.endpoint-url": "true"})
    try:
        given = {name: value for name, value in task.environment.items() if name.startswith("AWS_")}
        seen = in_the_network_of(outport, task, PROFILE, AWS_CONFIG_FILE=str(config), PATH=os.environ["PATH"], **given)
        assert seen == [f"arn:aws:sts::000000000000:assumed-role/{following}/visit"] * 2
    finally:
        task.stop()
        iam.delete_role(RoleName=following)
