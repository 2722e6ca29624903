//! A shim seen from outside, as a process: to wait for its end, or to end it.
//!
//! **Invariant:** what is waited for or killed is the shim that wrote the record, never a later process
//! with its number.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::protocol::wait_readable;
use crate::record::{ShimRecord, boot_id, start_ticks};

/// A shim that was alive when this was made.
#[derive(Debug)]
pub(crate) struct ShimProcess(OwnedFd);

impl ShimProcess {
    /// `None` when the shim is gone.
    ///
    /// # Errors
    /// When the kernel gives no descriptor for a process that is there.
    pub fn open(record: &ShimRecord) -> io::Result<Option<ShimProcess>> {
        let Some(pid) = Pid::from_raw(record.shim_pid) else { return Ok(None) };
        let opened = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            opened => opened?,
        };
        // After the descriptor: what has the shim's start time now is what the descriptor means.
        let is_shim = boot_id()? == record.boot_id
            && start_ticks(record.shim_pid).is_ok_and(|ticks| ticks == record.shim_start_ticks);
        Ok(is_shim.then_some(ShimProcess(opened)))
    }

    /// Whether it ended within `timeout`. Its files, its mounts and its control groups are let go by
    /// then: the kernel gives notice of an end last.
    ///
    /// # Errors
    /// When the kernel cannot wait.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        wait_readable(self.0.as_fd(), i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX))
    }

    /// SIGKILL; one that is gone is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.0, Signal::KILL) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            done => Ok(done?),
        }
    }
}
