//! A first start that is refused: its data directory goes again.
//!
//! **Invariant:** only what one and the same process made in a directory that it found empty, or made, is removed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use outport_tree_removal::remove_tree;

use super::DataDir;
use crate::output;

impl DataDir {
    /// Takes away what a first start has made that is refused, with the directories that it made for it: the next one is a
    /// first start again, and not bound to anything. To be called before anybody was answered. Of a later start it does nothing.
    pub fn undo_first_start(&self) {
        let Some(made) = &self.first_start else { return };
        if let Err(error) = self.remove_all(made) {
            output::complain(format_args!(
                "{error:#}: remove it by hand, the start was refused before anything was in it"
            ));
        }
    }

    fn remove_all(&self, made: &[PathBuf]) -> Result<()> {
        let cannot = |path: &Path| format!("cannot remove {}", path.display());
        for entry in std::fs::read_dir(&self.path).with_context(|| cannot(&self.path))? {
            let path = entry.with_context(|| cannot(&self.path))?.path();
            remove_tree(&path).with_context(|| cannot(&path))?;
        }
        for directory in made.iter().rev() {
            match std::fs::remove_dir(directory) {
                // Somebody has found a use for it meanwhile.
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => break,
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| cannot(directory));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Of a path and the directories above it those that are not there, the topmost first.
pub(super) fn missing(path: &Path) -> Vec<PathBuf> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let mut missing: Vec<PathBuf> =
        path.ancestors().take_while(is_missing).map(Path::to_owned).collect();
    missing.reverse();
    missing
}

pub(super) fn holds_only_the_lock(path: &Path) -> Result<bool> {
    let entries =
        std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    for entry in entries {
        if entry?.file_name() != "lock" {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_that_is_refused_leaves_nothing_that_it_made() {
        let base = tempfile::tempdir().unwrap();
        let parents = base.path().join("var/lib");
        let path = parents.join("outport");
        let owner = DataDir::own(&path).unwrap();
        std::fs::create_dir_all(path.join("control/journal")).unwrap();
        owner.undo_first_start();
        assert!(!base.path().join("var").exists());
        drop(owner);
        // What was there stays, empty as it was, and so does what somebody else needs.
        std::fs::create_dir_all(&parents).unwrap();
        let owner = DataDir::own(&path).unwrap();
        std::fs::write(parents.join("other"), "").unwrap();
        owner.undo_first_start();
        assert!(parents.exists() && !path.exists());
        drop(owner);
        std::fs::create_dir(&path).unwrap();
        DataDir::own(&path).unwrap().undo_first_start();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        // Nothing of a later start.
        let first = DataDir::own(&path).unwrap();
        let instance = first.instance().to_owned();
        drop(first);
        DataDir::own(&path).unwrap().undo_first_start();
        assert_eq!(DataDir::instance_of(&path).unwrap(), instance);
    }
}
