//! Files and folders: their names, their length, and what the first lines of a crate say.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Offences;
use super::workspace::Workspace;

/// Folders with what is written by hand.
const ROOTS: [&str; 6] = ["crates", "docs", "examples", "src", "tests", "xtask"];
/// Names where things pile up.
const PILES: [&str; 11] = [
    "common",
    "core",
    "helper",
    "helpers",
    "manager",
    "misc",
    "shared",
    "types",
    "util",
    "utils",
    "utilities",
];
/// Longer files are listed: they may hold two things.
const LINES_MAX: usize = 500;
/// Nobody reads these from top to bottom.
const GENERATED: &str = "generated";
const CACHES: [&str; 2] = ["__pycache__", "target"];

pub fn check_names(repository: &Path) -> Result<Offences> {
    let is_pile = |path: &&PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        PILES.contains(&stem.as_str())
    };
    let paths = all_paths(repository)?;
    let piles = paths.iter().filter(is_pile);
    Ok(piles
        .map(|path| format!("{}: the name does not say what is inside", path.display()))
        .collect())
}

pub fn check_invariants(workspace: &Workspace) -> Result<Offences> {
    let mut offences = Vec::new();
    for member in workspace.members() {
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| member.folder().join(root));
        let root = roots.iter().find(|root| root.exists());
        let root = root.with_context(|| format!("{} has a root file", member.name))?;
        let text = std::fs::read_to_string(root)?;
        let mut opening = text.lines().take_while(|line| line.starts_with("//!"));
        if !opening.any(|line| line.contains("**Invariant")) {
            offences.push(format!("{} does not open with its **Invariant**", root.display()));
        }
        let folder = member.folder().strip_prefix(&workspace.repository)?;
        if !is_on_the_map(&workspace.repository, folder)? {
            offences.push(format!("{} is not on the map of ARCHITECTURE.md", folder.display()));
        }
    }
    Ok(offences)
}

/// Whether a member's folder, or `*` in its place, is named in ARCHITECTURE.md.
fn is_on_the_map(repository: &Path, folder: &Path) -> Result<bool> {
    let map = std::fs::read_to_string(repository.join("ARCHITECTURE.md"))?;
    let folder = if folder.as_os_str().is_empty() { Path::new("src/") } else { folder };
    let family = folder.parent().unwrap_or(folder).join("*");
    Ok([folder, &family].iter().any(|place| map.contains(&format!("`{}`", place.display()))))
}

/// The files over `LINES_MAX`, with their lines, the longest first.
pub fn long(repository: &Path) -> Result<Vec<(String, usize)>> {
    let mut long = Vec::new();
    for path in all_paths(repository)? {
        let is_code =
            path.extension().is_some_and(|extension| extension == "rs" || extension == "py");
        let is_generated = path.components().any(|part| part.as_os_str() == GENERATED);
        if !is_code || is_generated {
            continue;
        }
        let lines = std::fs::read_to_string(repository.join(&path))?.lines().count();
        if lines > LINES_MAX {
            long.push((path.display().to_string(), lines));
        }
    }
    long.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
    Ok(long)
}

/// Every file and folder below the roots, relative to the repository.
pub fn all_paths(repository: &Path) -> Result<Vec<PathBuf>> {
    let mut open: Vec<PathBuf> = ROOTS.iter().map(|root| repository.join(root)).collect();
    let mut paths = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if CACHES.iter().any(|cache| name == *cache) {
                continue;
            }
            paths.push(entry.path().strip_prefix(repository)?.to_owned());
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    paths.sort();
    Ok(paths)
}
