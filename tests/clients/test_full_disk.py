"""A data directory on a disk that somebody filled, and hosts that cannot make disks for tasks."""

import subprocess

import pytest
from support.wait import until

DISK_MIB = 512


@pytest.fixture
def small_disk(outport):
    """The data directory's file system; a sparse file on the host's."""
    image = outport.directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    outport.data_dir.mkdir(mode=0o700)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, outport.data_dir], check=True)
    yield outport.data_dir
    outport.destroy()
    # With the disk goes all that another clean-up would look for.
    outport.process = None
    subprocess.run(["umount", "--lazy", outport.data_dir], check=True)


def fill(directory):
    """Not one block is left."""
    path = directory / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\7" * size)
            except OSError as error:
                assert error.errno == 28, error
    return path


def test_a_start_after_a_clean_stop_needs_no_space(outport, small_disk):
    outport.start()
    logs = outport.client("logs")
    logs.create_log_group(logGroupName="kept")
    logs.create_log_group(logGroupName="gone")
    outport.stop()
    filler = fill(small_disk)
    outport.start()
    assert outport.ecs.list_clusters()["clusterArns"]
    logs = outport.client("logs")
    logs.delete_log_group(logGroupName="gone")
    assert [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]] == ["kept"]
    with pytest.raises(outport.ecs.exceptions.ServerException):
        outport.ecs.create_cluster(clusterName="more")
    filler.unlink()

    def takes_rows():
        try:
            return outport.ecs.create_cluster(clusterName="more")
        except outport.ecs.exceptions.ServerException:
            return None

    until(takes_rows, "new rows are taken again")
    ready = small_disk / "node/disks/ready"
    until(lambda: list(ready.glob("*.img")), "disks for tasks are made again")
    outport.stop()
    outport.assert_nothing_left()


@pytest.fixture
def hiding(binary, tmp_path):
    """Makes a program that is outport on a host where a file is something else."""

    def hide(path):
        program = tmp_path / "outport-without"
        program.write_text(
            f'#!/bin/sh\nexec unshare --mount sh -c \'mount --bind /dev/null {path} && exec "$@"\' '
            f'sh {binary} "$@"\n')
        program.chmod(0o755)
        return program

    return hide


@pytest.mark.parametrize("missing, said", [
    ("$(command -v mkfs.ext4 || echo /usr/sbin/mkfs.ext4)",
     "the program mkfs.ext4 is missing: run `apt-get install e2fsprogs`"),
    ("/dev/loop-control", "attach a loop device (is /dev/loop-control there?)"),
])
def test_a_host_that_makes_no_disks_is_told_what_to_do(outport, hiding, missing, said):
    outport.binary = hiding(missing)
    refused = subprocess.run(
        [outport.binary, "up", "--data-dir", outport.data_dir, "--listen",
         f"127.0.0.1:{outport.port}", "--default-vpc-cidr", outport.vpc_cidr],
        capture_output=True, text=True, timeout=90)
    assert refused.returncode != 0
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("outport: ")]
    assert line.startswith("outport: tasks cannot be given disks of limited size (" + said), line
    assert line.endswith(
        "mend that, or start with --unlimited-task-storage, where one task can fill the disk of "
        "this host"), line
    outport.start("--unlimited-task-storage")
    outport.stop()
    outport.assert_nothing_left()
