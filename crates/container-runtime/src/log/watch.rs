//! Tells an event loop which logs have grown.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::cursor::SHIPPED_FILE;

/// A descriptor that is readable when one of many log directories has changed.
///
/// One is enough for all containers of a node: the kernel gives a user 128 of these by default
/// (`fs.inotify.max_user_instances`), and thousands of directories to watch with each.
#[derive(Debug)]
pub struct LogWatch {
    inotify: Inotify,
}

/// A directory that is watched. The same one watched again has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchId(WatchDescriptor);

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogChange {
    Of(WatchId),
    /// The kernel lost count of what has.
    OfAny,
}

impl LogWatch {
    /// # Errors
    /// When the host's number of these is used up.
    pub fn new() -> io::Result<LogWatch> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(LogWatch { inotify })
    }

    /// # Errors
    /// When the directory is not there, or the host's number of watched files is used up
    /// (`fs.inotify.max_user_watches`).
    pub fn add(&self, log_dir: &Path) -> io::Result<WatchId> {
        let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE;
        Ok(WatchId(self.inotify.add_watch(log_dir, changes)?))
    }

    /// Ends a watch, also one that ended with its directory.
    pub fn remove(&self, id: WatchId) {
        // The kernel refuses only what is not watched.
        let _ = self.inotify.rm_watch(id.0);
    }

    /// What has changed since the last call; nothing when there is nothing to read. What the agent
    /// itself writes there, its cursor, is no change: it would have to write it again for ever.
    ///
    /// # Errors
    /// When the kernel fails.
    pub fn changes(&self) -> io::Result<Vec<LogChange>> {
        loop {
            let events = match self.inotify.read_events() {
                Err(Errno::EAGAIN) => return Ok(Vec::new()),
                read => read?,
            };
            let of_logs = events
                .iter()
                .filter(|event| event.name.as_deref() != Some(OsStr::new(SHIPPED_FILE)));
            let changes: Vec<LogChange> = of_logs
                .map(|event| match event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    true => LogChange::OfAny,
                    false => LogChange::Of(WatchId(event.wd)),
                })
                .collect();
            // An empty answer says that all was read.
            if !changes.is_empty() {
                return Ok(changes);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::log::LogCursor;

    #[test]
    fn the_cursor_of_the_agent_is_no_change() {
        let scratch = tempfile::tempdir().unwrap();
        let watch = LogWatch::new().unwrap();
        let id = watch.add(scratch.path()).unwrap();
        for offset in 1..3 {
            LogCursor { segment: 1, offset }.mark_shipped(scratch.path()).unwrap();
            assert_eq!(watch.changes().unwrap(), []);
        }
        fs::write(scratch.path().join("1.log"), "x").unwrap();
        assert!(watch.changes().unwrap().contains(&LogChange::Of(id)));
    }

    #[test]
    fn each_directory_says_its_own_changes_until_it_is_let_go() {
        let scratch = tempfile::tempdir().unwrap();
        let directories = ["one", "two"].map(|name| scratch.path().join(name));
        let watch = LogWatch::new().unwrap();
        let ids = directories.each_ref().map(|directory| {
            fs::create_dir(directory).unwrap();
            watch.add(directory).unwrap()
        });
        assert_eq!(watch.changes().unwrap(), []);
        fs::write(directories[1].join("1"), "").unwrap();
        assert_eq!(watch.changes().unwrap(), [LogChange::Of(ids[1])]);
        assert_eq!(watch.changes().unwrap(), []);
        watch.remove(ids[1]);
        watch.changes().unwrap();
        fs::write(directories[1].join("2"), "").unwrap();
        fs::write(directories[0].join("1"), "").unwrap();
        assert_eq!(watch.changes().unwrap(), [LogChange::Of(ids[0])]);
        watch.remove(ids[1]);
        assert!(watch.add(&scratch.path().join("none")).is_err());
    }
}
