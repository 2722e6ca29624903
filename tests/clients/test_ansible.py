"""ansible's modules for ECS and ECR (collection `community.aws`), unmodified, by one playbook."""

import json
import os
import subprocess
from pathlib import Path

PLAYBOOK = Path(__file__).parent / "ansible/playbook.yml"


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
    env = {**os.environ, **outport.env(), "HOME": str(tmp_path), "ANSIBLE_HOME": str(tmp_path),
           "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_NOCOLOR": "true", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["ansible-playbook", "--inventory", "localhost,", "--extra-vars", json.dumps(variables),
         PLAYBOOK], capture_output=True, text=True, timeout=600, env=env, cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    clusters = ecs.describe_clusters(clusters=["ansible"])["clusters"]
    assert [cluster["status"] for cluster in clusters] in ([], ["INACTIVE"])
