//! `--verify`: a commit is built twice, in two places, and the files are compared.
//!
//! **Invariant**: the second build shares neither sources nor anything that was compiled with the first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::{Options, Place, Product, Release, git, sums};
use crate::process::{command, output};

/// # Errors
/// When the tree is not what its commit says.
pub fn require_commit(repository: &Path) -> Result<()> {
    let changes = git(repository, &["status", "--porcelain"])?;
    ensure!(
        changes.is_empty(),
        "--verify builds a commit twice, and this tree has changes that are in none: commit or stash them\n{changes}"
    );
    Ok(())
}

/// Makes the products of the same commit in `directory`, which is gone afterwards unless they differ.
pub fn run(
    first: &Release,
    made: &[PathBuf],
    products: &[Product],
    options: &Options,
    directory: &Path,
) -> Result<()> {
    remove(directory)?;
    std::fs::create_dir_all(directory)?;
    let sources = directory.join("sources");
    let clone = ["clone", "--quiet", "--no-checkout", "--"].map(Path::new);
    let mut clone = command(directory, "git", clone);
    output(clone.arg(&first.repository).arg(&sources))?;
    git(&sources, &["checkout", "--quiet", "--detach", &first.revision])?;
    let place = Place {
        repository: sources,
        build: directory.join("build"),
        out: directory.join("out"),
        scratch: directory.join("scratch"),
    };
    let mut say = |what: &str| println!("    again: {what}");
    let second = Release::new(place, first.architecture, options, &mut say)?;
    let made_again = second.make(products, &options.mirror, &mut say)?;
    let digests = |release: &Release, made: &[PathBuf]| -> Result<_> {
        sums::of(&[made, std::slice::from_ref(&release.binary.path)].concat())
    };
    let differences = differences(&digests(first, made)?, &digests(&second, &made_again)?);
    if !differences.is_empty() {
        bail!(
            "two builds of {} differ:\n{}\nthe second is in {}; `diffoscope` shows what is in files that differ",
            first.revision,
            differences.join("\n"),
            directory.display()
        );
    }
    println!("    the same bytes: the program and {} files", made.len());
    remove(directory)
}

fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// A line for each file that has not the same digest in both.
fn differences(first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<String> {
    let names = first.keys().chain(second.keys().filter(|name| !first.contains_key(*name)));
    let digest = |of: &BTreeMap<String, String>, name| {
        of.get(name).map_or("missing".to_owned(), |digest| format!("sha256:{digest}"))
    };
    names
        .filter(|name| first.get(*name) != second.get(*name))
        .map(|name| format!("    {name}: {}, then {}", digest(first, name), digest(second, name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Scratch;

    #[track_caller]
    fn check(first: &[(&str, &str)], second: &[(&str, &str)], expected: &[&str]) {
        let map = |of: &[(&str, &str)]| {
            of.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect()
        };
        assert_eq!(differences(&map(first), &map(second)), expected);
    }

    #[test]
    fn each_file_that_differs_is_named_with_both_digests() {
        let first = [("outport", "1a"), ("x.deb", "2b")];
        check(&first, &first, &[]);
        check(
            &first,
            &[("outport", "1a"), ("x.deb", "3c")],
            &["    x.deb: sha256:2b, then sha256:3c"],
        );
        check(&first, &first[..1], &["    x.deb: sha256:2b, then missing"]);
        check(&first[1..], &first, &["    outport: missing, then sha256:1a"]);
    }

    #[test]
    fn what_is_in_no_commit_cannot_be_built_twice() {
        let scratch = Scratch::new("verify-test").unwrap();
        git(scratch.path(), &["init", "--quiet"]).unwrap();
        require_commit(scratch.path()).unwrap();
        std::fs::write(scratch.path().join("changed.rs"), "").unwrap();
        let error = require_commit(scratch.path()).unwrap_err().to_string();
        assert!(error.contains("commit or stash them\n?? changed.rs"), "{error}");
    }
}
