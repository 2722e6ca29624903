//! A fresh Debian in a folder, and the package in it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Release;
use super::architecture::Architecture;
use crate::process::{command, output};
use crate::setup;

const SUITE: &str = "bookworm";
const PROGRAMS: [(&str, &str); 1] = [("debootstrap", "debootstrap")];

/// Fails early where there can be none.
pub fn prepare(architecture: Architecture) -> Result<()> {
    setup::require_root()?;
    if !architecture.is_this_machine() {
        bail!(
            "--try and --boot execute what is packaged: not with --arch {}",
            architecture.debian()
        );
    }
    setup::install_packages(&PROGRAMS)
}

pub struct Debian {
    pub root: PathBuf,
}

impl Debian {
    /// The smallest one with these packages beside, and the .deb of the release at `/outport.deb`.
    pub fn bootstrap(
        root: PathBuf,
        packages: &[&str],
        release: &Release,
        mirror: &str,
    ) -> Result<Self> {
        std::fs::create_dir_all(&root)?;
        // It mounts /proc and /sys there: where nobody else sees them, and gone when it ends, however it does.
        let bootstrap = ["--mount", "--", "debootstrap", "--variant=minbase"];
        let mut bootstrap = command(&release.scratch, "unshare", bootstrap);
        if !packages.is_empty() {
            bootstrap.arg(format!("--include={}", packages.join(",")));
        }
        output(bootstrap.arg(SUITE).arg(&root).arg(mirror))?;
        let deb = format!("outport_{}_{}.deb", release.version, release.architecture.debian());
        std::fs::copy(release.out.join(&deb), root.join("outport.deb"))?;
        Ok(Self { root })
    }

    /// As a user does.
    pub fn install(&self) -> Result<()> {
        let install = ["install", "--quiet=2", "--yes", "--no-install-recommends", "/outport.deb"];
        self.execute(&[&["apt-get"], &install[..]].concat())?;
        Ok(())
    }

    /// The same package with a later version, at `/next.deb`.
    pub fn make_next(&self, release: &Release) -> Result<()> {
        let tree = self.root.with_file_name("next");
        let (old, next) = (self.root.join("outport.deb"), self.root.join("next.deb"));
        let words = [Path::new("--raw-extract"), &old, &tree];
        output(&mut command(&release.scratch, "dpkg-deb", words))?;
        let control = tree.join("DEBIAN/control");
        let text = std::fs::read_to_string(&control)?;
        let version = format!("Version: {}", release.version);
        std::fs::write(&control, text.replace(&version, &format!("{version}+next")))?;
        let words = [
            Path::new("--root-owner-group"),
            Path::new("-Zgzip"),
            Path::new("--build"),
            &tree,
            &next,
        ];
        output(&mut command(&release.scratch, "dpkg-deb", words))?;
        Ok(())
    }

    pub fn execute(&self, words: &[&str]) -> Result<String> {
        let mut chroot = command(Path::new("/"), "chroot", [&self.root]);
        output(
            chroot
                .args(words)
                .env("DEBIAN_FRONTEND", "noninteractive")
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        )
    }

    pub fn has(&self, path: &str) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }
}
