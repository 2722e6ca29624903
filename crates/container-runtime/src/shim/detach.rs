//! Cuts every tie to the agent that started this process.
//!
//! **Invariant:** after `detach` the process has descriptors 0 to 2, all `/dev/null`, and the report;
//! it is no child of the agent, and no signal to the agent's group or session reaches it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setsid;

use super::clone::{Cloned, clone};
use crate::private;

/// The signals that reach the event loop, where all but SIGCHLD are passed over: a shim ends when its
/// container does.
pub(super) const HANDLED: [Signal; 4] =
    [Signal::SIGCHLD, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Gives the agent's pipe for the report, and whether the process is in `cgroup` by now.
pub(super) fn detach(cgroup: Option<&Path>) -> io::Result<(File, bool)> {
    close_from(3)?;
    let Cloned { child, in_cgroup } = clone(CloneFlags::empty(), cgroup)?;
    if child.is_some() {
        exit_now();
    }
    setsid()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    // A name that shows in process lists; the container's processes get their own by exec.
    nix::sys::prctl::set_name(c"outport-shim")?;
    private::set_umask();
    SigSet::from_iter(HANDLED).thread_set_mask()?;
    let report = duplicate(1)?;
    let null = private::options().read(true).write(true).open("/dev/null")?;
    for descriptor in 0..=1 {
        replace(descriptor, null.as_raw_fd())?;
    }
    Ok((report, in_cgroup))
}

/// Lets go of the agent's error file, once the report is made.
pub(super) fn silence_errors() -> io::Result<()> {
    let null = private::options().write(true).open("/dev/null")?;
    replace(2, null.as_raw_fd())
}

/// Writes the score by which the kernel chooses what to kill for memory.
pub(super) fn oom_score(score: i32) -> io::Result<()> {
    private::set(Path::new("/proc/self/oom_score_adj"), score.to_string())
}

/// Closes every descriptor from `first` on.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX)
}

/// Closes the descriptors from `first` to `last`.
pub(super) fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the caller uses none of these descriptors through a Rust value any more.
    #[allow(unsafe_code)]
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return Err(error);
    }
    // Kernels before 5.9.
    let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let wanted = |one: &RawFd| u32::try_from(*one).is_ok_and(|one| (first..=last).contains(&one));
    for descriptor in listed.into_iter().filter(wanted) {
        // SAFETY: as above; the one of the listing itself is closed already.
        #[allow(unsafe_code)]
        unsafe {
            libc::close(descriptor)
        };
    }
    Ok(())
}

fn duplicate(descriptor: RawFd) -> io::Result<File> {
    // SAFETY: a plain system call; the new descriptor is owned by what is returned.
    #[allow(unsafe_code)]
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, owned by nobody else.
    #[allow(unsafe_code)]
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(copy) }))
}

fn replace(descriptor: RawFd, with: RawFd) -> io::Result<()> {
    // SAFETY: 0, 1 and 2 are never owned by a Rust value here.
    #[allow(unsafe_code)]
    let done = unsafe { libc::dup2(with, descriptor) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn exit_now() -> ! {
    // SAFETY: ends the process without running what the child will run itself.
    #[allow(unsafe_code)]
    unsafe {
        libc::_exit(0)
    }
}
