//! The lock that a shim holds for life: how an agent sees that it lives.
//!
//! A record lock of POSIX, not `flock`: it belongs to the process and not to the descriptor, so the
//! container's processes, which are forked from the shim, do not keep it.
//!
//! **Invariant:** the shim opens the file once; closing any descriptor of it would drop the lock.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::private;

/// Takes the lock; it is held until the process ends.
///
/// # Errors
/// `WouldBlock` when another process holds it.
pub(crate) fn hold(path: &Path) -> io::Result<File> {
    let file = private::options().write(true).create(true).truncate(false).open(path)?;
    match fcntl(&file, FcntlArg::F_SETLK(&whole_file())) {
        Ok(_) => Ok(file),
        Err(Errno::EACCES | Errno::EAGAIN) => Err(ErrorKind::WouldBlock.into()),
        Err(error) => Err(error.into()),
    }
}

/// Whether another process holds it.
pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
    let file = match private::options().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let mut lock = whole_file();
    fcntl(&file, FcntlArg::F_GETLK(&mut lock))?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
