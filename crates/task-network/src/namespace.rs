//! Network namespaces pinned by a bind mount, so that they live without a process.
//!
//! **Invariant:** a namespace is made by a thread of its own, which ends afterwards: no thread that runs anything else
//! ever changes its namespace.

use crate::error::NetworkError;
use crate::route::{self, Change, RouteSocket};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::statfs;
use std::fs::{self, File};
use std::io;
use std::path::Path;

const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";
const LOOPBACK_INDEX: u32 = 1;
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Makes a namespace pinned at `path`, with loopback up, and applies `changes` inside of it.
pub fn create(path: &Path, changes: Vec<Change>) -> Result<(), NetworkError> {
    match File::create_new(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(NetworkError::file(path)(error));
        }
        _ => {}
    }
    let made = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned());
        let handle = thread.spawn_scoped(scope, || in_new_namespace(path, changes));
        let handle = handle.map_err(NetworkError::kernel("start a thread"))?;
        handle.join().unwrap_or_else(|_| {
            let panicked = io::Error::other("the thread ended unexpectedly");
            Err(NetworkError::kernel("make a network namespace")(panicked))
        })
    });
    if made.is_err() {
        remove(path)?;
    }
    made
}

fn in_new_namespace(path: &Path, mut changes: Vec<Change>) -> Result<(), NetworkError> {
    unshare(CloneFlags::CLONE_NEWNET)
        .map_err(|errno| NetworkError::kernel("make a network namespace")(errno.into()))?;
    let none: Option<&str> = None;
    mount(Some(OWN_NAMESPACE), path, none, MsFlags::MS_BIND, none)
        .map_err(|errno| NetworkError::file(path)(errno.into()))?;
    changes.insert(0, route::up(LOOPBACK_INDEX));
    let configure = || RouteSocket::open()?.change(changes);
    configure().map_err(NetworkError::kernel("configure a network namespace"))
}

/// Whether a namespace is pinned at `path`.
pub fn is_pinned(path: &Path) -> bool {
    #[allow(clippy::unnecessary_cast)] // The magic's type differs between architectures.
    statfs(path).is_ok_and(|statfs| statfs.filesystem_type().0 as i64 == NSFS_MAGIC)
}

/// Unpins the namespace at `path` and removes the file. Processes in it keep it alive; nothing there is fine.
pub fn remove(path: &Path) -> Result<(), NetworkError> {
    match umount2(path, MntFlags::MNT_DETACH) {
        Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
        Err(errno) => return Err(NetworkError::file(path)(errno.into())),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::file(path)(error))
        }
        _ => Ok(()),
    }
}
