//! The directory that a layer is unpacked into, and the only file operations on it.
//!
//! **Invariant:** a path is resolved by `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)` from the
//! root's descriptor, and a last component is never followed. Nobody else writes in the directory meanwhile.

use super::path::LayerPath;
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The mode of a parent directory that the layer does not mention itself.
const IMPLIED_DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// Why a path of the layer could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A symlink on the way leads out of the layer (absolute, or `..` above the root).
    #[error("a symlink on the way leads out of the layer")]
    Escapes,
    /// Something on the way is no directory.
    #[error("a parent is not a directory")]
    NotADirectory,
    /// Symlinks on the way form a loop.
    #[error("too many symlinks on the way")]
    SymlinkLoop,
    /// What the entry refers to is not in the layer.
    #[error("the link target is not in this layer")]
    TargetMissing,
    /// A hard link to something that is no regular file or symlink.
    #[error("a hard link to something that is no file")]
    TargetNotAFile,
    /// The kernel refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for RootError {
    fn from(errno: Errno) -> RootError {
        match errno {
            Errno::XDEV => RootError::Escapes,
            Errno::NOTDIR => RootError::NotADirectory,
            Errno::LOOP => RootError::SymlinkLoop,
            other => RootError::Io(other.into()),
        }
    }
}

/// An open layer directory.
pub struct LayerRoot<'root> {
    root: BorrowedFd<'root>,
    /// The last parent that was opened: entries of one directory follow each other.
    parent: Option<(Vec<u8>, OwnedFd)>,
}

fn beneath() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV
}

fn directory_flags() -> OFlags {
    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC
}

impl<'root> LayerRoot<'root> {
    pub fn new(root: BorrowedFd<'root>) -> LayerRoot<'root> {
        LayerRoot { root, parent: None }
    }

    /// The open parent directory of `path`, made when it is missing, and the last component.
    pub fn parent_of<'path>(
        &mut self,
        path: &'path LayerPath,
    ) -> Result<(OwnedFd, &'path OsStr), RootError> {
        let (directory, name) = path.split();
        if let Some((cached, fd)) = &self.parent
            && cached == directory
        {
            return Ok((fd.try_clone()?, name));
        }
        let fd = self.open_directory(directory)?;
        self.parent = Some((directory.to_vec(), fd.try_clone()?));
        Ok((fd, name))
    }

    fn open_directory(&self, directory: &[u8]) -> Result<OwnedFd, RootError> {
        if directory.is_empty() {
            return Ok(fs::openat(self.root, ".", directory_flags(), Mode::empty())?);
        }
        let open = |prefix: &[u8]| {
            let prefix = OsStr::from_bytes(prefix);
            fs::openat2(self.root, prefix, directory_flags(), Mode::empty(), beneath())
        };
        match open(directory) {
            Ok(fd) => return Ok(fd),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut parent = fs::openat(self.root, ".", directory_flags(), Mode::empty())?;
        let mut end = 0;
        for component in directory.split(|byte| *byte == b'/') {
            end += component.len();
            parent = match open(&directory[..end]) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => {
                    let name = OsStr::from_bytes(component);
                    // EEXIST here is a dangling symlink: refused as such, not followed.
                    match fs::mkdirat(&parent, name, IMPLIED_DIRECTORY_MODE) {
                        Ok(()) => {
                            fs::chmodat(&parent, name, IMPLIED_DIRECTORY_MODE, AtFlags::empty())?
                        }
                        Err(Errno::EXIST) => return Err(RootError::NotADirectory),
                        Err(errno) => return Err(errno.into()),
                    }
                    open(&directory[..end])?
                }
                Err(errno) => return Err(errno.into()),
            };
            end += 1;
        }
        Ok(parent)
    }

