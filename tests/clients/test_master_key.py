"""The master key of the operator: given, rotated, lost, and not in a backup."""

import os
import secrets
import signal
import subprocess
import time

import boto3
import pytest

from support.wait import until


def key_file(directory, name):
    path = directory / name
    path.write_text(secrets.token_hex(32) + "\n")
    path.chmod(0o600)
    return path


class Server:
    """`outport server` with options and an environment of its own."""

    def __init__(self, outport):
        self.outport, self.process = outport, None

    def start(self, *options, env=None, ready=True):
        self.log = self.outport.directory / f"server-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.outport.binary, "server", "--data-dir", self.outport.data_dir, "--listen",
                 f"127.0.0.1:{self.outport.port}", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})})
        if ready:
            until(lambda: "outport is ready" in self.said(), self.said, 60)
            return None
        assert self.process.wait(timeout=60) == 1, self.said()
        return self.said()

    def said(self):
        return self.log.read_text(errors="replace")

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0, self.said()


@pytest.fixture
def server(outport):
    server = Server(outport)
    yield server
    if server.process and server.process.poll() is None:
        server.process.kill()
        server.process.wait()
    subprocess.run([outport.binary, "cleanup", "--data-dir", outport.data_dir], capture_output=True)


def run(binary, *arguments, check=True, env=None):
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=60, env=env)
    assert not check or done.returncode == 0, done.stderr
    return done


class Kept:
    """A secret, a parameter, a ciphertext and a user's key: all that is sealed."""

    def __init__(self, outport):
        self.outport = outport
        self.secret = outport.client("secretsmanager")
        self.secret.create_secret(Name="db", SecretString="s3cret")
        outport.client("ssm").put_parameter(Name="/p", Value="value", Type="SecureString")
        kms = outport.client("kms")
        self.key = kms.create_key()["KeyMetadata"]["KeyId"]
        self.blob = kms.encrypt(KeyId=self.key, Plaintext=b"plain")["CiphertextBlob"]
        iam = outport.client("iam")
        iam.create_user(UserName="u")
        self.user = iam.create_access_key(UserName="u")["AccessKey"]

    def check(self):
        client = self.outport.client
        assert client("secretsmanager").get_secret_value(SecretId="db")["SecretString"] == "s3cret"
        parameter = client("ssm").get_parameter(Name="/p", WithDecryption=True)["Parameter"]
        assert parameter["Value"] == "value"
        assert client("kms").decrypt(CiphertextBlob=self.blob)["Plaintext"] == b"plain"
        sts = boto3.client(
            "sts", endpoint_url=self.outport.url, region_name="us-east-1",
            aws_access_key_id=self.user["AccessKeyId"],
            aws_secret_access_key=self.user["SecretAccessKey"])
        assert sts.get_caller_identity()["Arn"].endswith(":user/u")


def test_the_key_comes_from_the_operator_and_a_start_without_it_is_refused(
        binary, outport, server, tmp_path):
    first, other = key_file(tmp_path, "first"), key_file(tmp_path, "other")
    own = outport.data_dir / "master-key"
    server.start("--master-key-file", first)
    assert not own.exists()
    kept = Kept(outport)
    kept.check()
    server.stop()

    told = server.start(ready=False)
    assert "--master-key-file" in told and "1 access key, 3 KMS keys" in told, told
    assert not own.exists()
    told = server.start("--master-key-file", other, ready=False)
    assert "is not the one that 1 access key" in told and "give-up" in told, told
    assert first.read_text().strip() not in told
    first.chmod(0o644)
    assert "chmod 600" in server.start("--master-key-file", first, ready=False)
    shown = run(binary, "config", "show", "server", "--master-key-file", first, check=False)
    assert shown.returncode == 1 and "chmod 600" in shown.stderr, shown
    first.chmod(0o600)

    server.start("--master-key-command", f"cat {first}")
    kept.check()
    server.stop()
    told = server.start("--master-key-command", "echo sealed vault >&2; exit 7", ready=False)
    assert "sealed vault" in told, told
    server.start(env={"OUTPORT_MASTER_KEY": first.read_text()})
    assert "environment_variable_unknown" not in server.said()
    kept.check()
    server.stop()

    # It is in no backup, and a restored directory asks for it.
    backup = tmp_path / "one.backup"
    told = run(binary, "backup", "--data-dir", outport.data_dir, backup).stdout
    assert "is the operator's and not in it" in told, told
    outport.data_dir.rename(tmp_path / "old")
    told = run(binary, "restore", backup, "--data-dir", outport.data_dir).stdout
    assert "Give it the master key" in told, told
    assert not own.exists()
    assert "--master-key-file" in server.start(ready=False)
    server.start("--master-key-file", first)
    kept.check()
    server.stop()


