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


def test_what_a_task_wrote_that_crashed_is_in_the_logs(binary, app_image, tmp_path):
    logs = tmp_path / "logs"
    script = tmp_path / "test.sh"
    script.write_text(f"""set -e
image=$({binary} image load {app_image.directory} --name 1.0 app:1.0)
aws ecs register-task-definition --family app --network-mode none --container-definitions \\
  '[{{"name":"web","image":"'$image'","memory":64,"command":["sh","-c","echo I crashed >&2; exit 3"]}}]'
task=$(aws ecs run-task --task-definition app --query 'tasks[0].taskArn' --output text)
aws ecs wait tasks-stopped --tasks $task
exit 5
""")
    done = run(binary, "--logs", logs, "--", "sh", script)
    assert done.returncode == 5, done.stdout + done.stderr
    (of_task,) = logs.glob("task-*.log")
    assert "I crashed" in of_task.read_text()


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
    until(lambda: is_gone(command), "the command is told to end")
    until(lambda: not directory.exists(), "the scratch directory is gone")
    assert_nothing_left_of(instance)


def is_gone(process):
    """Also when nobody has reaped it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def assert_nothing_left_of(instance):
    assert instance not in Path("/proc/self/mounts").read_text()
    assert not Path(f"/run/outport/{instance}").exists()
    assert not any(Path("/etc/containers/registries.conf.d").glob(f"*{instance}*"))
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert instance not in tables
    groups = subprocess.run(["find", "/sys/fs/cgroup", "-maxdepth", "3", "-name", f"outport-{instance}"],
                            capture_output=True, text=True).stdout
    assert groups == ""


def begun(binary):
    """A run whose command goes on: its process, the command's, the Outport's, the directory and the instance."""
    before = scratch_directories()
    process = subprocess.Popen([binary, "run", "--", "sh", "-c", "echo $$; exec sleep 600"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    command = int(process.stdout.readline())
    (directory,) = [path for path in scratch_directories() - before
                    if path.name.endswith(f"-{process.pid}")]
    instance = (directory / "data/instance").read_text().strip()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (outport,) = {int(child) for child in children} - {command}
    return process, command, outport, directory, instance


def test_a_command_does_not_go_on_without_its_outport(binary):
    process, command, outport, directory, instance = begun(binary)
    os.kill(outport, signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "the Outport of the command is gone: ending the command" in said
    assert "did not end well (signal: 9" in said, said
    assert is_gone(command)
    assert not directory.exists()
    assert_nothing_left_of(instance)


def test_what_two_killed_ones_left_is_collected_by_the_next(binary):
    process, command, outport, directory, instance = begun(binary)
    alive = begun(binary)
    try:
        # Stopped first, so that it cannot notice.
        process.send_signal(signal.SIGSTOP)
        os.kill(outport, signal.SIGKILL)
        until(lambda: is_gone(outport), "the Outport is killed")
        # It is somebody's as long as that one is there.
        assert run(binary, "--", "true").returncode == 0
        assert directory.exists()
        process.kill()
        process.communicate()
        until(lambda: is_gone(command), "all of it is killed")
        done = run(binary, "--", "true")
        assert done.returncode == 0, done.stderr
        assert f"removed {directory}" in done.stderr, done.stderr
        assert not directory.exists()
        assert_nothing_left_of(instance)
        assert alive[3].exists() and not is_gone(alive[2])
    finally:
        alive[0].terminate()
        alive[0].communicate(timeout=60)


def test_a_command_that_is_not_there_is_said(binary):
    done = run(binary, "--", "/no/such/command")
    assert done.returncode == 127
    assert re.search(r"there is no command /no/such/command", done.stderr), done.stderr
    assert run(binary, "--", "no-such-command").returncode == 127
    done = run(binary, "--", "/etc/passwd")
    assert done.returncode == 126 and "cannot be executed" in done.stderr, done.stderr
    assert run(binary).returncode == 2


def test_logs_that_cannot_be_written_are_known_before_the_command(binary, tmp_path):
    told = tmp_path / "told"
    done = run(binary, "--logs", "/proc/x", "--", "touch", told)
    assert done.returncode == 1 and "--logs /proc/x: nothing can be written there" in done.stderr
    assert not told.exists()
