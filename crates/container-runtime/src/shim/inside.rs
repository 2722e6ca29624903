//! Paths inside a root that an image has filled: found as a process in that root would find them.
//!
//! **Invariant:** no link leads out, the magic links of `/proc` included: the kernel resolves with
//! `RESOLVE_IN_ROOT`, or `pathrs` does it step by step where the kernel cannot.

use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use pathrs::error::ErrorKind;
use pathrs::flags::OpenFlags;

/// An opened root.
pub(super) struct Inside {
    root: OwnedFd,
    by_steps: pathrs::Root,
}

impl Inside {
    pub fn open(rootfs: &Path) -> Result<Inside, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(rootfs, flags, Mode::empty())?;
        let copy = root.try_clone().map_err(|error| errno(&error))?;
        Ok(Inside { root, by_steps: pathrs::Root::from_fd(copy) })
    }

    /// What is at `path`, without a right to read or write it.
    pub fn find(&self, path: &str) -> Result<OwnedFd, pathrs::error::Error> {
        match self.open_inside(path, OFlag::empty()) {
            Ok(found) => Ok(found),
            Err(_) => Ok(self.by_steps.resolve(path)?.into()),
        }
    }

    /// What is at `path`, if anything is.
    pub fn find_if_there(&self, path: &str) -> Result<Option<OwnedFd>, pathrs::error::Error> {
        if let Err(Errno::ENOENT) = self.open_inside(path, OFlag::empty()) {
            return Ok(None);
        }
        match self.find(path) {
            Err(error) if error.kind() == ErrorKind::OsError(Some(libc::ENOENT)) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The directory at `path`, which is made, with those above it, if it is not there.
    pub fn directory(&self, path: &str) -> Result<OwnedFd, pathrs::error::Error> {
        if let Ok(found) = self.open_inside(path, OFlag::O_DIRECTORY) {
            return Ok(found);
        }
        if let Some((parent, name)) = path.rsplit_once('/')
            && let Ok(parent) = self.open_inside(parent, OFlag::O_DIRECTORY)
            && mkdirat(&parent, name, Mode::from_bits_truncate(0o755)).is_ok()
            && let Ok(made) = self.open_inside(path, OFlag::O_DIRECTORY)
        {
            return Ok(made);
        }
        Ok(self.by_steps.mkdir_all(path, &Permissions::from_mode(0o755))?.into())
    }

    /// The file at `path`, which is made, empty, if it is not there. It takes the place of a link that
    /// leads nowhere, as `/etc/resolv.conf` of an image often does.
    pub fn file(&self, path: &str) -> Result<OwnedFd, pathrs::error::Error> {
        if let Ok(found) = self.find(path) {
            return Ok(found);
        }
        if let Some(parent) = Path::new(path).parent() {
            self.by_steps.mkdir_all(parent, &Permissions::from_mode(0o755))?;
        }
        let flags = OpenFlags::O_CREAT | OpenFlags::O_EXCL | OpenFlags::O_NOFOLLOW;
        let create = || self.by_steps.create_file(path, flags, &Permissions::from_mode(0o644));
        if let Err(error) = create() {
            if error.kind() != ErrorKind::OsError(Some(libc::EEXIST)) {
                return Err(error);
            }
            self.by_steps.remove_file(path)?;
            create()?;
        }
        self.find(path)
    }

    /// Whether `path` itself, not what a link there leads to, is a directory.
    pub fn is_plain_directory(&self, path: &str) -> Result<bool, pathrs::error::Error> {
        let found = match self.open_inside(path, OFlag::O_NOFOLLOW) {
            Ok(found) => found,
            Err(_) => self.by_steps.resolve_nofollow(path)?.into(),
        };
        let kind = fstat(&found).map(|status| status.st_mode & SFlag::S_IFMT.bits());
        Ok(kind == Ok(SFlag::S_IFDIR.bits()))
    }

    fn open_inside(&self, path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "/" } else { path };
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let flags = flags | OFlag::O_PATH | OFlag::O_CLOEXEC;
        openat2(&self.root, path, OpenHow::new().flags(flags).resolve(resolve))
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}
