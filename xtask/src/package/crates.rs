//! The packages of others that are linked into the program, and under which licences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Release;
use super::architecture::Architecture;
use crate::process::{command, output};

/// What the names of files with terms begin with, in capitals.
const TERMS: [&str; 5] = ["COPYING", "COPYRIGHT", "LICENCE", "LICENSE", "NOTICE"];
/// The one library of the machine that is linked in.
const LIBSECCOMP_TERMS: &str = "/usr/share/doc/libseccomp-dev/copyright";

pub struct Crate {
    pub name: String,
    pub version: String,
    /// An SPDX expression, where it says one.
    pub licence: Option<String>,
    /// SHA-256 of its archive in the registry; `None` of our own.
    pub checksum: Option<String>,
    folder: PathBuf,
}

/// In order of their names and versions; our own, too.
pub fn of_outport(repository: &Path, architecture: Architecture) -> Result<Vec<Crate>> {
    let target = architecture.rust_target();
    let metadata = ["metadata", "--locked", "--format-version", "1", "--filter-platform", target];
    let metadata: Value =
        serde_json::from_str(&output(&mut command(repository, "cargo", metadata))?)?;
    // Not from the metadata: its features are those of the whole workspace, with its tests.
    let tree =
        ["tree", "--locked", "--package", "outport", "--edges", "normal", "--target", target];
    let tree =
        output(command(repository, "cargo", tree).args(["--prefix", "none", "--format", "{p}"]))?;
    let linked = named(&tree);
    let checksums = checksums(&std::fs::read_to_string(repository.join("Cargo.lock"))?)?;
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |key: &str| package[key].as_str().map(str::to_owned);
        let name = text("name").context("a package has a name")?;
        let key = (name, text("version").context("a package has a version")?);
        if !linked.contains(&key) {
            continue;
        }
        let manifest = PathBuf::from(text("manifest_path").context("a package has a manifest")?);
        let of = Crate {
            name: key.0.clone(),
            version: key.1.clone(),
            // An old way to say it.
            licence: text("license").map(|licence| licence.replace('/', " OR ")),
            checksum: checksums.get(&key).cloned(),
            folder: manifest.parent().context("a manifest lies in a folder")?.to_owned(),
        };
        crates.insert(key, of);
    }
    Ok(crates.into_values().collect())
}

/// Names and versions from lines such as `time v0.3.41 (proc-macro)`.
fn named(tree: &str) -> BTreeSet<(String, String)> {
    let names = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    });
    names.collect()
}

/// Of Cargo.lock, by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let checksums = packages.filter_map(|package| {
        let text = |key: &str| Some(package.get(key)?.as_str()?.to_owned());
        Some(((text("name")?, text("version")?), text("checksum")?))
    });
    Ok(checksums.collect())
}

/// The terms of all that is linked in, each text once.
pub fn licence_texts(release: &Release) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for each in release.crates.iter().filter(|each| each.checksum.is_some()) {
        let licence = each.licence.as_deref().unwrap_or("see below");
        let name = format!("{} {} ({licence})", each.name, each.version);
        for file in terms_in(&each.folder)? {
            let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            let text = String::from_utf8_lossy(&text).replace('\r', "").trim().to_owned();
            let names = texts.entry(text).or_default();
            if names.last() != Some(&name) {
                names.push(name.clone());
            }
        }
    }
    if Path::new(LIBSECCOMP_TERMS).exists() {
        let text = std::fs::read_to_string(LIBSECCOMP_TERMS)?;
        texts.insert(text, vec!["libseccomp (LGPL-2.1-only), linked statically".to_owned()]);
    }
    let mut all: Vec<_> = texts.into_iter().map(|(text, names)| (names, text)).collect();
    all.sort();
    let rule = "-".repeat(80);
    let sections = all
        .iter()
        .map(|(names, text)| format!("{rule}\n{}\n{rule}\n\n{text}\n\n", names.join("\n")));
    Ok(format!(
        "Outport has these packages of others in it, under these terms.\n\n{}",
        sections.collect::<String>()
    ))
}

fn terms_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if TERMS.iter().any(|terms| name.starts_with(terms)) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_of_the_tree_is_its_name_and_its_version() {
        let tree =
            "outport v0.1.0 (/somewhere)\nserde_derive v1.0.2 (proc-macro) (*)\n\nbytes v1.10.1\n";
        let names: Vec<_> =
            named(tree).into_iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(names, ["bytes 1.10.1", "outport 0.1.0", "serde_derive 1.0.2"]);
    }
}
