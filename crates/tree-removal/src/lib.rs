//! Removes directories that strangers have filled: the one place of the house that takes trees away.
//!
//! Images and containers nest directories as deep as the file system lets them. A walk that recurses, as the
//! standard library's does, ends the process there, and again at every start; one that begins at the root for each
//! level, or spells the path out, never comes to its end. So this one
//!
//! | is bounded in | by |
//! |---|---|
//! | stack | a loop, no recursion |
//! | open descriptors | [`OPEN_LEVELS_MAX`]: what is above is closed, and found again as `..` |
//! | memory | 24 bytes for each level of depth; no name is kept above the open levels |
//! | time | one visit of each entry: a directory that is found again is read on from where it was left |
//!
//! It may be interrupted, by its caller or by a kill, at any moment: what is gone is gone, and the next call goes on
//! with what is left.
//!
//! **Invariant:** no link is followed, no other mount is entered, no device is opened, and nothing outside of the
//! directory is touched, whatever is in it. A level that is not found again where it was is an error.

mod attributes;
mod walk;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub use walk::OPEN_LEVELS_MAX;

/// How a removal ended that its caller may interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Nothing is left.
    Whole,
    /// The caller asked for it; calling again goes on.
    Interrupted,
}

/// Removes `path`, a directory with all that is in it, or a file. Nothing there is fine.
///
/// # Errors
/// The kernel's first refusal (a mount inside is `EXDEV` or `EBUSY`), or that somebody moves or makes directories
/// inside meanwhile. What was removed until then is gone.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    remove_tree_while(path, |_| true).map(|_| ())
}

/// As [`remove_tree`], for as long as `keep_going`, which is asked with the number of entries removed so far.
///
/// # Errors
/// As [`remove_tree`].
pub fn remove_tree_while(path: &Path, keep_going: impl FnMut(u64) -> bool) -> io::Result<Removal> {
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => (parent, name),
        _ => return Err(Errno::INVAL.into()),
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match fs::open(parent, flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(Removal::Whole),
        Err(errno) => Err(errno.into()),
        Ok(parent) => remove_tree_at(parent.as_fd(), name, keep_going),
    }
}

/// Removes what has `name`, a single component, in `parent`. Nothing there is fine.
///
/// # Errors
/// As [`remove_tree`].
pub fn remove_tree_at(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    mut keep_going: impl FnMut(u64) -> bool,
) -> io::Result<Removal> {
    match fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(Removal::Whole),
        // A directory; some file systems say EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut passes = 0;
    loop {
        let directory = match open_below(parent, name) {
            Err(Errno::NOENT) => return Ok(Removal::Whole),
            opened => opened?,
        };
        if walk::empty(directory, &mut keep_going)? == Removal::Interrupted {
            return Ok(Removal::Interrupted);
        }
        passes += 1;
        match fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(Removal::Whole),
            Err(Errno::NOTEMPTY | Errno::EXIST) if passes < walk::REFILLS_MAX => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Opens a directory for reading, in the mount of its parent.
fn open_below(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    fs::openat2(parent, name, flags, Mode::empty(), resolve)
}
