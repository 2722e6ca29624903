//! Executes this program again from a read-only mount, unless it was executed from one.
//!
//! What a container's first process runs until its exec, and with `initProcessEnabled` for good, is
//! this binary. A container may open it, as CVE-2019-5736 did with runc: as `/proc/self/exe` when that
//! is its entry point, or as `/proc/1/exe` with CAP_SYS_PTRACE. The mount through which it was executed
//! is then read-only, and in no mount namespace that a container can reach.
//!
//! **Invariant:** it happens before anything else of the shim, so that nothing has to be carried over.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStringExt;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::execve;

/// Returns only where the program cannot be written through its own link, or with an error.
pub(super) fn ensure() -> io::Result<()> {
    if statvfs("/proc/self/exe")?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(());
    }
    match execute_again()? {}
}

fn execute_again() -> io::Result<Infallible> {
    let binary = std::fs::read_link("/proc/self/exe")?;
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(Some(&binary), &binary, none, MsFlags::MS_BIND, none)?;
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, &binary, none, read_only, none)?;
    let c_string = |bytes: Vec<u8>| CString::new(bytes).map_err(io::Error::other);
    let path = c_string(binary.into_os_string().into_vec())?;
    let args: Vec<CString> =
        std::env::args_os().map(|arg| c_string(arg.into_vec())).collect::<Result<_, _>>()?;
    Ok(execve(&path, &args, &[] as &[CString])?)
}
