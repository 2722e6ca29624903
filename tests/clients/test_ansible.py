"""ansible's modules for ECS, ECR, IAM, secrets and parameters (collections `community.aws` and `amazon.aws`), unmodified."""

import json
import os
import subprocess
from pathlib import Path

PLAYBOOKS = Path(__file__).parent / "ansible"


def play(outport, home, playbook, variables):
    env = {**os.environ, **outport.env(), "HOME": str(home), "ANSIBLE_HOME": str(home),
           "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["ansible-playbook", "--inventory", "localhost,", "--extra-vars", json.dumps(variables),
         PLAYBOOKS / playbook], capture_output=True, text=True, timeout=600, env=env, cwd=home)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def test_the_playbook_of_every_module(shared_outport, tmp_path):
    outport = shared_outport
    outport.execution_role("execution")
    ecs = outport.ecs
    arns = ecs.list_container_instances()["containerInstanceArns"]
    instances = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
    variables = {
        # boto3 is where ansible is, and not with the host's Python.
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "image": f"{outport.repository_uri('app')}:1.0",
        "subnet": outport.subnet(),
        "instance": instances[0]["ec2InstanceId"],
    }
    play(outport, tmp_path, "playbook.yml", variables)
    clusters = ecs.describe_clusters(clusters=["ansible"])["clusters"]
    assert [cluster["status"] for cluster in clusters] in ([], ["INACTIVE"])


def test_the_playbook_of_roles_secrets_and_parameters(shared_outport, tmp_path):
    play(shared_outport, tmp_path, "identity.yml", {"ansible_python_interpreter": "{{ ansible_playbook_python }}"})
    assert not [role for role in shared_outport.client("iam").list_roles()["Roles"] if role["RoleName"] == "ansible"]
