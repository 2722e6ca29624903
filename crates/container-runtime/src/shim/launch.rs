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

use nix::sched::{CloneFlags, setns};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::clone::{Cloned, clone};
use super::container_process::{self, Process};
use super::io_failure;
use crate::error::StartFailure;
use crate::spec::Namespace;

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
    let cloned = clone_process(process);
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

fn clone_process(process: &Process<'_>) -> io::Result<Cloned> {
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
    let version_2 = match process.spec.kept_from_metadata {
        true => process.hierarchies.version_2(),
        false => process.hierarchies.version_2_of_containers(),
    };
    let cgroup = version_2.map(|root| root.join(process.cgroup));
    Ok(clone(flags, cgroup.as_deref())?)
}
