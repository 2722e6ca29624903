//! What a fresh Debian or Ubuntu machine lacks: packages, cargo components, and the AWS clients in a
//! directory of ours.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{command, find, output, run};

/// Program to look for, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 8] = [
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("mkfs.ext4", "e2fsprogs"),
    ("skopeo", "skopeo"),
    ("busybox", "busybox-static"),
    ("pkg-config", "pkg-config"),
    ("python3", "python3"),
    ("pgrep", "procps"),
];
/// What the tests need beside.
pub const TEST_PROGRAMS: [(&str, &str); 7] = [
    ("buildah", "buildah"),
    ("podman", "podman"),
    ("dockerd", "docker.io"),
    ("iptables", "iptables"),
    ("runc", "runc"),
    ("openssl", "openssl"),
    ("promtool", "prometheus"),
];
/// What the guest with pure cgroup v2 needs.
pub const GUEST_PROGRAMS: [(&str, &str); 3] =
    [("qemu-system-x86_64", "qemu-system-x86"), ("depmod", "kmod"), ("cpio", "cpio")];
/// What the benchmark compares with.
pub const BENCH_PROGRAMS: [(&str, &str); 1] = [("runc", "runc")];
/// File to look for, and the Debian package that brings it.
const FILES: [(&str, &str); 1] = [("/usr/include/seccomp.h", "libseccomp-dev")];
/// Cargo's parts that a minimal installation of Rust lacks.
const CARGO_COMPONENTS: [(&str, &str); 2] = [("fmt", "rustfmt"), ("clippy", "clippy")];

/// Fails unless this is root: containers are made.
pub fn require_root() -> Result<()> {
    let id = output(&mut command(Path::new("/"), "id", ["-u"]))?;
    if id.trim() != "0" {
        bail!("this makes containers and needs root: run it with sudo -E, or as root");
    }
    Ok(())
}

/// Installs the Debian packages whose programs are missing; `also` beside what everything needs.
pub fn install_packages(also: &[(&str, &str)]) -> Result<()> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .chain(also)
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    missing.extend(FILES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, p)| *p));
    // Debian splits the two modules off; python3 alone cannot make an environment.
    let modules = ["-c", "import ensurepip, venv"];
    if output(&mut command(Path::new("/"), "python3", modules)).is_err() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    if find("apt-get").is_none() {
        bail!("install these packages (their Debian names): {}", missing.join(" "));
    }
    update_package_lists()?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    run(command(Path::new("/"), "apt-get", install.iter().chain(&missing))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::process::Stdio::null()))
}

/// What apt knows of its archives, made new.
pub fn update_package_lists() -> Result<()> {
    run(command(Path::new("/"), "apt-get", ["update", "-qq"])
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Adds rustfmt and clippy where they are missing.
pub fn install_cargo_components(repository: &Path) -> Result<()> {
    for (subcommand, component) in CARGO_COMPONENTS {
        if output(&mut command(repository, "cargo", [subcommand, "--version"])).is_ok() {
            continue;
        }
        println!("installing {component}");
        run(&mut command(repository, "rustup", ["component", "add", component]))
            .with_context(|| format!("cargo {subcommand} is needed"))?;
    }
    Ok(())
}

/// The directory with `aws`, `python3` and `pytest`, made once per list of versions below the build
/// directory.
pub fn python_programs(repository: &Path) -> Result<PathBuf> {
    let tests = repository.join("tests");
    let lists = ["requirements.txt", "requirements-aws-cli.txt"].map(|name| tests.join(name));
    let wanted = lists.iter().map(std::fs::read_to_string).collect::<Result<String, _>>()?;
    let environment = build_directory(repository)?.join("python");
    let stamp = environment.join("made-of");
    let programs = environment.join("bin");
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(programs);
    }
    println!("installing boto3, pytest and the AWS CLI from PyPI");
    let make = ["-m", "venv", "--clear"].map(Path::new).into_iter().chain([environment.as_path()]);
    run(&mut command(repository, "python3", make))?;
    let install = ["install", "--quiet", "--disable-pip-version-check", "--requirement"];
    let [clients, aws_cli] = &lists;
    run(command(repository, programs.join("pip"), install).arg(clients))?;
    run(command(repository, programs.join("pip"), install).arg(aws_cli).arg("--no-deps"))?;
    run(&mut command(repository, programs.join("python3"), [tests.join("support/aws_cli.py")]))?;
    std::fs::write(stamp, wanted)?;
    Ok(programs)
}

/// Adds the tools that deploy to ECS and are no clients of the demo: `ecs-deploy`, and ansible with its
/// collections for AWS. `programs` is the directory of [`python_programs`].
pub fn add_deploy_tools(repository: &Path, programs: &Path) -> Result<()> {
    let tests = repository.join("tests");
    let lists = ["requirements-deploy-tools.txt", "requirements-ansible.txt"];
    let [tools, collections] = lists.map(|name| tests.join(name));
    let wanted = [&tools, &collections].map(std::fs::read_to_string);
    let wanted = wanted.into_iter().collect::<Result<String, _>>()?;
    let environment = programs.parent().context("programs are in an environment")?;
    let stamp = environment.join("deploy-tools-made-of");
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    println!("installing ecs-deploy and ansible from PyPI");
    let pip = |verb: &str, list: &Path| {
        let mut pip = command(repository, programs.join("pip"), [verb, "--quiet"]);
        pip.args(["--disable-pip-version-check", "--requirement"]).arg(list);
        pip
    };
    run(&mut pip("install", &tools))?;
    let download = environment.join("download");
    run(pip("download", &collections).arg("--no-deps").arg("--dest").arg(&download))?;
    let wheel = std::fs::read_dir(&download)?.next().context("pip has downloaded nothing")??;
    let unpack = [tests.join("support/ansible.py"), wheel.path()];
    run(&mut command(repository, programs.join("python3"), unpack))?;
    std::fs::remove_dir_all(&download)?;
    Ok(std::fs::write(stamp, wanted)?)
}

/// Where cargo puts what it builds, as it says itself.
pub fn build_directory(repository: &Path) -> Result<PathBuf> {
    let metadata = ["metadata", "--format-version", "1", "--no-deps"];
    let answer = output(&mut command(repository, "cargo", metadata))?;
    let answer: serde_json::Value = serde_json::from_str(&answer)?;
    let directory = answer["target_directory"].as_str().context("cargo names its directory")?;
    Ok(PathBuf::from(directory))
}

/// Builds the program, and says where it is.
pub fn build_outport(repository: &Path, release: bool) -> Result<PathBuf> {
    let mut build = command(repository, "cargo", ["build", "--locked", "--bin", "outport"]);
    if release {
        build.arg("--release");
    }
    // With cargo's own progress: the first time takes minutes.
    run(&mut build)?;
    let profile = if release { "release" } else { "debug" };
    Ok(build_directory(repository)?.join(profile).join("outport"))
}

/// Makes the image of the demonstration, an OCI layout with the tags 1.0 and 2.0; where it is.
pub fn build_image(repository: &Path, scratch: &Path) -> Result<PathBuf> {
    let image = scratch.join("image");
    let builder = repository.join("tests/support/app_image.py");
    output(&mut command(scratch, "python3", [&builder, &image]))?;
    Ok(image)
}

/// `PATH` with the clients' directory first.
pub fn path_with(programs: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(
        std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path)),
    )?)
}
