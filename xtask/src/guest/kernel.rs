//! The guest's kernel: the distribution's own, downloaded and unpacked, not installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{command, find, output, run};
use crate::setup;

/// Packages that depend on the newest small kernel: Debian's, Ubuntu's.
const META_PACKAGES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-virtual"];
/// An unpacked kernel.
pub struct Kernel {
    pub image: PathBuf,
    /// What `lib/modules/<version>` is in.
    base: PathBuf,
    version: String,
}

impl Kernel {
    /// The kernel in a directory of ours, downloaded if it is not there.
    pub fn obtain(directory: &Path) -> Result<Self> {
        let base = directory.join("kernel");
        if !base.exists() {
            // Under another name until it is whole.
            let partial = directory.join("kernel.partial");
            if partial.exists() {
                fs::remove_dir_all(&partial)?;
            }
            fs::create_dir_all(&partial)?;
            for package in packages(directory)? {
                unpack(&partial, &package)?;
            }
            // On a system with merged directories the packages have them below usr.
            if !partial.join("lib").exists() {
                fs::rename(partial.join("usr/lib"), partial.join("lib"))?;
            }
            fs::rename(&partial, &base)?;
        }
        let image = entry(&base.join("boot"), "vmlinuz")?;
        let modules = entry(&base.join("lib/modules"), "")?;
        let version = modules.file_name().context("it has a name")?.to_string_lossy().into_owned();
        let depmod = find("depmod").context("depmod is installed")?;
        run(command(directory, depmod, ["-b"]).arg(&base).arg(&version))?;
        Ok(Self { image, base, version })
    }

    /// The files of modules and of what they need, in the order in which they are loaded. What is
    /// built into the kernel has no file.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let modprobe = find("modprobe").context("modprobe is installed")?;
        let mut files: Vec<PathBuf> = Vec::new();
        for module in names {
            let mut ask = command(&self.base, &modprobe, ["--show-depends", "--set-version"]);
            ask.arg(&self.version).arg("--dirname").arg(&self.base).arg(module);
            for line in output(&mut ask)?.lines() {
                let Some(file) = line.strip_prefix("insmod ") else { continue };
                let file = PathBuf::from(file.split_whitespace().next().unwrap_or_default());
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        Ok(files)
    }

    /// Puts all modules where the system of `root` looks for them.
    pub fn install_modules(&self, root: &Path) -> Result<()> {
        let all = root.join("lib/modules");
        fs::create_dir_all(&all)?;
        let from = self.base.join("lib/modules").join(&self.version);
        run(&mut command(root, "cp", [Path::new("-a"), &from, &all]))
    }
}

/// The packages with the kernel and with its modules.
fn packages(directory: &Path) -> Result<Vec<String>> {
    let found = META_PACKAGES.iter().find_map(|meta| depends(directory, meta).ok());
    let mut packages = match found {
        Some(packages) => packages,
        // A machine that never asked its archives.
        None => {
            setup::update_package_lists()?;
            let found = META_PACKAGES.iter().find_map(|meta| depends(directory, meta).ok());
            found.with_context(|| format!("one of {META_PACKAGES:?} is in the archives"))?
        }
    };
    // Ubuntu has the modules in a package of their own, which the kernel's depends on.
    for package in packages.clone() {
        packages.extend(depends(directory, &package).unwrap_or_default());
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// The packages of kernels and modules that one depends on; fails when there are none.
fn depends(directory: &Path, package: &str) -> Result<Vec<String>> {
    let answer = output(&mut command(directory, "apt-cache", ["depends", "--important", package]))?;
    let named = answer.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let kernels: Vec<String> = named
        .filter(|name| name.starts_with("linux-image-") || name.starts_with("linux-modules-"))
        .map(str::to_owned)
        .collect();
    anyhow::ensure!(!kernels.is_empty(), "{package} depends on no kernel");
    Ok(kernels)
}

fn unpack(partial: &Path, package: &str) -> Result<()> {
    println!("downloading {package}");
    let downloads = partial.join("download");
    fs::create_dir_all(&downloads)?;
    // As root, apt gives the download to a user of its own that cannot write here, and says so.
    let options = ["download", "-qq", "-o", "APT::Sandbox::User=root", package];
    output(&mut command(&downloads, "apt-get", options))?;
    let archive = entry(&downloads, package)?;
    run(&mut command(partial, "dpkg", [Path::new("-x"), &archive, partial]))?;
    fs::remove_dir_all(downloads)?;
    Ok(())
}

/// The entry of a folder whose name starts so.
fn entry(folder: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let found = paths.find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
    });
    found.with_context(|| format!("{} has {start}…", folder.display()))
}
