//! Children that are born in namespaces and in a cgroup.
//!
//! Moving a process into a version 2 cgroup takes the kernel's lock over all forks, which costs a grace
//! period of several milliseconds; being born there costs nothing.
//!
//! **Invariant:** the calling process has one thread, so what a child finds in memory is whole.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

/// `CLONE_INTO_CGROUP` of `linux/sched.h`.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// What both sides of a clone get.
pub(super) struct Cloned {
    /// `None` in the child.
    pub child: Option<Pid>,
    /// Whether the child is in the cgroup that was asked for.
    pub in_cgroup: bool,
}

/// Like `fork`, with new namespaces by `flags`, and in the version 2 cgroup `cgroup` where the kernel
/// can do that.
pub(super) fn clone(flags: CloneFlags, cgroup: Option<&Path>) -> Result<Cloned, Errno> {
    let flags = flags.bits() as u64;
    if let Some(cgroup) = cgroup {
        match clone_into(flags, cgroup) {
            Ok(child) => return Ok(Cloned { child, in_cgroup: true }),
            // Kernels before 5.7, and filters that know no newer call.
            Err(Errno::ENOSYS | Errno::EINVAL | Errno::E2BIG) => {}
            Err(error) => return Err(error),
        }
    }
    let flags = flags | libc::SIGCHLD as u64;
    // SAFETY: without a stack of its own the child goes on as after a fork, in a copy of this memory.
    #[allow(unsafe_code)]
    let cloned = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    Ok(Cloned { child: pid(cloned)?, in_cgroup: false })
}

fn clone_into(flags: u64, cgroup: &Path) -> Result<Option<Pid>, Errno> {
    let opened = File::open(cgroup)
        .map_err(|error| error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))?;
    // SAFETY: plain numbers, for which zero means absent.
    #[allow(unsafe_code)]
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags | INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = opened.as_raw_fd() as u64;
    let size = std::mem::size_of::<libc::clone_args>();
    // SAFETY: as above; the arguments outlive the call.
    #[allow(unsafe_code)]
    let cloned = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&arguments), size) };
    pid(cloned)
}

fn pid(cloned: libc::c_long) -> Result<Option<Pid>, Errno> {
    let number = Errno::result(cloned)? as libc::pid_t;
    Ok((number != 0).then(|| Pid::from_raw(number)))
}
