//! Runs an [`ExecPlan`] where the process is prepared: in its namespaces and root, as its user, with
//! its bounding set.
//!
//! **Invariant:** between the last capability dropped and the exec nothing runs but this file, and
//! what is executed holds exactly the plan's capabilities under the plan's filter.

use std::convert::Infallible;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, execve, fork};

use super::capabilities::Capabilities;
use super::exec_plan::ExecPlan;
use super::init_process;
use super::supervise::SIGNAL_MAX;
use crate::error::{FailureKind, StartFailure};

const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

impl ExecPlan {
    pub fn become_container(&self) -> Result<Infallible, StartFailure> {
        let program = self.find_program()?;
        let failed = |what: &'static str| {
            move |error: Errno| StartFailure::new(FailureKind::Other, format!("{what}: {error}"))
        };
        default_signals().map_err(failed("reset signals"))?;
        if let Some(filter) = &self.seccomp {
            load(filter).map_err(failed("load the seccomp profile"))?;
        }
        hold_only(self.capabilities).map_err(failed("drop capabilities"))?;
        if self.with_init {
            let all = SigSet::all();
            all.thread_set_mask().map_err(failed("block signals"))?;
            // SAFETY: the process has one thread.
            #[allow(unsafe_code)]
            match unsafe { fork() }.map_err(failed("fork"))? {
                ForkResult::Parent { child } => init_process::run(child),
                ForkResult::Child => {}
            }
        }
        SigSet::empty().thread_set_mask().map_err(failed("unblock signals"))?;
        match execve(&program, &self.args, &self.env) {
            Ok(never) => Ok(never),
            Err(error) => Err(ExecPlan::refused(&program, error)),
        }
    }
}

/// The language's start-up ignores SIGPIPE, who started the agent may have ignored others, and an ignored
/// signal stays so through an exec. The C library would keep two to itself.
fn default_signals() -> Result<(), Errno> {
    /// The kernel's `struct sigaction` on every architecture is no longer; zero is the default.
    const ACTION: [u64; 4] = [0; 4];
    const SET_BYTES: usize = 8;
    for signal in 1..=SIGNAL_MAX {
        if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
            continue;
        }
        let (action, no_old) = (ACTION.as_ptr(), std::ptr::null_mut::<u64>());
        // SAFETY: no handler is installed; the action outlives the call.
        #[allow(unsafe_code)]
        let set =
            unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action, no_old, SET_BYTES) };
        Errno::result(set)?;
    }
    Ok(())
}

fn load(filter: &[libc::sock_filter]) -> Result<(), Errno> {
    let program = libc::sock_fprog {
        len: filter.len() as libc::c_ushort,
        // The kernel only reads it.
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the program and its instructions outlive the call.
    #[allow(unsafe_code)]
    let loaded = unsafe {
        let program = std::ptr::from_ref(&program);
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program)
    };
    Errno::result(loaded).map(|_| ())
}

/// Effective and permitted become `set`; inheritable, and with it ambient, becomes empty.
pub(super) fn hold_only(set: Capabilities) -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let header = Header { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |bits: u64| Sets { effective: bits as u32, permitted: bits as u32, inheritable: 0 };
    let sets = [half(set.0), half(set.0 >> 32)];
    // SAFETY: both are laid out as version 3 of the call says and outlive it.
    #[allow(unsafe_code)]
    let done =
        unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), sets.as_ptr()) };
    Errno::result(done).map(|_| ())
}
