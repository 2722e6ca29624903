//! Removes a directory that a container has filled.
//!
//! A container nests directories deeper than this process may have open files and than its stack has
//! room for; a recursion to the bottom would end the agent, after every restart again. What lies deeper
//! than [`DEPTH_MAX`] is moved up, and its turn comes from there.
//!
//! **Invariant:** no link is followed, and nothing outside of the directory is touched.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Directories that are open at a time.
const DEPTH_MAX: u32 = 64;

/// Removes `directory` with all that is in it. Nothing there is fine.
///
/// # Errors
/// The kernel's first refusal. `directory` itself must be filled by nobody but this program: what was
/// moved up gets names of its own there.
pub(crate) fn remove_tree(directory: &Path) -> io::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let top = match open(directory, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        opened => opened?,
    };
    let mut removal = Removal { top, moved: 0 };
    loop {
        let moved_before = removal.moved;
        let top = removal.top.try_clone()?;
        removal.empty(top, 0)?;
        if removal.moved == moved_before {
            return std::fs::remove_dir(directory);
        }
    }
}

struct Removal {
    top: OwnedFd,
    /// How many directories were moved up.
    moved: u64,
}

impl Removal {
    /// Removes what is in `directory`, but not what is moved up meanwhile.
    fn empty(&mut self, directory: OwnedFd, depth: u32) -> io::Result<()> {
        let mut entries = Dir::from_fd(directory)?;
        // The listing takes the descriptor; entries are named relative to its own.
        let own = entries.as_fd().try_clone_to_owned()?;
        for entry in entries.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let may_be_file = entry.file_type().is_none_or(|kind| kind != Type::Directory);
            if may_be_file {
                match unlinkat(&own, name, UnlinkatFlags::NoRemoveDir) {
                    Err(Errno::EISDIR) => {}
                    done => {
                        done?;
                        continue;
                    }
                }
            }
            self.remove_directory(&own, name, depth)?;
        }
        Ok(())
    }

    fn remove_directory(&mut self, parent: &OwnedFd, name: &CStr, depth: u32) -> io::Result<()> {
        match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
            // Which of the two is the file system's choice.
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            done => return Ok(done?),
        }
        if depth >= DEPTH_MAX {
            return self.move_up(parent, name);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(parent, name, flags, Mode::empty())?;
        self.empty(opened, depth + 1)?;
        Ok(unlinkat(parent, name, UnlinkatFlags::RemoveDir)?)
    }

    fn move_up(&mut self, parent: &OwnedFd, name: &CStr) -> io::Result<()> {
        loop {
            let new = format!("moved.{}", self.moved);
            self.moved += 1;
            match renameat(parent, name, &self.top, new.as_str()) {
                // Of a removal that did not come to its end.
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
                done => return Ok(done?),
            }
        }
    }
}
