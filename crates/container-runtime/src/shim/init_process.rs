//! The first process of a container with `initProcessEnabled`: forwards signals to the one child it
//! has, reaps what is orphaned to it, and ends as the child does.
//!
//! It is this binary, which the container must not reach: it stays undumpable, so that nobody in the
//! container without CAP_SYS_PTRACE may open its executable, and that is mounted read-only, see
//! `read_only_binary`.
//!
//! **Invariant:** it holds no descriptor but 0 to 2, and no capability the container has not.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::detach::close_from;

/// Called with all signals blocked.
pub(super) fn run(child: Pid) -> ! {
    if close_from(3).is_err() {
        std::process::exit(127);
    }
    loop {
        // SAFETY: fills in a number; all signals are blocked, as the call wants it.
        #[allow(unsafe_code)]
        let signal = unsafe {
            let mut signal = 0;
            libc::sigwait(SigSet::all().as_ref(), &mut signal);
            signal
        };
        if signal == Signal::SIGCHLD as i32 {
            reap(child);
        } else {
            // SAFETY: a plain system call. A child that is gone is seen at the next SIGCHLD.
            #[allow(unsafe_code)]
            unsafe {
                libc::kill(child.as_raw(), signal)
            };
        }
    }
}

/// Takes every dead child, and ends when it is the one.
fn reap(child: Pid) {
    loop {
        let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => 128 + signal as i32,
            Ok(WaitStatus::StillAlive) | Err(_) => return,
            Ok(_) => continue,
        };
        // SAFETY: ends the process; nothing of the shim's is to be run in here.
        #[allow(unsafe_code)]
        unsafe {
            libc::_exit(status)
        }
    }
}
