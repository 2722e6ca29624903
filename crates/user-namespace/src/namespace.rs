//! User namespaces, and network namespaces that belong to them.
//!
//! **Invariant:** a namespace is whole when it is seen: its maps are written before its descriptor is given out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::statfs::statfs;
use nix::unistd::Pid;

use crate::bearer::{Birth, bear};
use crate::ids::{IDS_PER_TASK, IdRange};

const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {source}{}", hint(action, source))]
pub struct UserNamespaceError {
    action: &'static str,
    pub source: io::Error,
}

/// What the kernel's number does not say.
fn hint(action: &str, source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ENOSPC) if action == MAKE => " (is user.max_user_namespaces too small?)",
        Some(libc::EINVAL) if action == MAKE => " (has this kernel none?)",
        Some(libc::EPERM | libc::EACCES) => " (this host forbids it)",
        _ => "",
    }
}

const MAKE: &str = "make a user namespace";
const MAX_USER_NAMESPACES: &str = "/proc/sys/user/max_user_namespaces";

impl UserNamespaceError {
    /// Whether the host can make none at all: by its kernel or its settings, so that trying again is in vain. What
    /// only lacks now (descriptors, memory, namespaces that others have taken) does not count.
    pub fn is_for_good(&self) -> bool {
        match self.source.raw_os_error() {
            Some(libc::EINVAL | libc::ENOSYS | libc::EPERM | libc::EACCES) => true,
            Some(libc::ENOSPC) => {
                fs::read_to_string(MAX_USER_NAMESPACES).is_ok_and(|text| text.trim() == "0")
            }
            _ => false,
        }
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> UserNamespaceError {
    move |source| UserNamespaceError { action, source }
}

/// Makes a user namespace with the ids of `range`. For root of the host.
///
/// # Errors
/// When the kernel or the host's settings do not allow it.
pub fn create(range: IdRange) -> Result<OwnedFd, UserNamespaceError> {
    bear(Birth::User { owner: range.first() }, |child| {
        for map in ["gid_map", "uid_map"] {
            let mut file = OpenOptions::new().write(true).open(format!("/proc/{child}/{map}"))?;
            file.write_all(format!("0 {} {IDS_PER_TASK}\n", range.first()).as_bytes())?;
        }
        open(child, "user")
    })
    .map_err(failed(MAKE))
}

/// Makes a network namespace whose owner is a user namespace: root in there may do what root may in a network.
///
/// # Errors
/// Those of the kernel.
pub fn create_network(user: &impl AsFd) -> Result<OwnedFd, UserNamespaceError> {
    let made = bear(Birth::Network { of: user.as_fd() }, |child| open(child, "net"));
    made.map_err(failed("make a network namespace"))
}

fn open(process: Pid, kind: &str) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/{process}/ns/{kind}"))?.into())
}

/// Keeps a namespace without a process: by a mount on a file at `path`, which is made.
///
/// # Errors
/// When it cannot be mounted.
pub fn pin(namespace: &OwnedFd, path: &Path) -> Result<(), UserNamespaceError> {
    let pinned = || -> io::Result<()> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
        let none = None::<&str>;
        Ok(mount(Some(source.as_str()), path, none, MsFlags::MS_BIND, none)?)
    };
    pinned().map_err(failed("pin a user namespace"))
}

/// Whether a namespace is pinned at `path`.
pub fn is_pinned(path: &Path) -> bool {
    #[allow(clippy::unnecessary_cast)] // The magic's type differs between architectures.
    statfs(path).is_ok_and(|statfs| statfs.filesystem_type().0 as i64 == NSFS_MAGIC)
}

/// Lets go of what is pinned, and removes the file. Processes keep the namespace alive; nothing there is fine.
///
/// # Errors
/// When either stays.
pub fn unpin(path: &Path) -> Result<(), UserNamespaceError> {
    let unpinned = || -> io::Result<()> {
        match umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    };
    unpinned().map_err(failed("let go of a user namespace"))
}
