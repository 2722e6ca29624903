//! Why there is no disk for a task.

use std::io;
use std::path::{Path, PathBuf};

pub(crate) const MOUNT: &str = "mount";

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("the program mkfs.ext4 is missing: run `apt-get install e2fsprogs`")]
    NoMkfs,
    #[error("mkfs.ext4 failed: {0}")]
    Mkfs(String),
    #[error("{action} {}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not the disk of this task", .device.display())]
    Stranger { device: PathBuf },
}

impl DiskError {
    /// For `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: source.into() }
    }

    /// Whether what was to be mounted is no whole file system.
    pub(crate) fn is_unmountable(&self) -> bool {
        let broken = |code| matches!(code, libc::EINVAL | libc::EUCLEAN | libc::EBADMSG);
        matches!(self, Self::Io { action: MOUNT, source, .. }
            if source.raw_os_error().is_some_and(broken))
    }

    /// Whether the host's disk has no room.
    pub fn is_full(&self) -> bool {
        let full = |kind| matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::Io { source, .. } if full(source.kind()))
    }
}
