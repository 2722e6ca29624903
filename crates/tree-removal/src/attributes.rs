//! Attributes with which a container that may set them (`LINUX_IMMUTABLE`) keeps a file from being removed.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, IFlags, Mode, OFlags};

/// Takes `immutable` and `append only` from an entry and from its directory. What cannot be done shows in the
/// removal that is tried again after it.
pub fn release(directory: BorrowedFd<'_>, name: &CStr) {
    clear(directory);
    // Only what is opened without an effect, which a device, a fifo or a link is not.
    let kind = fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| FileType::from_raw_mode(stat.st_mode));
    if !matches!(kind, Ok(FileType::RegularFile | FileType::Directory)) {
        return;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(entry) = fs::openat(directory, name, flags, Mode::empty()) {
        clear(entry.as_fd());
    }
}

fn clear(file: BorrowedFd<'_>) {
    let Ok(flags) = fs::ioctl_getflags(file) else { return };
    let kept = flags - (IFlags::IMMUTABLE | IFlags::APPEND);
    if kept != flags {
        // See `release`.
        let _ = fs::ioctl_setflags(file, kept);
    }
}
