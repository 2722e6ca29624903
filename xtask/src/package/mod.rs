//! `cargo xtask package`: what a machine without this repository installs Outport from.
//!
//! ```text
//! binary ─┬─→ tarball  ←─┬─ its completions    outport-V-linux-ARCH.tar.gz
//!         ├─→ deb      ←─┘  and manual pages   outport_V_ARCH.deb
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
mod booted;
mod chroot;
mod crates;
mod deb;
mod debian_root;
mod documents;
mod image;
mod pages;
mod sbom;
mod sums;
mod tarball;
mod trial;
mod verify;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::process::{Scratch, command, output};
use crate::steps::Steps;
use crate::{interrupt, setup};
use architecture::Architecture;
use binary::Binary;
use crates::Crate;
use debian_root::Package;
use pages::Pages;

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
    /// Ask this program for the completions and manual pages, instead of the one that is packaged
    #[arg(long, value_name = "FILE")]
    pages_of: Option<PathBuf>,
    /// Make only this; may be given several times
    #[arg(long, value_enum, value_name = "PRODUCT")]
    only: Vec<Product>,
    /// Where Debian packages come from, those of the image and those of --try and --boot
    #[arg(long, value_name = "URL", default_value = debian_root::MIRROR)]
    mirror: String,
    /// Afterwards build the same commit once more, from a clone in another place, and compare each file
    #[arg(long = "verify", conflicts_with_all = ["binary", "pages_of"])]
    is_verified: bool,
    /// Afterwards install the .deb in a fresh Debian, upgrade, remove and purge it; needs root
    #[arg(long = "try")]
    is_tried: bool,
    /// Afterwards boot a Debian with the .deb under emulation, and start, restart and stop its units over live tasks; needs
    /// root, takes some minutes
    #[arg(long = "boot")]
    is_booted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Product {
    Tarball,
    Deb,
    Image,
    /// Behind the image, whose packages it lists.
    Sbom,
}

/// Where a release is made.
struct Place {
    /// Its sources.
    repository: PathBuf,
    /// Where cargo builds it.
    build: PathBuf,
    out: PathBuf,
    scratch: PathBuf,
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
    pages: Pages,
    /// What is linked into the program.
    crates: Vec<Crate>,
    scratch: PathBuf,
    out: PathBuf,
}

pub fn run(repository: &Path, options: Options) -> Result<()> {
    interrupt::watch()?;
    let products = options.products();
    let mut steps = Steps::new(options.steps(&products));
    let architecture = options.prepare(repository, &mut steps)?;
    let directory = setup::build_directory(repository)?;
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => directory.join("package"),
    };
    let scratch = Scratch::new("package")?;
    let place = Place {
        repository: repository.to_owned(),
        // Of its own: with other flags than `cargo build --release`, both would build all anew in turns.
        build: directory.join("package-build"),
        out,
        scratch: scratch.path().to_owned(),
    };
    let mut step = |what: &str| steps.begin(what);
    let release = Release::new(place, architecture, &options, &mut step)?;
    if !git(repository, &["status", "--porcelain"])?.is_empty() {
        println!(
            "    this tree has changes that are in no commit: do not publish what is made of it"
        );
    }
    let made = release.make(&products, &options.mirror, &mut step)?;
    if options.is_verified {
        step("the same commit once more, from a clone in another place");
        verify::run(&release, &made, &products, &options, &directory.join("package-again"))?;
    }
    if options.is_tried {
        step("a fresh Debian, in which the .deb is tried");
        trial::run(&release, &options.mirror)?;
    }
    if options.is_booted {
        step("a Debian that boots, in which the units are tried");
        booted::run(&release, &options.mirror)?;
    }
    sums::report(&release, &made)
}

impl Options {
    /// In the order in which they are made.
    fn products(&self) -> Vec<Product> {
        let is_wanted = |product: &&Product| {
            self.only.is_empty()
                || self.only.contains(product)
                || (**product == Product::Deb && (self.is_tried || self.is_booted))
        };
        Product::value_variants().iter().filter(is_wanted).copied().collect()
    }

    /// How many there are: what this needs, the program, its pages, each product, and what follows.
    fn steps(&self, products: &[Product]) -> usize {
        let following = [self.is_verified, self.is_tried, self.is_booted];
        3 + products.len() + following.into_iter().filter(|is_wanted| *is_wanted).count()
    }

    /// For which machines; what that takes is here then.
    ///
    /// # Errors
    /// Before minutes of work, when something of it cannot be done here.
    fn prepare(&self, repository: &Path, steps: &mut Steps) -> Result<Architecture> {
        steps.begin("what this needs: Debian's packages");
        let architecture = match self.arch {
            Some(architecture) => architecture,
            None => Architecture::of_this_machine()?,
        };
        if self.binary.is_none() && !architecture.is_this_machine() {
            binary::require_cross_tools(repository, architecture)?;
        }
        if self.is_verified {
            verify::require_commit(repository)?;
        }
        setup::install_packages(&PROGRAMS)?;
        if self.is_tried || self.is_booted {
            chroot::prepare(architecture)?;
        }
        if self.is_booted {
            booted::prepare(architecture)?;
        }
        Ok(architecture)
    }
}

impl Product {
    fn name(self) -> &'static str {
        match self {
            Self::Tarball => "the tarball",
            Self::Deb => "the Debian package, with its systemd units",
            Self::Image => "the container image, on packages of Debian",
            Self::Sbom => "the bill of materials",
        }
    }
}

impl Release {
    /// Builds the program, unless there is one.
    fn new(
        place: Place,
        architecture: Architecture,
        options: &Options,
        step: &mut impl FnMut(&str),
    ) -> Result<Self> {
        let Place { repository, build, out, scratch } = place;
        for folder in [&out, &scratch] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        // Before the build, which takes minutes: the commit that is built, not one made meanwhile.
        let revision = git(&repository, &["rev-parse", "HEAD"])?;
        let epoch = epoch(&repository)?;
        let binary = match &options.binary {
            Some(file) => {
                step(&format!("the program {}", file.display()));
                Binary::of_file(file, architecture, &scratch)?
            }
            None => {
                step("build outport as it is released (the first time takes some ten minutes)");
                Binary::build(&repository, &build, architecture, &scratch)?
            }
        };
        step("its completions and manual pages");
        let pages = match &options.pages_of {
            Some(program) => Pages::of(program, &scratch)?,
            None if architecture.is_this_machine() => Pages::of(&binary.path, &scratch)?,
            None => {
                println!("    asked of a build for this machine, as the program does not run here");
                Pages::of(&setup::build_outport(&repository, false)?, &scratch)?
            }
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision,
            architecture,
            epoch,
            binary,
            pages,
            crates: crates::of_outport(&repository, architecture)?,
            repository,
            scratch,
            out,
        })
    }

    /// Makes the products, and a file with their digests.
    fn make(
        &self,
        products: &[Product],
        mirror: &str,
        step: &mut impl FnMut(&str),
    ) -> Result<Vec<PathBuf>> {
        let mut made = Vec::new();
        let mut image_packages: Vec<Package> = Vec::new();
        for product in products {
            step(product.name());
            made.push(match product {
                Product::Tarball => tarball::make(self)?,
                Product::Deb => deb::make(self)?,
                Product::Image => {
                    let (image, packages) = image::make(self, mirror)?;
                    image_packages = packages;
                    image
                }
                Product::Sbom => sbom::make(self, &image_packages)?,
            });
        }
        sums::write(self, &made)?;
        Ok(made)
    }

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
