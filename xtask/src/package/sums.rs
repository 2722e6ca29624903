//! What was made: its digests in a file, and a table for who made it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use super::{Release, archive};

const SUMS: &str = "SHA256SUMS";

/// As `sha256sum --check` reads it.
pub fn write(release: &Release, made: &[PathBuf]) -> Result<()> {
    let mut lines = String::new();
    for (name, digest) in of(made)? {
        lines += &format!("{digest}  {name}\n");
    }
    Ok(std::fs::write(release.out.join(SUMS), lines)?)
}

/// Digests by the names of the files.
pub fn of(files: &[PathBuf]) -> Result<BTreeMap<String, String>> {
    files.iter().map(|file| Ok((name(file), archive::digest(file)?.0))).collect()
}

pub fn report(release: &Release, made: &[PathBuf]) -> Result<()> {
    println!("\nin {}, of {}:", release.out.display(), release.revision);
    for file in made {
        let (digest, length) = archive::digest(file)?;
        println!("    {:36} {:>6.1} MB  sha256:{digest}", name(file), length as f64 / 1e6);
    }
    println!(
        "    {SUMS}\nsign it (gpg --detach-sign --armor {SUMS}) and publish all of them; how each is installed: \
         docs/guide/install.md"
    );
    Ok(())
}

fn name(file: &std::path::Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
