//! The directory of an `outport run`, and those that killed ones have left.
//!
//! ```text
//! <temporary files>/outport-run-<process>/   owner        locked by that `outport run` for as long as it lives
//!                                            data/        the data directory, locked by the Outport of its command
//!                                            outport.log
//! ```
//!
//! **Invariant:** nothing of a live one is removed: both locks must be free, which holds for other process namespaces too, and
//! the process that made it gone, which holds before it has the lock. Nor anything of another user.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};
use outport_tree_removal::remove_tree;

use crate::data_dir::DataDir;
use crate::instances;
use crate::output;

const PREFIX: &str = "outport-run-";
const OWNER: &str = "owner";

/// One's own. It goes when it is dropped.
pub struct ScratchDir {
    path: PathBuf,
    _owner: Flock<File>,
}

impl ScratchDir {
    /// # Errors
    /// When it cannot be made.
    pub fn make() -> Result<Self> {
        let process = std::process::id();
        let path = std::env::temp_dir().join(format!("{PREFIX}{process}"));
        let cannot = || format!("cannot make {}", path.display());
        DirBuilder::new().mode(0o700).create(&path).with_context(cannot)?;
        let owner = own(&path, process);
        if owner.is_err() {
            // Nothing is in it but what could not be written; that is said, not this.
            let _ = remove_tree(&path);
        }
        Ok(Self { _owner: owner.with_context(cannot)?, path })
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("outport.log")
    }
}

/// Says in a directory that was just made whose it is, for as long as the file is held.
fn own(path: &Path, process: u32) -> io::Result<Flock<File>> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600);
    let owner = options.open(path.join(OWNER))?;
    let locked = Flock::lock(owner, FlockArg::LockExclusiveNonblock);
    let mut owner = locked.map_err(|(_, error)| io::Error::from(error))?;
    let begun = begun_at(process).unwrap_or_default();
    writeln!(owner, "{process} {begun}")?;
    Ok(owner)
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // The Outport has, unless it could not start.
        if self.path.exists()
            && let Err(error) = remove_tree(&self.path)
        {
            output::complain(format_args!("cannot remove {}: {error}", self.path.display()));
        }
    }
}

/// Removes the directories of dead ones, with what their Outports left on this host; those that went. What cannot be removed
/// is said.
pub fn remove_dead() -> Vec<PathBuf> {
    remove_dead_in(&std::env::temp_dir())
}

fn remove_dead_in(directory: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        let Some(process) = process else { continue };
        let path = entry.path();
        if !is_own(&path) || !is_dead(&path, process) {
            continue;
        }
        remove_what_is_on_the_host(&path.join("data"));
        match remove_tree(&path) {
            Ok(()) => removed.push(path),
            Err(error) => {
                output::complain(format_args!("cannot remove {}: {error}", path.display()));
            }
        }
    }
    removed
}

/// A directory of this user's, and no link to one.
fn is_own(path: &Path) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == own)
}

fn is_dead(path: &Path, process: u32) -> bool {
    let text = fs::read_to_string(path.join(OWNER)).unwrap_or_default();
    let recorded = text.trim().split_once(' ').and_then(|(process, begun)| {
        Some((process.parse::<u32>().ok()?, begun.parse::<u64>().ok()?))
    });
    let lives = match recorded {
        // Another one may have its number by now.
        Some((process, begun)) => begun_at(process) == Some(begun),
        // It has not come so far, or an older version made it.
        None => begun_at(process).is_some(),
    };
    !lives && !is_locked(&path.join(OWNER)) && !DataDir::is_in_use(&path.join("data"))
}

/// Whether somebody has it; one that is not there has nobody.
fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => Flock::lock(file, FlockArg::LockSharedNonblock).is_err(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

/// When a process began, in ticks since the boot: field 22 of `/proc/<process>/stat`.
fn begun_at(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Of an Outport that is over, by its data directory.
pub fn remove_what_is_on_the_host(data_dir: &Path) {
    let Ok(instance) = DataDir::instance_of(data_dir) else { return };
    if instances::check_id(&instance).is_err() {
        return;
    }
    let removed = match instances::claim(&instance) {
        Ok(Some(_claim)) => instances::remove(&instance, Some(&data_dir.join("node"))),
        // Somebody cleans up already.
        Ok(None) => return,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = removed {
        output::complain(format_args!(
            "{error:#}: the rest is removed by: outport cleanup --instance {instance}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that no process has: more than the kernel gives.
    const NOBODY: u32 = 4_194_305;

    fn make(directory: &Path, process: u32, owner: Option<String>) -> PathBuf {
        let path = directory.join(format!("{PREFIX}{process}"));
        fs::create_dir_all(path.join("data")).unwrap();
        if let Some(owner) = owner {
            fs::write(path.join(OWNER), owner).unwrap();
        }
        path
    }

    #[test]
    fn only_what_dead_ones_left_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let own = std::process::id();
        let begun = begun_at(own).unwrap();
        let check = |owner: Option<String>, process: u32, is_removed: bool| {
            let path = make(base.path(), process, owner.clone());
            let removed = remove_dead_in(base.path());
            assert_eq!(removed.contains(&path), is_removed, "{owner:?} of {process}");
            assert_eq!(path.exists(), !is_removed);
            fs::remove_dir_all(&path).ok();
        };
        check(Some(format!("{own} {begun}\n")), own, false);
        // Its number is another's by now.
        check(Some(format!("{own} {}\n", begun + 1)), own, true);
        check(Some(format!("{NOBODY} 7\n")), NOBODY, true);
        check(None, own, false);
        check(None, NOBODY, true);
    }

    #[test]
    fn what_is_locked_is_alive_wherever_its_process_is() {
        let base = tempfile::tempdir().unwrap();
        let path = make(base.path(), NOBODY, Some(format!("{NOBODY} 7\n")));
        for file in [path.join(OWNER), path.join("data/lock")] {
            let file = OpenOptions::new().create(true).append(true).open(file).unwrap();
            let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
            assert!(remove_dead_in(base.path()).is_empty());
            drop(lock);
        }
        fs::create_dir(base.path().join("outport-run-x")).unwrap();
        std::os::unix::fs::symlink("/", base.path().join(format!("{PREFIX}{}", NOBODY + 1)))
            .unwrap();
        assert_eq!(remove_dead_in(base.path()), [path]);
    }
}
