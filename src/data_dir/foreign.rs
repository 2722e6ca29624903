//! Directories that are somebody else's.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::holds;

/// All that it has in it, and what a file system has of its own.
const OWN: [&str; 20] = [
    "audit",
    "format",
    "lock",
    "instance",
    "root-key",
    "join-token",
    "sealing-key",
    "master-key",
    "master-key-next",
    "tls",
    "made",
    "settings",
    "endpoint",
    "admin-socket",
    "control",
    "logs",
    "registry",
    "node",
    "restoring",
    "lost+found",
];

/// # Errors
/// When there is something in it, and it is no data directory: keys and databases do not belong among somebody's files.
pub fn check(path: &Path) -> Result<()> {
    if holds(path, "format")? {
        return Ok(());
    }
    let entries = || std::fs::read_dir(path)?.collect::<std::io::Result<Vec<_>>>();
    let entries = entries().with_context(|| format!("cannot read {}", path.display()))?;
    let mut names: Vec<String> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    // A start that was cut short leaves the name of a file before it is whole.
    let is_own = |name: &String| OWN.contains(&name.strip_suffix(".new").unwrap_or(name));
    match names.iter().find(|name| !is_own(name)) {
        Some(name) => bail!(
            "{} is not empty and no data directory of Outport ({name:?} is in it): name an empty or a new one with \
             --data-dir",
            path.display()
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::data_dir::DataDir;

    #[test]
    fn a_directory_of_somebody_else_is_refused_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("lost+found")).unwrap();
        std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
        let refused = DataDir::own(directory.path()).err().unwrap().to_string();
        assert!(
            refused.contains("no data directory of Outport (\"notes.txt\" is in it)"),
            "{refused}"
        );
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
        std::fs::remove_file(directory.path().join("notes.txt")).unwrap();
        drop(DataDir::own(directory.path()).unwrap());
        // One that is Outport's may have more in it.
        std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
        drop(DataDir::own(directory.path()).unwrap());
    }
}
