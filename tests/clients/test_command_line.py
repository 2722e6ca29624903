"""The command line is a contract: scripts rely on what it prints and how it ends."""

import os
import socket
import stat
import subprocess
import urllib.request


def run(binary, *arguments, **options):
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=90,
                          **options)


def test_up_says_that_it_is_ready_and_env_names_it(outport):
    outport.start()
    assert f"outport is ready at http://127.0.0.1:{outport.port}\n" in outport.log()
    env = outport.env()
    assert env["AWS_ENDPOINT_URL"] == outport.url
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "us-east-1"
    assert env["AWS_ACCESS_KEY_ID"] and env["AWS_SECRET_ACCESS_KEY"]
    for name in ("root-key", "join-token", "sealing-key", "master-key", "endpoint"):
        mode = stat.S_IMODE((outport.data_dir / name).stat().st_mode)
        assert mode == 0o600, name
    with urllib.request.urlopen(f"{outport.url}/_outport/metrics") as answer:
        assert b"# TYPE outport_" in answer.read()


def test_the_root_key_can_be_set(outport):
    outport.start(env={"OUTPORT_ROOT_ACCESS_KEY_ID": "test",
                       "OUTPORT_ROOT_SECRET_ACCESS_KEY": "test",
                       "OUTPORT_ACCOUNT_ID": "123456789012", "OUTPORT_REGION": "eu-west-1"})
    assert outport.env()["AWS_ACCESS_KEY_ID"] == "test"
    identity = outport.client("sts").get_caller_identity()
    assert identity["Account"] == "123456789012"
    zones = outport.client("ec2").describe_availability_zones()["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in zones][0] == "eu-west-1a"


def test_a_locked_data_dir_is_refused(outport, binary):
    outport.start()
    second = run(binary, "up", "--data-dir", outport.data_dir, "--listen", "127.0.0.1:19999")
    assert second.returncode != 0
    assert "in use by another outport" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1, second.stderr


def test_a_busy_port_is_refused(binary, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = run(binary, "up", "--data-dir", tmp_path / "d", "--listen", f"127.0.0.1:{port}")
    assert refused.returncode != 0
    assert f"127.0.0.1:{port}" in refused.stderr and "--listen" in refused.stderr


def test_a_newer_data_dir_is_refused(outport, binary):
    outport.data_dir.mkdir(parents=True)
    (outport.data_dir / "format").write_text("99\n")
    refused = run(binary, "up", "--data-dir", outport.data_dir)
    assert refused.returncode != 0
    assert "newer outport" in refused.stderr


def test_who_is_not_root_is_told(binary, tmp_path):
    tmp_path.chmod(0o777)
    def become_nobody():
        os.setgid(65534)
        os.setuid(65534)
    copy = tmp_path / "outport"
    copy.write_bytes(binary.read_bytes())
    copy.chmod(0o755)
    for parent in copy.parents:
        if str(parent).startswith(str(tmp_path.parent.parent)):
            parent.chmod(0o755)
    refused = run(copy, "up", "--data-dir", "/tmp/outport-nobody", preexec_fn=become_nobody)
    assert refused.returncode != 0
    assert "root" in refused.stderr, refused.stderr


def test_env_before_the_first_start_says_what_to_do(binary, tmp_path):
    refused = run(binary, "env", "--data-dir", tmp_path)
    assert refused.returncode != 0
    assert "outport up" in refused.stderr


def test_two_on_one_host_do_not_disturb_each_other(outport, shared_outport):
    outport.start()
    assert outport.instance() != shared_outport.instance()
    outport.ecs.create_cluster(clusterName="mine")
    assert "mine" not in str(shared_outport.ecs.list_clusters())
    outport.stop()
    outport.assert_nothing_left()
    assert shared_outport.ecs.list_clusters()["clusterArns"]


def test_a_clash_of_addresses_is_said_at_the_start(outport, shared_outport, binary):
    refused = run(binary, "up", "--data-dir", outport.data_dir, "--listen",
                  f"127.0.0.1:{outport.port}", "--default-vpc-cidr", shared_outport.vpc_cidr)
    assert refused.returncode != 0
    assert "--default-vpc-cidr" in refused.stderr, refused.stderr


def test_version_completions_and_pages_come_of_the_program_itself(binary, tmp_path):
    """Without a data directory, a configuration file that is read, or root."""
    env = {"PATH": os.environ["PATH"], "OUTPORT_CONFIG": str(tmp_path / "none.toml")}
    version = run(binary, "version", env=env).stdout
    assert version.startswith("outport ") and "commit" in version
    assert run(binary, "--version", env=env).stdout == version
    bash = run(binary, "completions", "bash", env=env).stdout
    syntax = subprocess.run(["bash", "-n"], input=bash, text=True, capture_output=True)
    assert syntax.returncode == 0 and "--images-gib" in bash, syntax.stderr
    for shell in ("zsh", "fish", "powershell"):
        assert "images-gib" in run(binary, "completions", shell, env=env).stdout
    assert run(binary, "man", tmp_path / "man1", env=env).returncode == 0
    pages = {page.name for page in (tmp_path / "man1").iterdir()}
    assert {"outport.1", "outport-up.1", "outport-config-show.1"} <= pages, pages
    assert not any("shim" in page for page in pages)


def test_the_help_has_examples_and_where_to_read_on(binary):
    for command in (["--help"], ["up", "--help"]):
        text = run(binary, *command).stdout
        for part in ("Examples:", "RUST_LOG", "OUTPORT_", "docs/guide/"):
            assert part in text, (command, part)
