//! Idmapped mounts: files of the host seen with the owners that they have in a user namespace.
//!
//! **Invariant:** nothing is written to what is mounted: the mount has the map.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use rustix::mount::{MoveMountFlags, move_mount};

/// A mount of what lies at `path`, attached nowhere, with the owners of `user`; `below`: with the mounts in it.
///
/// # Errors
/// `EINVAL` of a file system without idmapped mounts.
pub(super) fn clone_mapped(
    path: &Path,
    user: BorrowedFd<'_>,
    below: bool,
) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let recursive = if below { libc::AT_RECURSIVE as u32 } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | recursive;
    // SAFETY: the path outlives the call.
    #[allow(unsafe_code)]
    let opened =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    // SAFETY: just opened, owned by nobody else.
    #[allow(unsafe_code)]
    let tree = unsafe { OwnedFd::from_raw_fd(Errno::result(opened)? as i32) };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: user.as_raw_fd() as u64,
    };
    // SAFETY: the attributes outlive the call, which reads as many bytes as it is told.
    #[allow(unsafe_code)]
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as u32 | recursive,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(set).map(|_| tree)
}

/// Attaches a mount at `target`.
pub(super) fn attach(tree: &OwnedFd, target: &Path) -> Result<(), Errno> {
    let cwd = rustix::fs::CWD;
    move_mount(tree.as_fd(), c"", cwd, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// Opens layers as `user` sees them. All that lie in one directory, as those of a store do, are seen through one
/// mount of it, however many they are. The mounts lie on `mount_point`, one on the other: overlayfs takes only what
/// is mounted somewhere, and goes by the descriptors.
pub(super) fn open_layers(
    layers: &[&PathBuf],
    user: BorrowedFd<'_>,
    mount_point: &Path,
) -> Result<Vec<OwnedFd>, (PathBuf, Errno)> {
    let mut parents: Vec<(&Path, OwnedFd)> = Vec::new();
    let mut opened = Vec::with_capacity(layers.len());
    for layer in layers {
        let failed = |error: Errno| ((*layer).clone(), error);
        let (Some(parent), Some(name)) = (layer.parent(), layer.file_name()) else {
            return Err(failed(Errno::EINVAL));
        };
        let known = parents.iter().position(|(path, _)| *path == parent);
        let number = match known {
            Some(number) => number,
            None => {
                let tree = clone_mapped(parent, user, false).map_err(failed)?;
                attach(&tree, mount_point).map_err(failed)?;
                parents.push((parent, tree));
                parents.len() - 1
            }
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mapped = openat(&parents[number].1, name, flags, Mode::empty()).map_err(failed)?;
        is_same(&mapped, layer).map_err(failed)?;
        opened.push(mapped);
    }
    Ok(opened)
}

/// A layer on which something else is mounted would not be what its path says.
fn is_same(mapped: &OwnedFd, layer: &Path) -> Result<(), Errno> {
    let (seen, meant) = (fstat(mapped)?, fs::symlink_metadata(layer));
    let meant =
        meant.map_err(|error| error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))?;
    match (seen.st_dev, seen.st_ino) == (meant.dev(), meant.ino()) {
        true => Ok(()),
        false => Err(Errno::EXDEV),
    }
}
