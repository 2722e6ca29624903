"""`outport run -- COMMAND`: an Outport for one command, and nothing of it afterwards."""

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.wait import until

MAKES_A_CLUSTER = "aws ecs create-cluster --cluster-name mine --query cluster.status --output text"


def run(binary, *arguments, **options):
    return subprocess.run([binary, "run", *arguments], capture_output=True, text=True, timeout=120,
                          **options)


def scratch_directories():
    return set(Path(os.environ.get("TMPDIR", "/tmp")).glob("outport-run-*"))


def test_a_command_has_an_outport_of_its_own_and_its_exit_code_counts(binary):
    before = scratch_directories()
    done = run(binary, "--", "sh", "-c", f"{MAKES_A_CLUSTER} && exit 7")
    assert done.returncode == 7, done.stderr
    assert done.stdout == "ACTIVE\n"
    # Another one knows nothing of it.
    done = run(binary, "--", "aws", "ecs", "list-clusters", "--query", "clusterArns", "--output",
               "text")
    assert done.returncode == 0, done.stderr
    assert "mine" not in done.stdout
    killed = run(binary, "--", "sh", "-c", "kill -9 $$")
    assert killed.returncode == 128 + 9
    assert scratch_directories() <= before


def test_many_at_once_have_ranges_of_their_own(binary):
    many = 10
    before = scratch_directories()
    say = "aws ec2 describe-vpcs --query 'Vpcs[0].CidrBlock' --output text; sleep 3"
    with ThreadPoolExecutor(many) as pool:
        done = list(pool.map(lambda _: run(binary, "--", "sh", "-c", say), range(many)))
    assert [each.returncode for each in done] == [0] * many, [each.stderr for each in done]
    assert len({each.stdout for each in done}) == many, [each.stdout for each in done]
    assert scratch_directories() <= before


def test_a_failure_leaves_what_explains_it_and_no_task(binary, app_image, tmp_path):
    logs = tmp_path / "logs"
    script = tmp_path / "test.sh"
    script.write_text(f"""set -e
uri=$(aws ecr create-repository --repository-name app --query repository.repositoryUri --output text)
aws ecr get-login-password | skopeo login --authfile {tmp_path}/auth --username AWS \\
  --password-stdin ${{uri%%/*}}
skopeo copy --insecure-policy --authfile {tmp_path}/auth oci:{app_image.directory}:1.0 docker://$uri:1.0
aws ecs register-task-definition --family app --network-mode none --container-definitions \\
  '[{{"name":"web","image":"'$uri':1.0","memory":64,"command":["sh","-c","echo I ran; sleep 600"]}}]'
task=$(aws ecs run-task --task-definition app --query 'tasks[0].taskArn' --output text)
aws ecs wait tasks-running --tasks $task
exit 3
""")
    done = run(binary, "--logs", logs, "--", "sh", script)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the command failed; the tasks of its Outport" in done.stderr
    assert "RUNNING" in (logs / "tasks.txt").read_text()
    (of_task,) = logs.glob("task-*.log")
    assert "I ran" in of_task.read_text()
    assert (logs / "outport.log").exists()


def test_nothing_stays_when_it_is_killed(binary):
    before = scratch_directories()
    process = subprocess.Popen([binary, "run", "--", "sh", "-c", "echo $$; exec sleep 600"],
                               stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "OUTPORT_KEEP_TASKS": "true"})
    command = int(process.stdout.readline())
    (directory,) = [path for path in scratch_directories() - before
                    if path.name.endswith(f"-{process.pid}")]
    instance = (directory / "data/instance").read_text().strip()
    process.kill()
    process.wait()
    # Nobody ends the command: it is not ours any more.
    os.kill(command, signal.SIGKILL)
    until(lambda: not directory.exists(), "the scratch directory is gone")
    mounts = Path("/proc/self/mounts").read_text()
    assert instance not in mounts
    assert not Path(f"/run/outport/{instance}").exists()


def test_a_command_that_is_not_there_is_said(binary):
    done = run(binary, "--", "/no/such/command")
    assert done.returncode == 1
    assert re.search(r"cannot start /no/such/command", done.stderr), done.stderr
    assert run(binary).returncode == 2
