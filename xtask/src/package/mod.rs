//! `cargo xtask package`: what a machine without this repository installs Outport from.
//!
//! ```text
//! binary ─┬─→ tarball                          outport-V-linux-ARCH.tar.gz
//!         ├─→ deb       with the systemd units outport_V_ARCH.deb
//!         ├─→ image     on Debian packages     outport-V-linux-ARCH.oci.tar
//!         └─→ sbom      of all of them         outport-V-linux-ARCH.cdx.json
//!                                              SHA256SUMS
//! ```
//!
//! **Invariant**: one binary, one commit and the same Debian packages make the same bytes, whoever packages them,
//! where and when: names are sorted, times are the commit's, owners are root.

mod architecture;
mod archive;
mod binary;
mod crates;
mod deb;
mod debian_root;
mod documents;
mod image;
mod sbom;
mod sums;
mod tarball;
mod trial;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::process::{Scratch, command, output};
use crate::{interrupt, setup};
use architecture::Architecture;
use binary::Binary;
use crates::Crate;

/// Program to look for, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 6] = [
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("readelf", "binutils"),
    ("strip", "binutils"),
    ("tar", "tar"),
];

#[derive(Args)]
pub struct Options {
    /// Where the files go; `package` of the build directory unless given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// For which machines; those of this kind unless given
    #[arg(long, value_enum)]
    arch: Option<Architecture>,
    /// Package this program instead of one that is built now; it is copied and stripped
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Make only this; may be given several times
    #[arg(long, value_enum, value_name = "PRODUCT")]
    only: Vec<Product>,
    /// Where Debian packages come from, those of the image and those of --try
    #[arg(long, value_name = "URL", default_value = debian_root::MIRROR)]
    mirror: String,
    /// Afterwards install the .deb in a fresh Debian, upgrade, remove and purge it; needs root
    #[arg(long = "try")]
    is_tried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Product {
    Tarball,
    Deb,
    Image,
    Sbom,
}

/// What all products are made of.
struct Release {
    repository: PathBuf,
    version: String,
    revision: String,
    architecture: Architecture,
    /// Of the commit: the time of every file.
    epoch: u64,
    binary: Binary,
    /// What is linked into the program.
    crates: Vec<Crate>,
    scratch: PathBuf,
    out: PathBuf,
}

pub fn run(repository: &Path, options: Options) -> Result<()> {
    interrupt::watch()?;
    let architecture = match options.arch {
        Some(architecture) => architecture,
        None => Architecture::of_this_machine()?,
    };
    setup::install_packages(&PROGRAMS)?;
    if options.is_tried {
        trial::prepare(architecture)?;
    }
    let is_wanted = |product| options.only.is_empty() || options.only.contains(&product);
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => setup::build_directory(repository)?.join("package"),
    };
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let scratch = Scratch::new("package")?;

    let binary = match &options.binary {
        Some(file) => {
            say(&format!("the program {}", file.display()));
            Binary::of_file(file, architecture, scratch.path())?
        }
        None => {
            say("building outport as it is released (the first time takes some ten minutes)");
            Binary::build(repository, architecture, scratch.path())?
        }
    };
    let release = Release {
        repository: repository.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: git(repository, &["rev-parse", "HEAD"])?,
        architecture,
        epoch: epoch(repository)?,
        binary,
        crates: crates::of_outport(repository, architecture)?,
        scratch: scratch.path().to_owned(),
        out,
    };
    if !git(repository, &["status", "--porcelain"])?.is_empty() {
        println!(
            "    this tree has changes that are in no commit: do not publish what is made of it"
        );
    }
    let mut made = Vec::new();
    if is_wanted(Product::Tarball) {
        say("the tarball");
        made.push(tarball::make(&release)?);
    }
    if is_wanted(Product::Deb) || options.is_tried {
        say("the Debian package, with its systemd units");
        made.push(deb::make(&release)?);
    }
    let mut image_packages = Vec::new();
    if is_wanted(Product::Image) {
        say(&format!("the container image, on packages of {}", options.mirror));
        let (image, packages) = image::make(&release, &options.mirror)?;
        made.push(image);
        image_packages = packages;
    }
    if is_wanted(Product::Sbom) {
        say("the bill of materials");
        made.push(sbom::make(&release, &image_packages)?);
    }
    sums::write(&release, &made)?;
    if options.is_tried {
        trial::run(&release, &options.mirror)?;
    }
    sums::report(&release, &made)
}

impl Release {
    /// What the files of this release are called, such as `outport-0.1.0-linux-amd64`.
    fn name(&self) -> String {
        format!("outport-{}-linux-{}", self.version, self.architecture.debian())
    }

    fn file(&self, path: &str) -> Result<Vec<u8>> {
        let path = self.repository.join(path);
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.epoch)
    }

    /// The time of the release as JSON documents have it.
    fn timestamp(&self) -> Result<String> {
        let date = ["--utc", "--date", &format!("@{}", self.epoch), "+%Y-%m-%dT%H:%M:%SZ"];
        Ok(output(&mut command(&self.scratch, "date", date))?.trim().to_owned())
    }
}

/// When the commit was made, seconds since 1970, or what SOURCE_DATE_EPOCH says.
fn epoch(repository: &Path) -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => git(repository, &["log", "-1", "--format=%ct"])?,
    };
    text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is seconds, not {text}"))
}

fn git(repository: &Path, arguments: &[&str]) -> Result<String> {
    let mut git: Command = command(repository, "git", arguments);
    Ok(output(&mut git)?.trim().to_owned())
}

fn say(what: &str) {
    println!("==> {what}");
}
