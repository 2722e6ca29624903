//! The pages for users, and what they refer to, as they lie below `docs/`: so their links lead from one to the other. Beside
//! them the examples, of which the pages tell.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Release, archive, git};

const FOLDERS: [&str; 2] = ["guide", "operations"];
const EXAMPLES: &str = "examples";
const FILES: [&str; 2] = ["compatibility.md", "performance.md"];
/// Of the folders: pages, a dashboard, rules. What pages are made of stays in the sources.
const KINDS: [&str; 4] = ["md", "json", "yml", "yaml"];

/// Places them below `at`.
pub fn place(root: &Path, at: &str, release: &Release) -> Result<()> {
    let docs = release.repository.join("docs");
    let mut names: Vec<String> = FILES.map(str::to_owned).into();
    for folder in FOLDERS {
        let found = docs.join(folder);
        let entries =
            found.read_dir().with_context(|| format!("cannot read {}", found.display()))?;
        for entry in entries {
            let name = entry?.file_name().into_string().ok().context("names of pages are text")?;
            let kind = Path::new(&name).extension().and_then(|kind| kind.to_str());
            if kind.is_some_and(|kind| KINDS.contains(&kind)) {
                names.push(format!("{folder}/{name}"));
            }
        }
    }
    // The same order everywhere.
    names.sort();
    for name in names {
        let bytes = release.file(&format!("docs/{name}"))?;
        archive::place(root, &Path::new(at).join(&name).to_string_lossy(), 0o644, bytes)?;
    }
    // Those of the commit: what running them has left beside is nobody's.
    for name in git(&release.repository, &["ls-files", "--", EXAMPLES])?.lines() {
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        let bytes = release.file(name)?;
        archive::place(root, &Path::new(at).join(name).to_string_lossy(), mode, bytes)?;
    }
    Ok(())
}
