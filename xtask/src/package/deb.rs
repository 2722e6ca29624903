//! The package for Debian and Ubuntu.
//!
//! **Invariant**: installing starts nothing, upgrading stops no task, and what a user keeps is never deleted.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Release, archive, documents};
use crate::process::{command, output, run};

pub const UNITS: [(&str, &str); 3] = [
    ("outport.service", include_str!("files/outport.service")),
    ("outport-server.service", include_str!("files/outport-server.service")),
    ("outport-node.service", include_str!("files/outport-node.service")),
];
pub const DEFAULT: &str = include_str!("files/default");
/// What dpkg runs.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("files/postinst")),
    ("prerm", include_str!("files/prerm")),
    ("postrm", include_str!("files/postrm")),
];
/// Debian's policy wants one.
const MAINTAINER: &str = "The Outport authors <maintainers@outport.invalid>";

pub fn make(release: &Release) -> Result<PathBuf> {
    let root = release.scratch.join("deb");
    archive::place(&root, "usr/bin/outport", 0o755, release.binary.read()?)?;
    for (unit, text) in UNITS {
        archive::place(&root, &format!("usr/lib/systemd/system/{unit}"), 0o644, text)?;
    }
    archive::place(&root, "etc/default/outport", 0o644, DEFAULT)?;
    archive::folders(&root, &root.join("etc/outport"))?;
    let documentation = "usr/share/doc/outport";
    archive::place(&root, &format!("{documentation}/copyright"), 0o644, copyright(release)?)?;
    documents::place(&root, documentation, release)?;
    release.pages.place_for_debian(&root, release)?;

    let files = files_below(&root)?;
    let sums = output(&mut command(&root, "md5sum", &files))?;
    let kib: u64 = files
        .iter()
        .map(|file| Ok(root.join(file).metadata()?.len().div_ceil(1024)))
        .sum::<Result<u64>>()?;
    archive::place(&root, "DEBIAN/control", 0o644, control(release, kib))?;
    archive::place(&root, "DEBIAN/conffiles", 0o644, "/etc/default/outport\n")?;
    archive::place(&root, "DEBIAN/md5sums", 0o644, sums)?;
    for (script, text) in SCRIPTS {
        archive::place(&root, &format!("DEBIAN/{script}"), 0o755, text)?;
    }
    set_times(&root, release)?;
    let architecture = release.architecture.debian();
    let into = release.out.join(format!("outport_{}_{architecture}.deb", release.version));
    // xz: what every dpkg reads. Split among several processors it would have other bytes than on one.
    let options = ["--root-owner-group", "-Zxz", "--build", "--"].map(Path::new);
    run(command(&release.scratch, "dpkg-deb", options)
        .args([&root, &into])
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string())
        .env("DPKG_DEB_THREADS_MAX", "1")
        .stdout(std::process::Stdio::null()))?;
    Ok(into)
}

fn control(release: &Release, installed_kib: u64) -> String {
    format!(
        "Package: outport\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {installed_kib}\n\
         Depends: libc6 (>= {glibc}), libgcc-s1, nftables, e2fsprogs\n\
         Recommends: ca-certificates\n\
         Suggests: awscli, skopeo\n\
         Section: admin\n\
         Priority: optional\n\
         Description: Amazon ECS, run by yourself\n \
         Takes task definitions, services and Terraform through the AWS API that\n \
         your tools already speak, and runs them as real containers on your own\n \
         machines.\n \
         .\n \
         The units outport, outport-server and outport-node are neither enabled\n \
         nor started: read /usr/share/doc/outport/guide/install.md.\n",
        version = release.version,
        architecture = release.architecture.debian(),
        glibc = release.binary.glibc,
    )
}

/// In Debian's form, with the texts of what is linked in.
fn copyright(release: &Release) -> Result<String> {
    let notice = String::from_utf8(release.file("NOTICE")?).context("NOTICE is text")?;
    let texts = super::crates::licence_texts(release)?;
    Ok(format!(
        "{notice}\nLicensed under the Apache License 2.0, see /usr/share/common-licenses/Apache-2.0.\n\n{texts}"
    ))
}

/// Paths of files, sorted.
fn files_below(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root)?.to_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// dpkg-deb sets back only times that are later than the commit's, and the commit may be of now.
fn set_times(root: &Path, release: &Release) -> Result<()> {
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() {
            set_times(&path, release)?;
        } else {
            File::open(&path)?.set_modified(release.time())?;
        }
    }
    Ok(File::open(root)?.set_modified(release.time())?)
}
