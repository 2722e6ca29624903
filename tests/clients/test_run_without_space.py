"""`outport run` where there is no space, at each step of it, and where there is just enough.

In namespaces of its own, so that what it leaves can be told from what other tests have.
"""

import subprocess

import pytest

# Nothing is there but what `run` makes. The lock of first starts is the host's.
SCRIPT = """
mkdir -p /run/outport && mount -t tmpfs tmpfs /run/outport && ip link set lo up || exit 90
mount -t tmpfs -o "$1" tmpfs "$2" || exit 91
shift
TMPDIR=$1 "$2" run -- echo it ran
code=$?
{ ls -A "$1"; ls -A /run/outport | grep -v '^first-start.lock$'; nft list tables
  ip -o link | grep -v ': lo:'; grep " $1/" /proc/self/mounts; } 2>&1 | sed 's/^/LEFT: /' >&2
exit $code
"""


def run(binary, directory, options):
    directory.mkdir()
    return subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", SCRIPT, "sh", options, directory, binary],
        capture_output=True, text=True, timeout=120)


# In the order of the steps: its own directory, the log, the directory's identity, the store, the registry, disks of tasks.
@pytest.mark.parametrize("options", [
    "nr_inodes=1", "nr_inodes=2", "size=4k", "size=16k", "size=64k", "size=128k", "size=256k",
    "size=512k", "size=16m",
])
def test_a_run_without_space_says_so_and_leaves_nothing(binary, tmp_path, options):
    done = run(binary, tmp_path / "disk", options)
    assert "LEFT: " not in done.stderr, done.stderr
    if done.returncode == 0:
        assert done.stdout == "it ran\n", done.stderr
        return
    assert done.returncode == 1 and done.stdout == "", done.stderr
    reason = done.stderr.lower()
    assert "no space left" in reason or "disk is full" in reason, done.stderr
    assert done.stderr.count("did not start") <= 1 and "did not end well" not in done.stderr


def test_a_run_with_enough_space_runs(binary, tmp_path):
    done = run(binary, tmp_path / "disk", "size=256m")
    assert (done.returncode, done.stdout) == (0, "it ran\n"), done.stderr
    assert "LEFT: " not in done.stderr, done.stderr


def test_what_cannot_be_collected_is_said_and_the_commands_code_counts(binary, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    script = 'mount -t tmpfs -o size=4k tmpfs "$1" && exec "$2" run --logs "$1" -- sh -c "exit 3"'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", logs, binary],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    assert f"cannot collect what there is: cannot write to {logs}: No space left on device" \
        in done.stderr, done.stderr