def rotate(binary, outport, *options, check=True, fails_at=None):
    env = {**os.environ, "OUTPORT_FAIL_POINTS": f"seed=1,{fails_at}=100"} if fails_at else None
    return run(binary, "master-key", "rotate", "--data-dir", outport.data_dir, *options, check=check, env=env)


def test_a_rotation_seals_everything_with_another_key(binary, outport, server, tmp_path):
    server.start()
    kept = Kept(outport)
    assert "in use" in rotate(binary, outport, check=False).stderr
    server.stop()
    own = outport.data_dir / "master-key"
    before = own.read_text()
    told = rotate(binary, outport).stdout
    assert "it is in the data directory" in told and own.read_text() != before
    server.start()
    kept.check()
    server.stop()

    mine, next_one = key_file(tmp_path, "mine"), key_file(tmp_path, "next")
    told = server.start("--master-key-file", mine, ready=False)
    assert "start without it" in told, told
    told = rotate(binary, outport, "--new-master-key-file", mine).stdout
    assert "give it to each start" in told and not own.exists(), told
    server.start("--master-key-file", mine)
    kept.check()
    server.stop()
    refused = rotate(binary, outport, "--master-key-file", mine, check=False)
    assert "openssl rand" in refused.stderr, refused.stderr
    rotate(binary, outport, "--master-key-file", mine, "--new-master-key-file", next_one)
    assert "is not the one" in server.start("--master-key-file", mine, ready=False)
    server.start("--master-key-file", next_one)
    kept.check()
    server.stop()

    # The key is lost for ever: what it sealed is, and nothing else.
    told = server.start(ready=False)
    lost = told.split("the master key ")[1].split()[0]
    told = run(binary, "master-key", "give-up", lost, "--data-dir", outport.data_dir).stdout
    assert "1 access key" in told, told
    server.start()
    assert own.exists()
    outport.client("secretsmanager").create_secret(Name="new", SecretString="x")
    with pytest.raises(Exception):
        outport.client("kms").decrypt(CiphertextBlob=kept.blob)
    server.stop()


def test_a_rotation_that_is_killed_leaves_everything_readable(binary, outport, server):
    server.start()
    kept = Kept(outport)
    server.stop()
    for step in range(12):
        process = subprocess.Popen([binary, "master-key", "rotate", "--data-dir", outport.data_dir],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(step * 0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if step % 4 == 3:
            server.start()
            kept.check()
            server.stop()
    rotate(binary, outport)
    assert not (outport.data_dir / "master-key-next").exists()
    server.start()
    assert "master_key_rotation_unfinished" not in server.said()
    kept.check()
    server.stop()


@pytest.mark.parametrize("point", ["next", "sealed", "placed"])
def test_a_rotation_in_the_data_directory_that_ends_after_a_step(binary, outport, server, point):
    server.start()
    kept = Kept(outport)
    server.stop()
    # A build with optimisation has no such points, and makes it whole.
    ended = rotate(binary, outport, check=False, fails_at=f"master-key.{point}")
    assert ended.returncode == 0 or f"injected at master-key.{point}" in ended.stderr, ended.stderr
    server.start()
    kept.check()
    server.stop()
    rotate(binary, outport)
    server.start()
    assert "master_key_rotation_unfinished" not in server.said()
    kept.check()
    server.stop()


@pytest.mark.parametrize("point", ["next", "sealed", "noted", "removed"])
def test_a_rotation_to_the_operators_key_that_ends_after_a_step(binary, outport, server, tmp_path, point):
    server.start()
    kept = Kept(outport)
    server.stop()
    mine = key_file(tmp_path, "mine")
    ended = rotate(binary, outport, "--new-master-key-file", mine, check=False, fails_at=f"master-key.{point}")
    assert ended.returncode == 0 or f"injected at master-key.{point}" in ended.stderr, ended.stderr
    needed, other = ([], ["--master-key-file", mine])
    if point != "next" or ended.returncode == 0:
        needed, other = other, needed
    # The other one is refused, with what is needed; nothing is made in its place.
    told = server.start(*other, ready=False)
    assert "master key" in told and "1 access key" in told, told
    server.start(*needed)
    kept.check()
    server.stop()
    if point == "next":
        rotate(binary, outport, "--new-master-key-file", mine)
    server.start("--master-key-file", mine)
    kept.check()
    server.stop()
    # It is known to be the operator's.
    run(binary, "backup", "--data-dir", outport.data_dir, tmp_path / "backup")
