"""What an Outport leaves behind is found and removed, whatever became of its data directory."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from support.wait import until

DROP_INS = Path("/etc/containers/registries.conf.d")


def run(binary, *arguments, **options):
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=90,
                          **options)


def crash_with_a_task(outport, app_image):
    """Kills it while a task runs; its instance's id."""
    outport.start()
    uri = outport.push(app_image, "app", "1.0")
    definition = outport.register(
        "web", [{"name": "web", "image": f"{uri}:1.0", "memory": 64}], networkMode="awsvpc")
    task = outport.run(definition, networkConfiguration={
        "awsvpcConfiguration": {"subnets": [outport.subnet()]}})
    outport.reaches(task["taskArn"], "RUNNING")
    outport.kill()
    assert outport.left_on_host()
    return outport.instance()


def find_again(outport, instance):
    outport.data_dir.mkdir(parents=True, exist_ok=True)
    (outport.data_dir / "instance").write_text(f"{instance}\n")


def test_a_lost_data_directory_is_no_reason_to_keep_anything(binary, outport, app_image):
    instance = crash_with_a_task(outport, app_image)
    drop_in = DROP_INS / f"outport-{instance}.conf"
    assert drop_in.exists()
    shutil.rmtree(outport.data_dir)
    told = run(binary, "cleanup", "--data-dir", outport.data_dir)
    assert told.returncode != 0
    assert "--instance" in told.stderr and "--all" in told.stderr, told.stderr
    cleaned = run(binary, "cleanup", "--instance", instance)
    assert cleaned.returncode == 0, cleaned.stderr
    for what in ("container web", "files below /run", "configuration file"):
        assert what in cleaned.stdout, cleaned.stdout
    assert not drop_in.exists()
    again = run(binary, "cleanup", "--instance", instance)
    assert again.stdout == f"nothing was left of instance {instance}\n"
    find_again(outport, instance)
    outport.assert_nothing_left()
    outport.process = None


def test_a_read_only_data_directory_is_cleaned_up_after(binary, outport, app_image):
    instance = crash_with_a_task(outport, app_image)
    subprocess.run(["mount", "--bind", outport.data_dir, outport.data_dir], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", outport.data_dir], check=True)
        cleaned = run(binary, "cleanup", "--data-dir", outport.data_dir)
        assert cleaned.returncode == 0, cleaned.stderr
        assert "container web" in cleaned.stdout
        assert "cannot be written" in cleaned.stderr
    finally:
        subprocess.run(["umount", outport.data_dir], check=True)
    assert instance
    outport.assert_nothing_left()


def test_an_outport_that_runs_is_left_alone(binary, outport):
    outport.start()
    for options in (["--data-dir", outport.data_dir], ["--instance", outport.instance()]):
        refused = run(binary, "cleanup", *options)
        assert refused.returncode != 0
        assert "running" in refused.stderr, refused.stderr
    assert outport.ecs.list_clusters()["clusterArns"]
    outport.stop()
    outport.assert_nothing_left()


def test_an_outport_whose_lock_was_cleaned_away_is_left_alone(binary, outport):
    outport.start()
    instance = outport.instance()
    lock = Path("/run/outport") / f"{instance}.lock"
    lock.unlink()
    until(lock.exists, "the lock is made again")
    refused = run(binary, "cleanup", "--instance", instance)
    assert refused.returncode != 0 and "is running" in refused.stderr, refused
    outport.stop()
    assert not lock.exists()


def test_what_the_dead_left_is_named_at_the_start(binary, outport, app_image, shared_outport):
    instance = crash_with_a_task(outport, app_image)
    wanted = f"outport cleanup --instance {instance}"
    other = type(outport)(binary, outport.directory / "other")
    other.directory.mkdir()
    try:
        refused = run(binary, "up", "--data-dir", other.data_dir, "--listen",
                      f"127.0.0.1:{other.port}", "--default-vpc-cidr", outport.vpc_cidr)
        assert refused.returncode != 0
        assert wanted in refused.stderr, refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        other.start()
        until(lambda: wanted in other.log(), "the dead instance is named", 90)
        assert f"--instance {shared_outport.instance()}" not in other.log()
        other.stop()
    finally:
        other.destroy()


def test_a_closed_terminal_ends_it_in_order(outport):
    outport.start()
    outport.process.send_signal(signal.SIGHUP)
    assert outport.process.wait(timeout=60) == 0, outport.log()
    outport.assert_nothing_left()


def test_nohup_outlives_the_terminal(outport):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outport.start()
    finally:
        signal.signal(signal.SIGHUP, before)
    os.kill(outport.process.pid, signal.SIGHUP)
    assert outport.ecs.list_clusters()["clusterArns"]
    outport.stop()
    outport.assert_nothing_left()
