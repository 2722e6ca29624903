//! The pages for users, and what they refer to, as they lie below `docs/`: so their links lead from one to the other. Beside
//! them the first example, which the pages type.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Release, archive};

const FOLDERS: [&str; 2] = ["guide", "operations"];
const EXAMPLE: [(&str, u32); 2] =
    [("examples/first-task/run.sh", 0o755), ("examples/first-task/task.json", 0o644)];
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
    for (name, mode) in EXAMPLE {
        let bytes = release.file(name)?;
        archive::place(root, &Path::new(at).join(name).to_string_lossy(), mode, bytes)?;
    }
    Ok(())
}
