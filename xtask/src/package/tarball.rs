//! The program with its units, for any distribution.

use std::path::PathBuf;

use anyhow::Result;

use super::{Release, archive, deb, documents};

pub fn make(release: &Release) -> Result<PathBuf> {
    let name = release.name();
    let directory = release.scratch.join("tarball");
    let root = directory.join(&name);
    archive::place(&root, "outport", 0o755, release.binary.read()?)?;
    for file in ["LICENSE", "NOTICE"] {
        archive::place(&root, file, 0o644, release.file(file)?)?;
    }
    archive::place(&root, "THIRD-PARTY", 0o644, super::crates::licence_texts(release)?)?;
    documents::place(&root, "docs", release)?;
    release.pages.place(&root)?;
    for (unit, text) in deb::UNITS {
        archive::place(&root, &format!("systemd/{unit}"), 0o644, text)?;
    }
    archive::place(&root, "systemd/default", 0o644, deb::DEFAULT)?;
    let into = release.out.join(format!("{name}.tar.gz"));
    archive::write_tar_gz(&directory, &name, release.epoch, &into)?;
    Ok(into)
}
