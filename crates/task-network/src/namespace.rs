//! Network namespaces pinned by a bind mount, so that they live without a process.
//!
//! One of a task with a user namespace belongs to that: there its root may bind low ports, send raw packets and see
//! its own `/sys`. It is set up from here all the same: root of the host may do so everywhere.
//!
//! **Invariant:** a namespace is made by a thread of its own, which ends afterwards: no thread that runs anything else
//! ever changes its namespace.

use crate::error::NetworkError;
use crate::route::{self, Change, RouteSocket};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::statfs;
use outport_user_namespace::create_network;
use std::fs::{self, File};
use std::io;
use std::path::Path;

const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";
const LOOPBACK_INDEX: u32 = 1;
const NSFS_MAGIC: i64 = 0x6e73_6673;
/// A process that died between pinning and recording leaves a pin under the next one's: more were somebody else's.
const PINS_MAX: usize = 16;

/// Makes a namespace pinned at `path`, with loopback up, and applies `changes` inside of it. It belongs to the user
/// namespace that is pinned at `owner`, or to the host's. The socket that is given out is inside.
pub fn create(
    path: &Path,
    owner: Option<&Path>,
    changes: Vec<Change>,
) -> Result<RouteSocket, NetworkError> {
    match File::create_new(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(NetworkError::file(path)(error));
        }
        _ => {}
    }
    let made = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("namespace".to_owned());
        let handle = thread.spawn_scoped(scope, || in_new_namespace(path, owner, changes));
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

fn in_new_namespace(
    path: &Path,
    owner: Option<&Path>,
    mut changes: Vec<Change>,
) -> Result<RouteSocket, NetworkError> {
    let entered = match owner {
        Some(owner) => {
            let user = File::open(owner).map_err(NetworkError::file(owner))?;
            let made = create_network(&user).map_err(NetworkError::UserNamespace)?;
            setns(made, CloneFlags::CLONE_NEWNET)
        }
        None => unshare(CloneFlags::CLONE_NEWNET),
    };
    entered.map_err(|errno| NetworkError::kernel("make a network namespace")(errno.into()))?;
    let none: Option<&str> = None;
    mount(Some(OWN_NAMESPACE), path, none, MsFlags::MS_BIND, none)
        .map_err(|errno| NetworkError::file(path)(errno.into()))?;
    changes.insert(0, route::up(LOOPBACK_INDEX));
    let configure = || {
        let mut socket = RouteSocket::open()?;
        socket.change(changes)?;
        Ok(socket)
    };
    configure().map_err(NetworkError::kernel("configure a network namespace"))
}

/// Whether a namespace is pinned at `path`.
pub fn is_pinned(path: &Path) -> bool {
    #[allow(clippy::unnecessary_cast)] // The magic's type differs between architectures.
    statfs(path).is_ok_and(|statfs| statfs.filesystem_type().0 as i64 == NSFS_MAGIC)
}

/// Unpins the namespace at `path`, however often it is pinned, and removes the file. Processes in it keep it alive;
/// nothing there is fine.
pub fn remove(path: &Path) -> Result<(), NetworkError> {
    for _ in 0..PINS_MAX {
        match umount2(path, MntFlags::MNT_DETACH) {
            Ok(()) => {}
            Err(nix::Error::EINVAL | nix::Error::ENOENT) => break,
            Err(errno) => return Err(NetworkError::file(path)(errno.into())),
        }
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetworkError::file(path)(error))
        }
        _ => Ok(()),
    }
}
