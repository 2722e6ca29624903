//! Paths that the image declares as volumes, and that the task mounts nothing at.
//!
//! Docker gives each a volume of its own: a directory with the image's files, their owners and modes, writable also
//! where the root is not. Here it stays where it is, in the container's own writable layer, and is mounted on itself:
//! that has the image's content without a copy, is gone with the container, and counts as what the container writes.
//! A mount is writable for itself, whatever becomes of the root's.
//!
//! | the path | becomes |
//! |---|---|
//! | is in the image, or leads there through symlinks | what is there |
//! | is not there | a directory of root's with mode 0755, as Docker makes it |
//! | is, or lies below, what the task mounts | the task's mount |
//! | is, or lies below, `/proc`, `/sys` or `/dev` | the kernel's; images of systemd declare `/sys/fs/cgroup` |
//!
//! **Invariant:** a source lies in the root, and no link is on the way to it: nobody else has written there yet.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::umask;

use crate::error::{FailureKind, StartFailure};
use crate::private;
use crate::spec::{BindMount, ContainerSpec};

/// The kernel's file systems.
const KERNEL: [&str; 3] = ["proc", "sys", "dev"];

/// Makes the volumes of `spec` mounts of it, before all others.
pub(super) fn place(spec: &mut ContainerSpec, rootfs: &Path) -> Result<(), StartFailure> {
    if spec.volumes.is_empty() {
        return Ok(());
    }
    let failure = |path: &str, detail: &dyn std::fmt::Display| {
        let message = format!("failed to create volume at {path}: {detail}");
        StartFailure::new(FailureKind::Mount, message)
    };
    let top = fs::canonicalize(rootfs).map_err(|error| failure("/", &error))?;
    let root = pathrs::Root::open(&top).map_err(|error| failure("/", &error))?;
    let mut found = BTreeSet::new();
    for volume in &spec.volumes {
        let path = cleaned(volume);
        if path.as_os_str().is_empty() {
            return Err(failure(volume, &"invalid specification: destination can't be '/'"));
        }
        if is_kernels(&path) || is_mounted(spec, &path) {
            continue;
        }
        let opened = match root.resolve(&path) {
            Ok(opened) => opened,
            Err(_) => make(&root, &path).map_err(|error| failure(volume, &error))?,
        };
        let name = format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd());
        let real = fs::read_link(&name).map_err(|error| failure(volume, &error))?;
        let below = real.strip_prefix(&top).map_err(|error| failure(volume, &error))?;
        if below.as_os_str().is_empty() || !fs::metadata(&name).is_ok_and(|found| found.is_dir()) {
            return Err(failure(volume, &"not a directory of the image"));
        }
        if !is_kernels(below) && !is_mounted(spec, below) {
            found.insert(below.to_owned());
        }
    }
    let mounts = found.into_iter().map(|below| {
        let target = below.to_str().ok_or_else(|| failure("a path", &"it is not valid UTF-8"))?;
        let target = format!("/{target}");
        Ok(BindMount { source: top.join(&below), target, readonly: false })
    });
    // Sorted: one that lies in another comes after it.
    let mounts = mounts.collect::<Result<Vec<_>, StartFailure>>()?;
    spec.bind_mounts.splice(0..0, mounts);
    Ok(())
}

/// Makes a directory with those above it, as the container's own files are made.
fn make(root: &pathrs::Root, path: &Path) -> Result<pathrs::Handle, pathrs::error::Error> {
    let ours = private::set_container_umask();
    let made = root.mkdir_all(path, &Permissions::from_mode(0o755));
    umask(ours);
    made
}

/// Below the root, without `.` and `..`.
fn cleaned(path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn is_kernels(below: &Path) -> bool {
    KERNEL.iter().any(|top| below.starts_with(top))
}

/// Whether the task has a mount there or above. One of a file below is mounted on the volume.
fn is_mounted(spec: &ContainerSpec, below: &Path) -> bool {
    let tmpfs = spec.tmpfs.iter().map(|mount| &mount.path);
    let targets = tmpfs.chain(spec.bind_mounts.iter().map(|mount| &mount.target));
    targets.into_iter().any(|target| below.starts_with(cleaned(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, expected) in [
            ("/data", "data"),
            ("data/", "data"),
            ("/a/../b/./c//", "b/c"),
            ("/../..", ""),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(cleaned(path), Path::new(expected), "{path}");
        }
    }
}
