"""What `cargo xtask package` makes, taken apart with the tools that its users have."""

import gzip
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from support.packaging import REPOSITORY, digests, package

# Where the program itself is not the subject: small, so that compressing it takes no time.
STAND_IN = Path("/usr/bin/true")
UNITS = ("outport.service", "outport-server.service", "outport-node.service")


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def only(files, ending):
    (found,) = [path for name, path in files.items() if name.endswith(ending)]
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory, binary):
    """All products, of the stand-in."""
    return package(STAND_IN, tmp_path_factory.mktemp("small"), "--pages-of", binary)


def test_the_program_of_the_tarball_runs(binary, tmp_path):
    files = package(binary, tmp_path / "out", "--only", "tarball", "--only", "sbom")
    tarball = only(files, "-linux-amd64.tar.gz")
    output("tar", "--extract", "--file", tarball, "--directory", tmp_path)
    (root,) = tmp_path.glob("outport-*-linux-amd64")
    version = root.name.split("-")[1]
    assert output(root / "outport", "--version").startswith(f"outport {version} (")
    assert "not stripped" not in output("file", root / "outport") if shutil.which("file") else True
    for name in ("LICENSE", "NOTICE", "THIRD-PARTY", "docs/guide/install.md",
                 "docs/compatibility.md", "systemd/default"):
        assert (root / name).read_text().strip(), name
    for shell, name in (("bash", "outport.bash"), ("zsh", "_outport"), ("fish", "outport.fish")):
        assert (root / "completions" / name).read_text() == output(binary, "completions", shell)
    assert {"outport.1", "outport-up.1", "outport-image-load.1"} <= {
        path.name for path in (root / "man/man1").iterdir()}
    assert {path.name for path in (root / "systemd").glob("*.service")} == set(UNITS)
    # The crates that the program itself names, in what it would say of a panic.
    named = set(re.findall(rb"/registry/src/[^/\s]+/([a-z0-9_-]+?)-(\d+\.\d+\.\d+[^/\s]*)/src/",
                           binary.read_bytes()))
    assert len(named) > 20, named
    bill = json.loads(only(files, ".cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "outport"
    listed = {(each["name"], each["version"]) for each in bill["components"]}
    missing = {(n.decode(), v.decode()) for n, v in named} - listed
    assert not missing, missing
    for library in ("libseccomp", "rust-std", "outport-planner"):
        assert library in {name for name, _ in listed}, library
    assert "proptest" not in {name for name, _ in listed}, "what only tests use is not in there"


def test_two_packagings_of_one_program_are_the_same_bytes(small, binary, tmp_path):
    # As somebody else would, elsewhere.
    env = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "DPKG_DEB_THREADS_MAX": "2",
           "OUTPORT_LISTEN": "127.0.0.1:4999", "COLUMNS": "40"}
    again = package(STAND_IN, tmp_path, "--pages-of", binary, env=env, umask=0o077)
    assert digests(again) == digests(small)
    assert len(again) == 5, again
    output("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=tmp_path)


def test_the_deb_is_in_order(small, tmp_path):
    deb = only(small, "_amd64.deb")
    fields = dict(line.split(": ", 1) for line in
                  output("dpkg-deb", "--field", deb).splitlines() if not line.startswith(" "))
    assert fields["Package"] == "outport" and fields["Architecture"] == "amd64", fields
    assert re.search(r"libc6 \(>= 2\.\d+\), libgcc-s1, nftables, e2fsprogs", fields["Depends"])
    contents = output("dpkg-deb", "--contents", deb, env={"PATH": "/usr/bin:/bin", "TZ": "UTC"})
    paths = {}
    for line in contents.splitlines():
        mode, owner, _, day, _, path = line.split(maxsplit=5)
        assert owner == "root/root" and day == "2023-11-14", line
        paths[path] = mode
    assert paths["./usr/bin/outport"] == "-rwxr-xr-x"
    assert paths["./etc/default/outport"] == "-rw-r--r--"
    assert "./usr/share/doc/outport/copyright" in paths
    for page in ("guide/install.md", "guide/backup.md", "operations/events.md", "compatibility.md",
                 "examples/first-task/task.json", "examples/terraform/main.tf"):
        assert f"./usr/share/doc/outport/{page}" in paths
    assert paths["./usr/share/doc/outport/examples/first-service/run.sh"] == "-rwxr-xr-x"
    for unit in UNITS:
        assert paths[f"./usr/lib/systemd/system/{unit}"] == "-rw-r--r--"
    for path in ("bash-completion/completions/outport", "zsh/vendor-completions/_outport",
                 "fish/vendor_completions.d/outport.fish", "man/man1/outport.1.gz",
                 "man/man1/outport-up.1.gz"):
        assert paths[f"./usr/share/{path}"] == "-rw-r--r--", path
    output("dpkg-deb", "--raw-extract", deb, tmp_path / "raw")
    control = tmp_path / "raw/DEBIAN"
    assert (control / "conffiles").read_text() == "/etc/default/outport\n"
    output("md5sum", "--check", "--strict", control / "md5sums", cwd=tmp_path / "raw")
    for script in ("postinst", "prerm", "postrm"):
        output("sh", "-n", control / script)
    starts = re.compile(r"(systemctl|deb-systemd-\w+) (--\S+ )*(enable|start|unmask)\b")
    assert not starts.search((control / "postinst").read_text())


def test_what_shells_and_man_read_is_the_programs(small, binary, tmp_path):
    output("dpkg-deb", "--extract", only(small, "_amd64.deb"), tmp_path)
    share = tmp_path / "usr/share"
    # As bash-completion loads it: by the name of the command.
    ask = ('. "$1"; COMP_WORDS=(outport comp); COMP_CWORD=1; _outport outport comp outport; '
           'printf "%s\\n" "${COMPREPLY[@]}"')
    completed = output("bash", "-c", ask, "-", share / "bash-completion/completions/outport")
    assert {"completions", "compose"} <= set(completed.split()), completed
    output(binary, "man", tmp_path / "pages")
    written = {path.name: path.read_bytes() for path in (tmp_path / "pages").iterdir()}
    packaged = {path.name.removesuffix(".gz"): gzip.decompress(path.read_bytes())
                for path in (share / "man/man1").iterdir()}
    assert packaged == written and len(written) > 20


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_understands_the_units(small, tmp_path):
    output("dpkg-deb", "--extract", only(small, "_amd64.deb"), tmp_path)
    units = tmp_path / "usr/lib/systemd/system"
    for unit in units.iterdir():
        # It wants the program to be where the unit says.
        text = unit.read_text()
        assert "ExecStart=/usr/bin/outport " in text
        unit.write_text(text.replace("/usr/bin/outport", str(tmp_path / "usr/bin/outport")))
    # Complaints about what a unit says do not change the status.
    done = subprocess.run(["systemd-analyze", "verify", *units.iterdir()], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and "outport" not in done.stderr, done.stderr


def test_the_units_leave_tasks_running(small, tmp_path):
    output("dpkg-deb", "--extract", only(small, "_amd64.deb"), tmp_path)
    for name in ("outport", "outport-node"):
        unit = (tmp_path / f"usr/lib/systemd/system/{name}.service").read_text()
        settings = [line.partition("=") for line in unit.splitlines() if "=" in line and line[0] != "#"]
        one = {key: value for key, _, value in settings}
        assert one["KillMode"] == "process" and one["Restart"] == "always"
        assert int(one["TimeoutStopSec"]) > 120, "the longest stopTimeout of ECS"
        assert "network-online.target" in one["After"] and "network-online.target" in one["Wants"]
        assert one["EnvironmentFile"] == "-/etc/default/outport"
        assert one["LimitNOFILE"].endswith(":1048576")
        assert "--keep-tasks" in one["ExecStart"] or name == "outport-node"


def test_the_image_is_a_valid_layout(small, tmp_path):
    archive = only(small, ".oci.tar")
    shown = json.loads(output("skopeo", "inspect", f"oci-archive:{archive}"))
    assert (shown["Architecture"], shown["Os"], len(shown["Layers"])) == ("amd64", "linux", 2)
    config = json.loads(output("skopeo", "inspect", "--config", f"oci-archive:{archive}"))["config"]
    assert config["Entrypoint"][-1] == "outport"
    assert config["Cmd"] == ["up", "--listen", "0.0.0.0:4566"]
    # Copying checks each digest and each layer's.
    output("skopeo", "copy", "--insecure-policy", f"oci-archive:{archive}", f"dir:{tmp_path}/dir")
    names = set()
    for layer in shown["Layers"]:
        with tarfile.open(tmp_path / "dir" / layer.removeprefix("sha256:")) as files:
            members = files.getmembers()
        assert all(member.uid == member.gid == 0 for member in members)
        assert {member.mtime for member in members} == {1700000000}
        names |= {member.name.removeprefix("./") for member in members}
    for program in ("usr/bin/outport", "usr/bin/tini", "usr/sbin/nft", "usr/sbin/mkfs.ext4",
                    "usr/sbin/iptables", "etc/ssl/certs/ca-certificates.crt"):
        assert program in names, program
    assert not {"usr/bin/sh", "usr/bin/dash", "usr/bin/perl", "usr/bin/apt"} & names
    # Each of its packages is in the bill of materials.
    bill = json.loads(only(small, ".cdx.json").read_text())
    listed = {each["name"] for each in bill["components"] if each["purl"].startswith("pkg:deb/")}
    status = "var/lib/dpkg/status.d/"
    packages = {name.removeprefix(status) for name in names if name.startswith(status)} - {""}
    assert packages == listed and {"libc6", "nftables"} < packages, packages ^ listed


def test_a_program_of_another_kind_is_refused(tmp_path):
    done = package(STAND_IN, tmp_path, "--arch", "arm64", check=False)
    assert done.returncode != 0 and "is not for arm64" in done.stderr, done.stderr
    done = package(REPOSITORY / "Cargo.toml", tmp_path, check=False)
    assert done.returncode != 0 and "is no program" in done.stderr, done.stderr


def test_a_program_without_pages_is_refused(tmp_path):
    done = package(STAND_IN, tmp_path, "--only", "tarball", check=False)
    assert done.returncode != 0 and "completes nothing for bash" in done.stderr, done.stderr


def test_the_other_kind_of_machine_is_built_for_or_what_is_missing_is_said(tmp_path):
    target = "aarch64-unknown-linux-gnu"
    library = output("rustc", "--print", "target-libdir", "--target", target, cwd=REPOSITORY)
    wanted = {f"rustup target add {target}": Path(library.strip()).is_dir(),
              "apt-get install gcc-aarch64-linux-gnu": shutil.which("aarch64-linux-gnu-gcc"),
              "libseccomp-dev:arm64": Path("/usr/lib/aarch64-linux-gnu/libseccomp.a").exists()}
    missing = [command for command, is_there in wanted.items() if not is_there]
    if not missing:
        pytest.skip("this machine can build for arm64, which takes minutes")
    done = package(None, tmp_path, "--arch", "arm64", check=False)
    assert done.returncode == 1, done.stdout
    line = done.stderr.splitlines()[0]
    assert line.startswith("Error: this machine cannot build for --arch arm64 yet; run: "), line
    assert [command for command in wanted if command in line] == missing, line
    assert "build outport" not in done.stdout, "it is said before anything is built"


def test_a_step_is_said_before_it_is_taken(tmp_path, binary):
    done = package(STAND_IN, tmp_path, "--only", "deb", "--pages-of", binary, check=False)
    steps = re.findall(r"^==> step (\d) of (\d): (.+) \(\d+ s\)$", done.stdout, re.M)
    assert [(number, of) for number, of, _ in steps] == [(str(n), "4") for n in range(1, 5)], done.stdout
    assert [what for *_, what in steps][1:] == [
        f"the program {STAND_IN}", "its completions and manual pages",
        "the Debian package, with its systemd units"]


def test_only_what_is_built_twice_is_compared(tmp_path):
    done = package(STAND_IN, tmp_path, "--verify", check=False)
    assert done.returncode == 2 and "cannot be used with" in done.stderr, done.stderr
