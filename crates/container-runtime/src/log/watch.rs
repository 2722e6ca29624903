//! Tells an event loop that a log has grown.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// A descriptor that is readable when the log directory has changed since [`LogWatch::clear`].
#[derive(Debug)]
pub struct LogWatch {
    inotify: Inotify,
}

impl LogWatch {
    /// # Errors
    /// When the directory is not there, or the host's number of watches is used up
    /// (`fs.inotify.max_user_instances`).
    pub fn new(log_dir: &Path) -> io::Result<LogWatch> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(log_dir, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE)?;
        Ok(LogWatch { inotify })
    }

    /// Forgets what has happened. Call it before reading, so that nothing is missed.
    ///
    /// # Errors
    /// When the kernel fails.
    pub fn clear(&self) -> io::Result<()> {
        loop {
            match self.inotify.read_events() {
                Ok(_) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for LogWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl AsRawFd for LogWatch {
    fn as_raw_fd(&self) -> i32 {
        self.inotify.as_fd().as_raw_fd()
    }
}
