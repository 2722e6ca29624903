//! Makes the container's first process: a child in namespaces of its own that prepares itself, says
//! that it is ready, and waits.
//!
//! ```text
//! shim                                    child
//! clone into the namespaces  ──────────→  cgroups, mounts, root, user, capabilities
//! byte read: created         ←── ready ─  program found
//! byte written: start        ──── go ──→  seccomp, exec
//! ```
//!
//! **Invariant:** the child never returns into the shim's code, and ends when the shim does before it
//! was let go.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::container_process::{self, Process};
use super::io_failure;
use crate::error::StartFailure;
use crate::spec::Namespace;

/// `CLONE_INTO_CGROUP` of `linux/sched.h`.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Gives the process, which waits, and the socket that lets it go. `None`: it could not be made and
/// has told why.
pub(super) fn launch(
    process: &Process<'_>,
    outputs: [OwnedFd; 2],
) -> Result<Option<(Pid, UnixStream)>, StartFailure> {
    let (mut gate, waiting) = UnixStream::pair().map_err(io_failure("make a socket pair"))?;
    // Neither the container nor who shares its pid namespace may look into this program's memory.
    nix::sys::prctl::set_dumpable(false).map_err(io_failure("protect the process"))?;
    let back = enter_pid_namespace(process)?;
    let cloned = clone(process);
    if let Some(own) = back {
        setns(own, CloneFlags::CLONE_NEWPID).map_err(io_failure("return to the pid namespace"))?;
    }
    let Cloned { child, in_cgroup } = cloned.map_err(io_failure("make a process"))?;
    let Some(child) = child else {
        container_process::run(process, outputs, waiting, gate.as_raw_fd(), in_cgroup)
    };
    drop((outputs, waiting));
    let mut ready = [0];
    match gate.read_exact(&mut ready) {
        Ok(()) => Ok(Some((child, gate))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            waitpid(child, None).map_err(io_failure("wait for the process"))?;
            Ok(None)
        }
        Err(error) => Err(io_failure("wait for the process")(error)),
    }
}

/// A pid namespace that exists is entered by the children of who joins it. Gives the way back.
fn enter_pid_namespace(process: &Process<'_>) -> Result<Option<File>, StartFailure> {
    let Namespace::Path(path) = &process.spec.namespaces.pid else { return Ok(None) };
    let own = File::open("/proc/self/ns/pid").map_err(io_failure("open the pid namespace"))?;
    let wanted = File::open(path).map_err(io_failure("open a pid namespace"))?;
    setns(wanted, CloneFlags::CLONE_NEWPID).map_err(io_failure("join a pid namespace"))?;
    Ok(Some(own))
}

struct Cloned {
    /// `None` in the child.
    child: Option<Pid>,
    in_cgroup: bool,
}

/// On version 2 the child is born in its cgroup: moving it there would take the kernel's lock over all
/// forks, which costs a grace period of several milliseconds.
fn clone(process: &Process<'_>) -> io::Result<Cloned> {
    let mut flags = CloneFlags::CLONE_NEWNS;
    let wanted = &process.spec.namespaces;
    for (namespace, flag) in [
        (&wanted.pid, CloneFlags::CLONE_NEWPID),
        (&wanted.ipc, CloneFlags::CLONE_NEWIPC),
        (&wanted.uts, CloneFlags::CLONE_NEWUTS),
    ] {
        if *namespace == Namespace::New {
            flags |= flag;
        }
    }
    let flags = flags.bits() as u64;
    if process.hierarchies.is_unified()
        && let Some((root, _)) = process.hierarchies.of("pids")
    {
        match clone_into(flags, &root.join(process.cgroup)) {
            Ok(child) => return Ok(Cloned { child, in_cgroup: true }),
            // Kernels before 5.7, and filters that know no newer call.
            Err(Errno::ENOSYS | Errno::EINVAL | Errno::E2BIG) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let flags = flags | libc::SIGCHLD as u64;
    // SAFETY: without a stack of its own the child goes on as after a fork; this process has one
    // thread, so what the child finds in memory is whole.
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
    // SAFETY: as for `clone` above; the arguments outlive the call.
    #[allow(unsafe_code)]
    let cloned = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&arguments), size) };
    pid(cloned)
}

fn pid(cloned: libc::c_long) -> Result<Option<Pid>, Errno> {
    let number = Errno::result(cloned)? as libc::pid_t;
    Ok((number != 0).then(|| Pid::from_raw(number)))
}
