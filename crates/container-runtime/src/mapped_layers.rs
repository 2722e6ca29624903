//! Whether this host can give containers user namespaces, tried with what a container would need.
//!
//! **Invariant:** nothing of the trial is left, and the process that asks is as it was: the mounts are in a
//! namespace that only a thread has, which ends.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use outport_tree_removal::remove_tree;
use outport_user_namespace::{IdRange, create};

use crate::private;
use crate::shim::mount_mapped_layers;

/// Why a trial did not succeed, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum UserNamespaceTrialError {
    /// The kernel, its settings or the file system have none: it will be the same the next time.
    #[error("{0}")]
    NotOnThisHost(String),
    /// Something else was in the way (no descriptor, no memory, a full disk): it shows nothing about the host.
    #[error("{0}")]
    Inconclusive(String),
}

/// Makes a user namespace of `range`, and an overlay of a layer in `directory`, which lies where the layers of
/// images do; it is made, and removed at the end.
///
/// # Errors
/// When it cannot be done, and when that is not to be found out now.
pub fn try_user_namespaces(
    directory: &Path,
    range: IdRange,
) -> Result<(), UserNamespaceTrialError> {
    use UserNamespaceTrialError::{Inconclusive, NotOnThisHost};
    let user = create(range).map_err(|error| match error.is_for_good() {
        true => NotOnThisHost(error.to_string()),
        false => Inconclusive(error.to_string()),
    })?;
    let tried = || -> io::Result<u32> {
        // Of one that was interrupted.
        remove_tree(directory)?;
        let layer = directory.join("layers/one");
        private::make_directories(&layer)?;
        private::write(&layer.join("file"), b"")?;
        let parts = ["upper", "work", "root"].map(|name| directory.join(name));
        parts.iter().try_for_each(|part| private::make_directory(part))?;
        let [upper, work, root] = parts;
        let thread = || owner_in_overlay(&layer, &upper, &work, &root, &user);
        let panicked = |_| Err(io::Error::other("the thread ended unexpectedly"));
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("trial".to_owned());
            builder.spawn_scoped(scope, thread)?.join().unwrap_or_else(panicked)
        })
    };
    let (owner, removed) = (tried(), remove_tree(directory));
    let said = |what: &str, error: &io::Error| format!("{what} {}: {error}", directory.display());
    let owner = owner.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP) => NotOnThisHost(format!(
            "layers cannot be mapped in {} (it takes kernel 5.19 and a file system with idmapped mounts)",
            directory.display()
        )),
        Some(libc::EPERM | libc::EACCES) => NotOnThisHost(said("cannot map layers in", &error)),
        _ => Inconclusive(said("cannot map layers in", &error)),
    })?;
    removed.map_err(|error| Inconclusive(said("cannot remove", &error)))?;
    match owner == range.first() {
        true => Ok(()),
        false => Err(NotOnThisHost(format!(
            "the kernel shows files of mapped layers as those of user {owner}"
        ))),
    }
}

/// The host's owner of a file of `layer` in an overlay.
fn owner_in_overlay(
    layer: &PathBuf,
    upper: &Path,
    work: &Path,
    root: &Path,
    user: &std::os::fd::OwnedFd,
) -> io::Result<u32> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount_mapped_layers(&[layer], user, upper, work, root)?;
    Ok(fs::symlink_metadata(root.join("file"))?.uid())
}
