"""A log that cannot be written costs log lines and nothing else: the API answers, the stop is clean."""

import fcntl
import os
import re
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from support.wait import until

# Every request writes lines: enough to fill whatever is small.
LOUD = {"RUST_LOG": "debug"}
STRANGERS = 300
# A path stands in the log: so many requests are more than the megabyte that is kept for a slow reader.
LONG_PATH = "/" + "x" * 4000
FLOOD = 400
LOST = re.compile(rb"lines of the log that could not be written: (\d+)")


def is_ready(outport):
    assert outport.process.poll() is None, "it ended"
    try:
        with urllib.request.urlopen(f"{outport.url}/_outport/health", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def start(outport, output):
    outport.start(env=LOUD, ready=False, output=output)
    until(lambda: is_ready(outport), "it is ready")


def ask_unsigned(outport, times=STRANGERS, path="/"):
    """What anybody can do: each request is refused, and logged."""
    for _ in range(times):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(outport.url + path, data=b"Action=Nothing", timeout=30)
        assert refused.value.code in (400, 403, 404, 405), refused.value


def works_and_stops(outport):
    assert outport.ecs.list_clusters()["clusterArns"]
    outport.process.terminate()
    assert outport.process.wait(timeout=60) == 0
    outport.assert_nothing_left()


def test_the_reader_of_the_log_has_gone(outport):
    reader, writer = os.pipe()
    start(outport, writer)
    os.close(writer)
    os.close(reader)
    ask_unsigned(outport)
    works_and_stops(outport)


def test_nobody_reads_the_log(outport):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    start(outport, writer)
    os.close(writer)
    ask_unsigned(outport, FLOOD, LONG_PATH)
    works_and_stops(outport)
    os.close(reader)


def test_a_reader_that_comes_back_is_told_what_it_missed(outport):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    start(outport, writer)
    os.close(writer)
    ask_unsigned(outport, FLOOD, LONG_PATH)
    read = []

    def drain():
        while chunk := os.read(reader, 1 << 16):
            read.append(chunk)

    draining = threading.Thread(target=drain)
    draining.start()
    try:
        until(lambda: LOST.search(b"".join(read)), "it says what it lost")
        works_and_stops(outport)
    finally:
        outport.destroy()
        draining.join(timeout=60)
        os.close(reader)
    assert b"outport is ready at" in b"".join(read)


def test_the_logs_disk_is_full(outport, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "outport-test", disk], check=True)
    try:
        log = disk / "log"
        with log.open("ab") as output:
            start(outport, output)
        ask_unsigned(outport)
        # The log is written by a thread of its own.
        until(lambda: log.stat().st_size == 64 << 10, lambda: f"the disk is full: {log.stat()}")
        assert outport.ecs.list_clusters()["clusterArns"]
        # Somebody makes room, as logrotate's copytruncate does.
        os.truncate(log, 0)
        ask_unsigned(outport, 1)
        lost = until(lambda: LOST.search(log.read_bytes()), "it says what it lost")
        assert int(lost.group(1)) > 0
        works_and_stops(outport)
    finally:
        outport.destroy()
        subprocess.run(["umount", disk], check=True)


def test_a_command_whose_reader_has_seen_enough_ends_quietly(binary, outport):
    outport.start()
    for command in (["env", "--data-dir", outport.data_dir], ["--help"], ["--version"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([binary, *command], stdout=writer, stderr=subprocess.PIPE, timeout=30)
        os.close(writer)
        assert (done.returncode, done.stderr) == (0, b""), command


def test_a_command_that_cannot_print_says_so(binary, outport):
    outport.start()
    with open("/dev/full", "wb") as full:
        done = subprocess.run([binary, "env", "--data-dir", outport.data_dir], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "outport: cannot print: No space left on device (os error 28)\n" \
        or done.stderr == "outport: cannot print: ENOSPC: No space left on device\n", done.stderr


def test_a_cleanup_is_done_also_when_nobody_reads_what_it_says(binary, outport):
    outport.start()
    outport.kill()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([binary, "cleanup", "--data-dir", outport.data_dir], stdout=writer,
                          stderr=writer, timeout=60)
    os.close(writer)
    assert done.returncode == 0
    outport.assert_nothing_left()
