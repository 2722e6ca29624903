//! Executes this program again from a read-only mount, for containers whose first process it stays.
//!
//! With `initProcessEnabled` a process of the container runs this binary, and a container with
//! CAP_SYS_PTRACE may open `/proc/1/exe`, as CVE-2019-5736 did to runc. The mount through which it was
//! executed is then read-only, and lies in a mount namespace that no container can reach.
//!
//! **Invariant:** it happens before anything else of the shim, so that nothing has to be carried over.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStringExt;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::execve;

/// Tells the second run from the first. The agent gives its shims an empty environment.
const MARK: &str = "OUTPORT_SHIM_READ_ONLY";

/// Returns only in the second run, or with an error.
pub(super) fn execute_again() -> io::Result<()> {
    if std::env::var_os(MARK).is_some() {
        return Ok(());
    }
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
    match execve(&path, &args, &[c_string(format!("{MARK}=1").into_bytes())?]) {
        Ok(never) => match never {},
        Err(error) => Err(error.into()),
    }
}
