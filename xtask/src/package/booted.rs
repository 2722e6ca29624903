//! `--boot`: a Debian with the .deb boots under emulation, and its systemd starts, restarts and stops the units over live
//! tasks. What is tried there is `files/booted`, which says what went well.
//!
//! **Invariant**: it passed only when the script in the guest said so at its end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::architecture::Architecture;
use super::chroot::Debian;
use super::{Release, archive};
use crate::guest::{self, Kernel, Machine, tail};
use crate::process::{command, output};
use crate::setup;

/// What a Debian has that boots, and what `kmod` is for: overlay, veth and nf_tables are modules.
const PACKAGES: [&str; 3] = ["systemd", "systemd-sysv", "kmod"];
const SCRIPT: &str = include_str!("files/booted");
/// Its own unit: the machine ends with it.
const UNIT: &str = "[Unit]\n\
    Description=What is tried of the package\n\
    SuccessAction=poweroff-force\n\
    FailureAction=poweroff-force\n\
    [Service]\n\
    Type=oneshot\n\
    TimeoutStartSec=infinity\n\
    ExecStart=/usr/local/sbin/booted\n";
const WANTED: &str = "etc/systemd/system/multi-user.target.wants";
/// Sparse.
const DISK: &str = "4G";
/// Without a terminal to log in at, which nobody waits for.
const OPTIONS: &str = "systemd.show_status=false systemd.mask=serial-getty@ttyS0.service";
/// Under emulation all of it takes some four minutes.
const PATIENCE: Duration = Duration::from_secs(25 * 60);
/// What the lines of the script begin with, and the last of them.
const SAID: &str = "BOOTED: ";
const PASSED: &str = "BOOTED: all is well";

/// Fails early where it cannot be emulated.
pub fn prepare(architecture: Architecture) -> Result<()> {
    ensure!(architecture == Architecture::Amd64, "--boot emulates an amd64 machine");
    setup::install_packages(&setup::GUEST_PROGRAMS)
}

pub fn run(release: &Release, mirror: &str) -> Result<()> {
    let began = Instant::now();
    let directory = release.scratch.join("boot");
    std::fs::create_dir_all(&directory)?;
    let kernel = Kernel::obtain(&guest::directory(&release.repository)?)?;
    let debian = Debian::bootstrap(directory.join("debian"), &PACKAGES, release, mirror)?;
    debian.install()?;
    debian.make_next(release)?;
    kernel.install_modules(&debian.root)?;
    add_project(&debian.root, release)?;
    add_script(&debian.root)?;
    let disk = disk_of(&debian.root, &directory)?;
    println!("    booting it ({} s)", began.elapsed().as_secs());
    let initrd = guest::for_disk(&directory, &kernel)?;
    let machine =
        Machine { kernel: &kernel.image, initrd: &initrd, disk: Some(&disk), options: OPTIONS };
    let console = machine.run(&directory.join("console.log"), PATIENCE, |line| {
        if let Some(said) = line.strip_prefix(SAID) {
            println!("    {said} ({} s)", began.elapsed().as_secs());
        }
    })?;
    if !console.lines().any(|line| line.trim() == PASSED) {
        bail!("the units did not do in the guest what they should:\n{}", tail(&console));
    }
    Ok(())
}

/// What `examples/systemd` says to put where, with an image.
fn add_project(root: &Path, release: &Release) -> Result<()> {
    let example = |name: &str| release.file(&format!("examples/systemd/{name}"));
    let units = "etc/systemd/system";
    for name in ["web.service", "outport.service.d/beside.conf"] {
        archive::place(root, &format!("{units}/{name}"), 0o644, example(name)?)?;
    }
    archive::place(root, "srv/web/compose.yaml", 0o644, example("compose.yaml")?)?;
    let image = setup::build_image(&release.repository, &release.scratch)?;
    let from = format!("oci:{}:1.0", image.display());
    let into = format!("docker-archive:{}:app:1.0", root.join("srv/web/image.tar").display());
    let copy = ["copy", "--quiet", "--insecure-policy", &from, &into];
    output(&mut command(&release.scratch, "skopeo", copy))?;
    Ok(())
}

fn add_script(root: &Path) -> Result<()> {
    archive::place(root, "usr/local/sbin/booted", 0o755, SCRIPT)?;
    archive::place(root, "etc/systemd/system/booted.service", 0o644, UNIT)?;
    archive::folders(root, &root.join(WANTED))?;
    let link = root.join(WANTED).join("booted.service");
    std::os::unix::fs::symlink("/etc/systemd/system/booted.service", link)?;
    // debootstrap names the machine that it ran on.
    archive::place(root, "etc/hostname", 0o644, "booted\n")
}

/// A disk with the files of a folder.
fn disk_of(root: &Path, directory: &Path) -> Result<PathBuf> {
    let disk = directory.join("disk");
    let options = ["-q", "-F", "-d"].map(Path::new);
    let mut mkfs = command(directory, "mkfs.ext4", options);
    output(mkfs.arg(root).arg(&disk).arg(DISK))?;
    Ok(disk)
}