    /// Opens a directory of the layer that must exist, for its metadata.
    pub fn existing_directory(&self, path: &LayerPath) -> Result<OwnedFd, RootError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if path.is_root() {
            return Ok(fs::openat(self.root, ".", flags, Mode::empty())?);
        }
        let name = OsStr::from_bytes(path.as_bytes());
        Ok(fs::openat2(self.root, name, flags, Mode::empty(), beneath())?)
    }

    /// Removes whatever stands at `name`, a whole tree too; nothing there is fine.
    pub fn remove(&mut self, parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), RootError> {
        self.parent = None;
        outport_tree_removal::remove_tree_at(parent, name, |_| true)?;
        Ok(())
    }

    /// Makes or keeps the directory at `path` and opens it.
    pub fn directory(&mut self, path: &LayerPath) -> Result<OwnedFd, RootError> {
        let (parent, name) = self.parent_of(path)?;
        match fs::mkdirat(&parent, name, IMPLIED_DIRECTORY_MODE) {
            Ok(()) => {}
            Err(Errno::EXIST) => match kind(parent.as_fd(), name)? {
                Kind::Directory => {}
                found => {
                    self.remove(parent.as_fd(), name)?;
                    fs::mkdirat(&parent, name, IMPLIED_DIRECTORY_MODE)?;
                    if found == Kind::Whiteout {
                        set_opaque(parent.as_fd(), name)?;
                    }
                }
            },
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&parent, name, flags, Mode::empty())?)
    }

    /// Makes a new, empty regular file, in place of anything that was there.
    pub fn file(&mut self, path: &LayerPath) -> Result<OwnedFd, RootError> {
        let (parent, name) = self.parent_of(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600));
        match create() {
            Err(Errno::EXIST) => {
                self.remove(parent.as_fd(), name)?;
                Ok(create()?)
            }
            result => Ok(result?),
        }
    }

    /// Makes whatever `make` makes at `path`, in place of anything that was there.
    pub fn replace(
        &mut self,
        path: &LayerPath,
        make: impl Fn(BorrowedFd<'_>, &OsStr) -> Result<(), Errno>,
    ) -> Result<(OwnedFd, OsString), RootError> {
        let (parent, name) = self.parent_of(path)?;
        if let Err(errno) = make(parent.as_fd(), name) {
            if errno != Errno::EXIST {
                return Err(errno.into());
            }
            self.remove(parent.as_fd(), name)?;
            make(parent.as_fd(), name)?;
        }
        Ok((parent, name.to_owned()))
    }

    /// Makes `path` another name of `target`, a file of the same layer.
    pub fn hard_link(&mut self, path: &LayerPath, target: &LayerPath) -> Result<(), RootError> {
        let (target_directory, target_name) = target.split();
        let target_parent = if target_directory.is_empty() {
            fs::openat(self.root, ".", directory_flags(), Mode::empty())?
        } else {
            let name = OsStr::from_bytes(target_directory);
            fs::openat2(self.root, name, directory_flags(), Mode::empty(), beneath())
                .map_err(missing_target)?
        };
        match kind(target_parent.as_fd(), target_name).map_err(missing_target)? {
            Kind::File | Kind::Symlink => {}
            _ => return Err(RootError::TargetNotAFile),
        }
        if path == target {
            return Ok(());
        }
        self.replace(path, |parent, name| {
            fs::linkat(&target_parent, target_name, parent, name, AtFlags::empty())
        })
        .map_err(|error| match error {
            RootError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                RootError::TargetMissing
            }
            other => other,
        })?;
        Ok(())
    }

    /// Hides `path` of the layers below: char device 0:0, or an opaque directory when this layer has one there.
    pub fn whiteout(&mut self, path: &LayerPath) -> Result<(), RootError> {
        let (parent, name) = self.parent_of(path)?;
        match fs::mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match kind(parent.as_fd(), name)? {
                Kind::Directory => Ok(set_opaque(parent.as_fd(), name)?),
                // The layer's own file already hides what is below.
                _ => Ok(()),
            },
            Err(errno) => Err(errno.into()),
        }
    }

    /// Hides everything that the layers below have in the directory `path`.
    pub fn opaque(&mut self, path: &LayerPath) -> Result<(), RootError> {
        let directory =
            if path.is_root() { self.existing_directory(path)? } else { self.directory(path)? };
        Ok(fs::fsetxattr(&directory, OPAQUE_XATTR, b"y", fs::XattrFlags::empty())?)
    }
}

fn missing_target(errno: Errno) -> RootError {
    match errno {
        Errno::NOENT => RootError::TargetMissing,
        other => other.into(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
    Symlink,
    Whiteout,
    Other,
}

fn kind(parent: BorrowedFd<'_>, name: &OsStr) -> Result<Kind, Errno> {
    let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice if stat.st_rdev == 0 => Kind::Whiteout,
        _ => Kind::Other,
    })
}

fn set_opaque(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = fs::openat(parent, name, flags, Mode::empty())?;
    fs::fsetxattr(&directory, OPAQUE_XATTR, b"y", fs::XattrFlags::empty())
}
