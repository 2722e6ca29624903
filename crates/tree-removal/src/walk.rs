//! The walk: down to the bottom and up again, in one loop.
//!
//! ```text
//! closed   levels far above: which directory it was, and where its listing stood
//! open     the deepest levels, at most OPEN_LEVELS_MAX: their listings
//! ```
//!
//! **Invariant:** the last open level is the directory that is being emptied; the level above it is its `..`.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::{Removal, attributes, open_below};

/// Directories that are open at a time.
pub const OPEN_LEVELS_MAX: usize = 32;
/// How often one directory is found filled again before that is an error: file systems may pass over entries while
/// others of the same listing are removed.
pub const REFILLS_MAX: u32 = 64;

/// A directory that is being emptied.
struct Level {
    listing: Dir,
    /// Where the listing stood before the entry that is at work.
    before: i64,
    /// Where it stands after it.
    after: i64,
    refills: u32,
}

/// The same, closed.
struct Closed {
    device: u64,
    inode: u64,
    before: i64,
    refills: u32,
}

/// What came of one entry.
enum Step {
    Removed,
    /// A directory that is not empty.
    Descend(OwnedFd),
}

/// Removes what is in `directory`.
pub fn empty(directory: OwnedFd, keep_going: &mut impl FnMut(u64) -> bool) -> io::Result<Removal> {
    let mut closed: Vec<Closed> = Vec::new();
    let mut open: VecDeque<Level> = VecDeque::from([Level::new(directory)?]);
    let mut removed: u64 = 0;
    while let Some(level) = open.back_mut() {
        match level.next()? {
            Some(Step::Removed) => {
                removed += 1;
                if !keep_going(removed) {
                    return Ok(Removal::Interrupted);
                }
            }
            Some(Step::Descend(child)) => {
                if open.len() == OPEN_LEVELS_MAX
                    && let Some(highest) = open.pop_front()
                {
                    closed.push(highest.close()?);
                }
                open.push_back(Level::new(child)?);
            }
            None => {
                let Some(emptied) = open.pop_back() else { break };
                match open.back_mut() {
                    Some(above) => above.again()?,
                    None => {
                        if let Some(above) = closed.pop() {
                            open.push_back(above.open_above(&emptied)?);
                        }
                    }
                }
            }
        }
    }
    Ok(Removal::Whole)
}

impl Level {
    fn new(directory: OwnedFd) -> io::Result<Level> {
        Ok(Level { listing: Dir::new(directory)?, before: 0, after: 0, refills: 0 })
    }

    /// Works on the next entry; `None` at the end of the listing.
    fn next(&mut self) -> io::Result<Option<Step>> {
        while let Some(entry) = self.listing.read() {
            let entry = entry?;
            self.before = self.after;
            self.after = entry.offset();
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let step = remove(self.listing.fd()?, entry.file_name(), entry.file_type())?;
            if let Step::Removed = step {
                self.refills = 0;
            }
            return Ok(Some(step));
        }
        Ok(None)
    }

    /// Back to the entry that was at work: a directory that is empty now, or was filled again.
    fn again(&mut self) -> io::Result<()> {
        self.refills += 1;
        if self.refills > REFILLS_MAX {
            return Err(io::Error::other("a directory is filled again while it is removed"));
        }
        match self.listing.seek(self.before) {
            Ok(()) => self.after = self.before,
            // Somebody else removed the directory meanwhile: ext4 knows the place no more.
            Err(Errno::INVAL) => {
                self.listing.rewind();
                self.after = 0;
            }
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn close(self) -> io::Result<Closed> {
        let stat = fs::fstat(self.listing.fd()?)?;
        Ok(Closed {
            device: stat.st_dev,
            inode: stat.st_ino,
            before: self.before,
            refills: self.refills,
        })
    }
}

impl Closed {
    fn open_above(self, below: &Level) -> io::Result<Level> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let above = fs::openat2(below.listing.fd()?, "..", flags, Mode::empty(), resolve)?;
        let stat = fs::fstat(&above)?;
        if (stat.st_dev, stat.st_ino) != (self.device, self.inode) {
            return Err(io::Error::other("a directory is moved while it is removed"));
        }
        let mut level = Level::new(above)?;
        level.before = self.before;
        level.refills = self.refills;
        level.again()?;
        Ok(level)
    }
}

fn remove(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> io::Result<Step> {
    if kind != FileType::Directory {
        match unlink(directory, name, AtFlags::empty()) {
            // The listing did not know.
            Err(Errno::ISDIR) => {}
            done => return Ok(done.map(|()| Step::Removed)?),
        }
    }
    match unlink(directory, name, AtFlags::REMOVEDIR) {
        // Which of the two is the file system's choice.
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        done => return Ok(done.map(|()| Step::Removed)?),
    }
    match open_below(directory, name) {
        // Somebody else removes the same tree: fine.
        Err(Errno::NOENT) => Ok(Step::Removed),
        opened => Ok(Step::Descend(opened?)),
    }
}

fn unlink(directory: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
    let first = fs::unlinkat(directory, name, flags);
    let done = match first {
        Err(Errno::PERM) => {
            attributes::release(directory, name);
            fs::unlinkat(directory, name, flags)
        }
        done => done,
    };
    match done {
        // Gone by itself: fine.
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}
