"""`outport doctor` says what this host lacks, all at once, and by its exit code whether that is essential."""

import json
import os
import stat
import subprocess

import pytest

ESSENTIAL = {"root", "OCI runtime", "overlayfs", "namespaces", "control groups", "confinement", "nft", "nftables",
             "task disks", "disk space"}


def doctor(binary, tmp_path, *options, path=None):
    env = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run([binary, "doctor", "--data-dir", tmp_path / "data", *options], env=env,
                          capture_output=True, text=True, timeout=120)


def checks(done):
    answer = json.loads(done.stdout)
    assert answer["ok"] == (done.returncode == 0)
    return {check["name"]: check for check in answer["checks"]}


@pytest.fixture
def programs(tmp_path):
    """A PATH of one directory: what it has is all that there is."""
    directory = tmp_path / "bin"
    directory.mkdir()

    def make(**scripts):
        for name, script in scripts.items():
            program = directory / name.replace("_", ".")
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(directory)
    return make


def test_a_host_on_which_outport_starts_is_well(binary, outport, tmp_path):
    assert outport.data_dir == tmp_path / "data"
    done = doctor(binary, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    found = checks(doctor(binary, tmp_path, "--json"))
    assert {name for name in ESSENTIAL if found[name]["state"] == "ok"} == ESSENTIAL
    # A look changes nothing.
    assert not outport.data_dir.exists()
    outport.start()
    outport.stop()


def test_all_that_is_missing_is_said_at_once_with_a_fix_each(binary, tmp_path, programs):
    path = programs(aws="echo aws-cli/1.22.34 Python/3.10.6 Linux/5.15")
    done = doctor(binary, tmp_path, "--json", "--oci-runtime", "/no/such/runtime", path=path)
    assert done.returncode == 1
    assert "4 of" in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    found = checks(done)
    failed = {name for name, check in found.items() if check["state"] == "failed"}
    assert failed == {"OCI runtime", "nft", "nftables", "task disks"}
    assert found["nft"]["fix"] == "run `apt-get install nftables`"
    assert "e2fsprogs" in found["task disks"]["fix"]
    assert found["AWS CLI"]["state"] == "warning"
    assert "1.22.34 ignores AWS_ENDPOINT_URL" in found["AWS CLI"]["found"]
    text = doctor(binary, tmp_path, path=path).stdout
    assert "FAILED   nft " in text and "fix: run `apt-get install nftables`" in text


def test_another_firewall_is_noticed(binary, tmp_path, programs):
    path = programs(nft="echo 'table inet firewalld'", mkfs_ext4="exit 0")
    found = checks(doctor(binary, tmp_path, "--json", path=path))
    assert found["firewalld"]["state"] == "warning"
    assert "firewall-cmd" in found["firewalld"]["fix"]
    assert found["nftables"]["state"] == "ok"
