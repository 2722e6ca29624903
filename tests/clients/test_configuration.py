"""Options come from the command line, the environment, a file, what is stored, or the default, and it can be told which."""

import json
import os
import re
import subprocess


def run(binary, *arguments, env=None):
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=90,
                          env={**outside(), **(env or {})})


def outside():
    """Without what the tests set for every Outport."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OUTPORT_TASK_")}


def shown(binary, *arguments, env=None):
    """What `config show` says: each option's value and source."""
    done = run(binary, "config", "show", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"  +", line) for line in done.stdout.splitlines()[1:]]
    return {name: (value, source) for name, value, source in rows}


def test_each_option_is_shown_with_where_it_is_from(binary, outport, tmp_path):
    file = tmp_path / "outport.toml"
    file.write_text(f'data-dir = "{outport.data_dir}"\nlisten = {outport.port}\n'
                    f'default-vpc-cidr = "{outport.vpc_cidr}"\nimages-gib = 30\nstate-mib = 64\n'
                    'root-access-key-id = "test"\nroot-secret-access-key = "do not tell"\n')
    env = {"OUTPORT_CONFIG": str(file), "OUTPORT_IMAGES_GIB": "31", "OUTPORT_KEEP_TASKS": "0"}
    said = shown(binary, "up", "--logs-gib", "5", env=env)
    assert said["listen"] == (f"127.0.0.1:{outport.port}", f"file {file}:2")
    assert said["images-gib"] == ("31", "env OUTPORT_IMAGES_GIB")
    assert said["state-mib"] == ("64", f"file {file}:5")
    assert said["logs-gib"] == ("5", "flag")
    assert said["keep-tasks"] == ("false", "env OUTPORT_KEEP_TASKS")
    assert said["region"] == ("us-east-1", "default")
    assert said["root-secret-access-key"] == ("(not shown)", f"file {file}:7")
    assert "do not tell" not in str(said)
    assert said["registry-gib"] == ("(half of the disk)", "default")
    told = json.loads(run(binary, "config", "show", "--json", "up", "--logs-gib", "5", env=env).stdout)
    assert (told["command"], told["file"], told["unknownVariables"]) == ("up", str(file), [])
    assert {row["name"]: (row["value"], row["source"]) for row in told["options"]} == said
    assert not outport.data_dir.exists()
    # And it is what a start does.
    with outport.log_path.open("ab") as log:
        outport.process = subprocess.Popen(
            [binary, "up", "--cluster", "edge", "--region", "eu-west-1"], stdout=log, stderr=log,
            start_new_session=True, env={**os.environ, **env})
    outport.wait_until_ready()
    assert outport.summary()["VPC"] == outport.vpc_cidr
    assert run(binary, "env", env=env).stdout.count("'test'") == 1
    status = run(binary, "status", "--json", env=env)
    assert status.returncode == 0 and "edge" in status.stdout, status.stderr
    outport.stop()
    said = shown(binary, env=env)
    assert said["region"] == ("eu-west-1", "stored")
    assert said["cluster"] == ("edge", "stored")
    assert said["default-vpc-cidr"] == (outport.vpc_cidr, f"file {file}:3")
    refused = shown(binary, "--region", "us-east-1", env=env)["region"]
    assert refused == ("us-east-1", "flag; refused, since eu-west-1 is stored")
    outport.assert_nothing_left()


def test_a_file_that_is_not_understood_is_refused_with_the_place(binary, tmp_path):
    file = tmp_path / "outport.toml"
    for text, expected in (("lisen = 4566\n", ":1: there is no option lisen; did you mean listen?"),
                           ("\nimages-gib = true\n", ":2: images-gib takes a text or a number"),
                           ("listen = [\n", ":1: ")):
        file.write_text(text)
        done = run(binary, "up", "--config", file, "--data-dir", tmp_path / "data")
        assert done.returncode == 1
        (line,) = done.stderr.strip().splitlines()
        assert f"{file}{expected}" in line, line
        assert not (tmp_path / "data").exists()
    done = run(binary, "up", "--config", tmp_path / "none.toml")
    assert done.returncode == 1 and "cannot read the configuration file" in done.stderr


def test_what_a_start_would_refuse_is_not_shown_as_if_it_were_fine(binary, tmp_path):
    file = tmp_path / "outport.toml"
    for text, expected in (('tls-key = "/key.pem"\n', "--tls-certificate and --tls-key go together"),
                           ('region = ""\n', '--region is ""'),
                           ('account-id = 12\n', "12 digits"),
                           ('root-access-key-id = "test"\n', "go together")):
        file.write_text(text)
        for command in (["config", "show", "up"], ["up", "--data-dir", tmp_path / "data"]):
            done = run(binary, *command, "--config", file)
            assert done.returncode == 1 and expected in done.stderr, (text, done.stdout, done.stderr)
            assert not (tmp_path / "data").exists()


def test_a_variable_that_is_wrong_is_named_with_its_option(binary):
    done = run(binary, "config", "show", env={"OUTPORT_IMAGES_GIB": "abc"})
    assert done.returncode == 2
    assert 'the variable OUTPORT_IMAGES_GIB is "abc", which --images-gib does not take: invalid digit' \
        in done.stderr, done.stderr
    done = run(binary, "config", "show", "up", "--images-gib", "abc", env={"OUTPORT_IMAGES_GIB": "5"})
    assert "OUTPORT_IMAGES_GIB" not in done.stderr.splitlines()[0], done.stderr


def test_an_empty_variable_says_nothing_whatever_the_option(binary):
    names = re.findall(r"OUTPORT_[A-Z_]+", run(binary, "up", "--help").stdout)
    assert len(set(names)) > 20
    empty = {name: "" for name in names if name != "OUTPORT_CONFIG"}
    assert shown(binary, env={**empty, "OUTPORT_CONFIG": ""}) == shown(binary)


def test_a_variable_that_is_no_option_is_warned_of(binary):
    done = run(binary, "config", "show", env={"OUTPORT_REGOIN": "eu-west-1"})
    assert done.returncode == 0
    assert "the environment has OUTPORT_REGOIN, and no option is called so; did you mean " \
        "OUTPORT_REGION?" in done.stderr
    assert run(binary, "config", "show").stderr == ""
