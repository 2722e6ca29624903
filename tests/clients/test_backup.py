"""A backup of an Outport that is at work, and what is made of it again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from support.containers import WAIT_FOR_GO, go
from support.halves import Halves
from support.registry import Registry, digest_of
from support.wait import until

GROUP, STREAM, REPOSITORY = "/kept", "s", "kept"


def backup(binary, directory, file, **options):
    return subprocess.run([binary, "backup", "--data-dir", directory, file], capture_output=True,
                          text=True, timeout=120, **options)


def restore(binary, file, directory):
    return subprocess.run([binary, "restore", file, "--data-dir", directory], capture_output=True,
                          text=True, timeout=120)


def restored(binary, file, directory):
    done = restore(binary, file, directory)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def halves(outport):
    halves = Halves(outport)
    yield halves
    halves.destroy()


class Load:
    """Writes to store, logs and registry until it is stopped, and knows what was acknowledged."""

    def __init__(self, outport):
        self.clusters, self.lines, self.blobs, self.failed = [], [], [], []
        self.ending = threading.Event()
        outport.client("logs").create_log_group(logGroupName=GROUP)
        outport.client("logs").create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
        registry = Registry(outport, REPOSITORY)
        clients = outport.ecs, outport.client("logs"), registry
        self.threads = [threading.Thread(target=self._repeat, args=(work, client))
                        for work, client in zip((self._row, self._line, self._blob), clients)]
        for thread in self.threads:
            thread.start()

    def _repeat(self, work, client):
        number = 0
        while not self.ending.is_set():
            try:
                work(client, number)
            except Exception as error:  # noqa: BLE001: whatever it is, it is to fail the test
                self.failed.append(error)
                return
            number += 1

    def _row(self, ecs, number):
        self.clusters.append(ecs.create_cluster(clusterName=f"c{number}")["cluster"]["clusterName"])

    def _line(self, logs, number):
        message = f"line {number} " + "x" * 5_000
        now = int(time.time() * 1000)
        logs.put_log_events(logGroupName=GROUP, logStreamName=STREAM,
                            logEvents=[{"timestamp": now, "message": message}])
        self.lines.append(message)

    def _blob(self, registry, number):
        content = f"layer {number} ".encode() * 20_000
        registry.push(f"t{number}", [content])
        self.blobs.append(content)

    def counts(self):
        return len(self.clusters), len(self.lines), len(self.blobs)

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(timeout=60)
        assert not self.failed, self.failed


def all_lines(outport):
    pages = outport.client("logs").get_paginator("filter_log_events").paginate(logGroupName=GROUP)
    return [event["message"] for page in pages for event in page["events"]]


def test_all_that_was_acknowledged_before_is_in_it_while_writes_go_on(
        binary, halves, outport, tmp_path):
    halves.server()
    load = Load(outport)
    places = tmp_path / "backups"
    places.mkdir()
    file = places / "one.backup"
    try:
        for least in (5, 20, 40):
            until(lambda: min(load.counts()) >= least, lambda: f"{load.counts()} {load.failed}")
            before = load.counts()
            done = backup(binary, outport.data_dir, file)
            assert done.returncode == 0, f"{done.stderr}\n{halves.log('server')}"
    finally:
        load.end()
    assert load.counts() > before, "writes went on"
    assert [path.name for path in places.iterdir()] == ["one.backup"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"instance {outport.instance()}" in done.stdout and "registry" in done.stdout
    halves.kill("server")
    shutil.rmtree(outport.data_dir)

    told = restored(binary, file, outport.data_dir)
    assert outport.instance() in told, told
    halves.server()
    outport._clients.clear()
    clusters = {arn.rsplit("/", 1)[1] for page in outport.ecs.get_paginator("list_clusters")
                .paginate() for arn in page["clusterArns"]}
    assert set(load.clusters[:before[0]]) <= clusters
    found = all_lines(outport)
    assert found[:before[1]] == load.lines[:before[1]]
    registry = Registry(outport, REPOSITORY)
    for number, content in enumerate(load.blobs[:before[2]]):
        status, _, body = registry.call("GET", f"/v2/{REPOSITORY}/blobs/{digest_of(content)}")
        assert (status, body) == (200, content), number
        assert registry.call("GET", f"/v2/{REPOSITORY}/manifests/t{number}")[0] == 200
    # It takes more.
    outport.ecs.create_cluster(clusterName="after")
    registry.push("after", [b"after"])
    halves.terminate("server")


@pytest.fixture
def stopped(halves, outport):
    """A data directory with something in each part, and nobody who has it open."""
    halves.server()
    load = Load(outport)
    until(lambda: min(load.counts()) >= 3, lambda: f"{load.counts()} {load.failed}")
    load.end()
    outport.load = load
    # What cannot be packed.
    Registry(outport, REPOSITORY).put_blob(os.urandom(1 << 20))
    halves.terminate("server")
    return outport


def files_below(directory):
    return {os.path.relpath(os.path.join(parent, name), directory)
            for parent, _, names in os.walk(directory) for name in names}


def test_one_that_is_stopped_is_backed_up_and_a_copy_is_what_it_was(binary, stopped, halves, tmp_path):
    file = tmp_path / "one.backup"
    done = backup(binary, stopped.data_dir, file)
    assert done.returncode == 0, done.stderr
    other = tmp_path / "other"
    restored(binary, file, other)
    for name in ("instance", "root-key", "join-token", "sealing-key", "master-key", "made", "settings",
                 "tls/authority.pem"):
        assert (other / name).read_bytes() == (stopped.data_dir / name).read_bytes(), name
        assert (other / name).stat().st_mode & 0o777 == 0o600
    assert other.stat().st_mode & 0o777 == 0o700
    assert not any("restoring" in name for name in files_below(other))
    kept = [name for name in files_below(stopped.data_dir) if "/blobs/" in name]
    assert kept and set(kept) <= files_below(other)
    stopped.data_dir.rename(tmp_path / "first")
    other.rename(stopped.data_dir)
    halves.server()
    stopped._clients.clear()
    assert all_lines(stopped) == stopped.load.lines
    halves.terminate("server")


def test_a_pipe_takes_one_and_the_directory_itself_does_not(binary, stopped, halves, tmp_path):
    def piped(file):
        with file.open("wb") as pipe:
            shell = f"'{binary}' backup --data-dir '{stopped.data_dir}' - | cat"
            done = subprocess.run(["sh", "-c", shell], stdout=pipe, stderr=subprocess.PIPE, text=True,
                                  timeout=120)
        assert "what was written to standard output is a backup of instance" in done.stderr
        restored(binary, file, tmp_path / f"of-{file.name}")
    piped(tmp_path / "stopped")
    halves.server()
    piped(tmp_path / "running")
    inside = backup(binary, stopped.data_dir, stopped.data_dir / "logs/one.backup")
    assert inside.returncode == 1 and "would be in the data directory" in inside.stderr
    assert not (stopped.data_dir / "logs/one.backup").exists()
    halves.terminate("server")


def test_a_key_that_is_gone_is_missed_and_one_that_was_never_made_is_not(binary, stopped, tmp_path):
    file = tmp_path / "one.backup"
    key, made = stopped.data_dir / "root-key", stopped.data_dir / "made"
    key.unlink()
    done = backup(binary, stopped.data_dir, file)
    assert done.returncode != 0 and f"{key} is gone" in done.stderr, done.stderr
    assert not file.exists()
    # As where each start is given a key in its environment.
    made.write_text(made.read_text().replace("root-key\n", ""))
    assert backup(binary, stopped.data_dir, file).returncode == 0
    restored(binary, file, tmp_path / "other")
    assert not (tmp_path / "other/root-key").exists()


def test_nothing_is_made_of_what_is_not_whole(binary, stopped, tmp_path):
    file = tmp_path / "one.backup"
    assert backup(binary, stopped.data_dir, file).returncode == 0
    whole = file.read_bytes()
    bad = tmp_path / "bad"
    target = tmp_path / "target"

    def refused(content, *words):
        bad.write_bytes(content)
        done = restore(binary, bad, target)
        assert done.returncode != 0
        for word in (str(bad), *words):
            assert word in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert not target.exists()
    middle = len(whole) // 2
    refused(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:], "damaged")
    refused(whole[:middle], "damaged")
    refused(whole[:-4], "damaged")
    refused(b"", "not a backup")
    refused(b"some text\n" * 100, "not a backup")
    target.mkdir()
    (target / "mine").write_text("mine")
    done = restore(binary, file, target)
    assert done.returncode != 0 and "is not empty (mine is in it)" in done.stderr, done.stderr
    assert files_below(target) == {"mine"}
    done = restore(binary, file, stopped.data_dir)
    assert done.returncode != 0 and "is not empty" in done.stderr, done.stderr
    done = backup(binary, target, tmp_path / "none.backup")
    assert done.returncode != 0 and "holds no control plane" in done.stderr, done.stderr
    assert not (tmp_path / "none.backup").exists()


def test_a_restore_that_was_cut_short_is_done_anew(binary, stopped, tmp_path):
    file = tmp_path / "one.backup"
    assert backup(binary, stopped.data_dir, file).returncode == 0
    target = tmp_path / "target"
    # As a crash between two of its steps leaves it.
    (target / "restoring/registry").mkdir(parents=True)
    (target / "restoring/registry/half").write_text("half")
    (target / "instance").write_text("half")
    done = subprocess.run([binary, "server", "--data-dir", target, "--listen",
                           f"127.0.0.1:{stopped.port}"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "was not finished: run `outport restore`" in done.stderr
    restored(binary, file, target)
    assert (target / "instance").read_text() == (stopped.data_dir / "instance").read_text()
    assert not (target / "restoring").exists() and not (target / "registry/half").exists()


@contextlib.contextmanager
def tiny_disk(place, kib):
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_said_in_one_line_and_leaves_nothing(binary, stopped, tmp_path):
    file = tmp_path / "one.backup"
    assert backup(binary, stopped.data_dir, file).returncode == 0
    with tiny_disk(tmp_path / "tiny", 256) as tiny:
        done = backup(binary, stopped.data_dir, tiny / "one.backup")
        assert done.returncode != 0, done.stdout
        assert done.stderr.count("No space left on device") == 1, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert list(tiny.iterdir()) == []
        done = restore(binary, file, tiny)
        assert done.returncode != 0, done.stdout
        assert done.stderr.count("No space left on device") == 1, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert list(tiny.iterdir()) == []


@pytest.fixture
def small_data_dir(halves, outport):
    """A data directory with a file system of its own."""
    image = outport.directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    outport.data_dir.mkdir(mode=0o700)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, outport.data_dir], check=True)
    yield outport.data_dir
    halves.kill("server")
    subprocess.run(["umount", "--lazy", outport.data_dir], check=True)


def test_a_data_directory_without_space_says_so_and_goes_on(
        binary, halves, outport, small_data_dir, tmp_path):
    halves.server()
    filler = small_data_dir / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\7" * 4096)
    before = files_below(small_data_dir)
    done = backup(binary, small_data_dir, tmp_path / "one.backup")
    assert done.returncode != 0, done.stdout
    assert done.stderr.count("No space left on device") == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert files_below(small_data_dir) == before and not (tmp_path / "one.backup").exists()
    assert outport.ecs.list_clusters()["clusterArns"]
    filler.unlink()
    done = backup(binary, small_data_dir, tmp_path / "one.backup")
    assert done.returncode == 0, done.stderr


def test_a_directory_that_is_a_file_system_of_its_own_is_restored(binary, stopped, tmp_path):
    file = tmp_path / "one.backup"
    assert backup(binary, stopped.data_dir, file).returncode == 0
    with tiny_disk(tmp_path / "own", 200_000) as own:
        restored(binary, file, own)
        assert (own / "instance").exists() and not (own / "restoring").exists()


def test_a_backup_that_is_killed_leaves_nothing_and_the_next_one_works(binary, halves, outport, tmp_path):
    halves.server()
    registry = Registry(outport, REPOSITORY)
    registry.put_blob(os.urandom(50 << 20))
    places = tmp_path / "backups"
    places.mkdir()
    for _ in range(3):
        process = subprocess.Popen([binary, "backup", "--data-dir", outport.data_dir,
                                    places / "one.backup"], stdout=subprocess.DEVNULL)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    done = backup(binary, outport.data_dir, places / "one.backup")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in places.iterdir()] == ["one.backup"]
    halves.terminate("server")


def counts_runs(outport, app_image, group, command):
    uri = outport.push(app_image, "app", "1.0")
    options = {"awslogs-group": group, "awslogs-region": "us-east-1",
               "awslogs-stream-prefix": "t", "awslogs-create-group": "true"}
    return outport.register("once", [{
        "name": "main", "image": f"{uri}:1.0", "memory": 32,
        "command": ["sh", "-c", f"echo a run; {command}"],
        "logConfiguration": {"logDriver": "awslogs", "options": options}}], networkMode="none")


def runs(outport, arn):
    pages = outport.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName="/runs", logStreamNames=[f"t/main/{arn.rsplit('/', 1)[1]}"])
    return [event["message"] for page in pages for event in page["events"]].count("a run")


def service_task(outport, name):
    arns = outport.ecs.list_tasks(serviceName=name, desiredStatus="RUNNING")["taskArns"]
    running = [arn for arn in arns if outport.task(arn)["lastStatus"] == "RUNNING"]
    return running and running[0]


def test_services_come_back_and_no_task_runs_another_time(binary, outport, app_image, tmp_path):
    outport.start()
    definition = counts_runs(outport, app_image, "/runs", "trap 'exit 0' TERM; sleep 1000 & wait")
    once = outport.run(definition)["taskArn"]
    outport.reaches(once, "RUNNING")
    outport.ecs.create_service(serviceName="web", taskDefinition=definition, desiredCount=1,
                               launchType="EC2")
    first = until(lambda: service_task(outport, "web"), "the service runs")
    until(lambda: runs(outport, once) == 1, "its line is delivered")
    file = tmp_path / "one.backup"
    done = backup(binary, outport.data_dir, file)
    assert done.returncode == 0, done.stderr
    outport.stop()
    outport.cleanup()
    outport.data_dir.rename(tmp_path / "lost")

    restored(binary, file, outport.data_dir)
    outport.start()
    ended = outport.reaches(once, "STOPPED")
    assert "lost" in json.dumps(ended["containers"]) + ended["stoppedReason"], ended
    second = until(lambda: service_task(outport, "web"), "the service runs again")
    assert second != first
    assert runs(outport, once) == 1
    outport.stop()
    outport.assert_nothing_left()


def test_nodes_elsewhere_go_on_with_what_both_know(binary, halves, outport, app_image, tmp_path):
    """A server that is set back to an earlier time."""
    halves.server()
    halves.node()
    stays = counts_runs(outport, app_image, "/runs", "trap 'exit 0' TERM; sleep 1000 & wait")
    ends = counts_runs(outport, app_image, "/runs", f"{WAIT_FOR_GO}exit 0")
    stays_arn, ends_arn = (outport.run(each)["taskArn"] for each in (stays, ends))
    for arn in (stays_arn, ends_arn):
        outport.reaches(arn, "RUNNING")
    runtime = outport.task(stays_arn)["containers"][0]["runtimeId"]
    file = tmp_path / "one.backup"
    assert backup(binary, outport.data_dir, file).returncode == 0
    instance = (halves.node_dir / "instance").read_text().strip()
    go(instance, ends_arn)
    outport.reaches(ends_arn, "STOPPED")
    later = outport.run(stays)["taskArn"]
    outport.reaches(later, "RUNNING")
    halves.kill("server")
    outport.data_dir.rename(tmp_path / "lost")

    restored(binary, file, outport.data_dir)
    halves.server()
    outport._clients.clear()
    assert outport.reaches(ends_arn, "STOPPED")["stoppedReason"]
    assert runs(outport, ends_arn) <= 1
    # What began after the backup is known to nobody, and ended.
    record = halves.node_dir / "tasks" / later.rsplit("/", 1)[1]
    until(lambda: not record.exists(), "the later task is gone")
    until(outport.connected_instances, "the node is connected")
    stayed = outport.reaches(stays_arn, "RUNNING")
    assert stayed["containers"][0]["runtimeId"] == runtime
    halves.terminate("server")


def test_a_server_that_is_stopped_meanwhile_ends_and_says_so(binary, halves, outport, tmp_path):
    halves.server()
    registry = Registry(outport, REPOSITORY)
    for _ in range(4):
        registry.put_blob(os.urandom(60 << 20))
    process = subprocess.Popen([binary, "backup", "--data-dir", outport.data_dir,
                                tmp_path / "one.backup"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)

    def has_asked():
        links = f"/proc/{process.pid}/fd"
        try:
            return any("socket" in os.readlink(f"{links}/{name}") for name in os.listdir(links))
        except OSError:
            # What it had open a moment ago; or it is done.
            return process.poll() is not None
    until(has_asked, "it asks")
    halves.terminate("server")
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0 or (tmp_path / "one.backup").exists()
    if process.returncode != 0:
        assert said.count("is being stopped") == 1 or "has ended" in said, said
        assert not (tmp_path / "one.backup").exists()
