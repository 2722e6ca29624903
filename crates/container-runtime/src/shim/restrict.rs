//! What a container may only read, what it may not see, and its kernel parameters.
//!
//! **Invariant:** all of it is done while nothing but the kernel's own file systems lies below `/proc` and
//! `/sys`, and by opened files: a mask that cannot be made is a container that does not start. Only what
//! this kernel does not have is passed over.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::bundle;
use super::container_process::place;
use super::inside::Inside;
use super::root::{NONE, set_flags};
use crate::error::{FailureKind, StartFailure};
use crate::private;
use crate::spec::{ContainerSpec, Namespace};

/// Makes what Docker's default container may only read read-only, and hides what it may not see behind
/// `null`, or behind an empty directory.
pub(super) fn restrict(inside: &Inside, null: &OwnedFd) -> Result<(), StartFailure> {
    for path in bundle::READONLY_PATHS {
        read_only(inside, path).map_err(failed("make read-only", path))?;
    }
    for path in bundle::MASKED_PATHS {
        mask(inside, null, path).map_err(failed("mask", path))?;
    }
    Ok(())
}

fn read_only(inside: &Inside, path: &str) -> Result<(), Problem> {
    let Some(found) = inside.find_if_there(path)? else { return Ok(()) };
    let name = place(&found);
    mount(Some(name.as_str()), name.as_str(), NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
    let mounted = inside.find(path)?;
    Ok(set_flags(Path::new(&place(&mounted)), MsFlags::MS_RDONLY)?)
}

fn mask(inside: &Inside, null: &OwnedFd, path: &str) -> Result<(), Problem> {
    let Some(found) = inside.find_if_there(path)? else { return Ok(()) };
    let name = place(&found);
    if SFlag::from_bits_truncate(fstat(&found)?.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFDIR {
        let flags =
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        return Ok(mount(Some("tmpfs"), name.as_str(), Some("tmpfs"), flags, NONE)?);
    }
    Ok(mount(Some(place(null).as_str()), name.as_str(), NONE, MsFlags::MS_BIND, NONE)?)
}

/// Kernel parameters of an IPC namespace, beside all below `fs.mqueue`.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Sets parameters of the process's own namespaces. All others are the host's, and refused.
pub(super) fn set_kernel_parameters(
    inside: &Inside,
    spec: &ContainerSpec,
) -> Result<(), StartFailure> {
    for (name, value) in &spec.sysctls {
        let failure = |detail: &dyn std::fmt::Display| {
            let message = format!("write sysctl {name}: {detail}");
            StartFailure::new(FailureKind::InvalidSpec, message)
        };
        let parts: Vec<&str> = name.split(['.', '/']).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(failure(&"not a name of a kernel parameter"));
        }
        let (network, ipc) = (&spec.namespaces.network, &spec.namespaces.ipc);
        let is_own = match parts[0] {
            "net" => *network != Namespace::Host,
            _ if parts.starts_with(&["fs", "mqueue"]) => *ipc != Namespace::Host,
            _ => OF_IPC.contains(&parts.join(".").as_str()) && *ipc != Namespace::Host,
        };
        if !is_own {
            return Err(failure(&"not in a separate kernel namespace"));
        }
        let path = format!("/proc/sys/{}", parts.join("/"));
        let found = inside.find(&path).map_err(|error| failure(&error))?;
        private::set(Path::new(&place(&found)), value).map_err(|error| failure(&error))?;
    }
    Ok(())
}

/// Whether what is opened is the kernel's to read and write: nothing that a task chooses may cover it.
pub(super) fn is_on_proc(opened: &impl AsFd) -> Result<bool, Errno> {
    Ok(fstatfs(opened)?.filesystem_type() == PROC_SUPER_MAGIC)
}

/// Of the kernel, or of the way to a path.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Kernel(#[from] Errno),
    #[error(transparent)]
    Path(#[from] pathrs::error::Error),
}

fn failed(what: &str, path: &str) -> impl FnOnce(Problem) -> StartFailure {
    let message = format!("{what} {path}");
    move |error| StartFailure::new(FailureKind::Mount, format!("{message}: {error}"))
}
