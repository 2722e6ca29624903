//! What an instance keeps below `/run`: locks, sockets, pinned namespaces, what containers need to start.
//!
//! **Invariant:** it lies on a memory file system and is gone after a boot. Where `/run` is on a disk, as
//! in a container or a small virtual machine, the directory gets a memory file system of its own.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use outport_container_runtime::private;
use outport_tree_removal::remove_tree;

/// What it may take of the host's memory: some kilobytes a container.
const OPTIONS: &str = "mode=700,size=10%";

pub fn path(instance: &str) -> PathBuf {
    Path::new("/run/outport").join(instance)
}

/// Makes the directory. One that is there stays as it is: what runs has its sockets in it.
///
/// # Errors
/// When it cannot be made or mounted.
pub fn make(run_dir: &Path) -> io::Result<()> {
    if let Some(parent) = run_dir.parent() {
        private::make_directories(parent)?;
    }
    match private::make_directory(run_dir) {
        // An older version let others read it.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return private::own_directory(run_dir);
        }
        made => made?,
    }
    if statfs(run_dir)?.filesystem_type() == TMPFS_MAGIC {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some("outport"), run_dir, Some("tmpfs"), flags, Some(OPTIONS))?)
}

/// Removes the directory with all that is in it. Nothing there is fine.
///
/// # Errors
/// When something of it stays.
pub fn remove(run_dir: &Path) -> io::Result<()> {
    match umount2(run_dir, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        // Not there, or not a mount.
        Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => {}
        Err(error) => return Err(error.into()),
    }
    remove_tree(run_dir)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Needs root, as the agent does.
    #[test]
    fn it_lies_in_memory_and_goes_with_its_mount() {
        let scratch = tempfile::tempdir().unwrap();
        let run_dir = scratch.path().join("outport/0123abcd");
        make(&run_dir).unwrap();
        assert_eq!(statfs(&run_dir).unwrap().filesystem_type(), TMPFS_MAGIC);
        fs::write(run_dir.join("lock"), "held").unwrap();
        make(&run_dir).unwrap();
        assert_eq!(fs::read_to_string(run_dir.join("lock")).unwrap(), "held");
        remove(&run_dir).unwrap();
        assert!(!run_dir.exists());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(scratch.path().to_str().unwrap()), "{mounts}");
        remove(&run_dir).unwrap();
    }
}
