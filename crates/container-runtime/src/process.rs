//! A process seen from outside, a shim or the first of a container: to wait for its end, to signal it, to
//! learn how it ended.
//!
//! **Invariant:** what is waited for or signalled is the process that was recorded, never a later one with
//! its number.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

use crate::protocol::wait_readable;
use crate::record::{ShimRecord, boot_id, start_ticks};

/// A process that was alive, or dead and not reaped, when this was made.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    held: OwnedFd,
}

impl Process {
    /// The shim of a record; `None` when it is gone.
    ///
    /// # Errors
    /// When the kernel gives no descriptor for a process that is there.
    pub fn shim(record: &ShimRecord) -> io::Result<Option<Process>> {
        Process::of(record, record.shim_pid, record.shim_start_ticks)
    }

    /// The first process of the container of a record; `None` when it is gone.
    ///
    /// # Errors
    /// As [`Process::shim`].
    pub fn container(record: &ShimRecord) -> io::Result<Option<Process>> {
        Process::of(record, record.container_pid, record.container_start_ticks)
    }

    fn of(record: &ShimRecord, pid: i32, ticks: u64) -> io::Result<Option<Process>> {
        if pid <= 0 {
            return Ok(None);
        }
        let held = match hold(pid) {
            Err(errno) if is_nobodys(errno) => return Ok(None),
            held => held?,
        };
        // After the descriptor: what has the start time now is what the descriptor means.
        let is_it = boot_id()? == record.boot_id && start_ticks(pid).is_ok_and(|now| now == ticks);
        Ok(is_it.then_some(Process { pid, held }))
    }

    /// Whether it ended within `timeout`. The files, the mounts and the control groups of a process that
    /// was reaped are let go by then: the kernel gives notice of an end last.
    ///
    /// # Errors
    /// When the kernel cannot wait.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        wait_readable(self.as_fd(), i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX))
    }

    /// Sends a signal by its number, which may have no name; a process that is gone is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        match signal_held(&self.held, number) {
            Err(Errno::ESRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// How it ended, as `wait` tells it, if it is dead and its parent has not asked yet.
    pub fn unreaped_status(&self) -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // Still not reaped after the text was read: it is the text of this process.
        signal_held(&self.held, 0).ok()?;
        unreaped_status(&stat)
    }

    /// The descriptor, readable when the process is gone.
    pub fn into_descriptor(self) -> OwnedFd {
        self.held
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.as_fd()
    }
}

/// Fields 3 and 52 of `/proc/<pid>/stat`: the state, and for a zombie its status. Source: proc(5); the
/// status shows to who may trace the process, as root may.
fn unreaped_status(stat: &str) -> Option<i32> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if !matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(48)?.parse().ok()
}

/// Whether the kernel gave no descriptor because no process has the number, see `pidfd_open(2)`.
///
/// Without flags `EINVAL` means that as well: the process was reaped while the kernel looked, or the number is
/// kept by others as that of their session or group, or is a thread's (`ENOENT` since Linux 6.16).
fn is_nobodys(errno: Errno) -> bool {
    matches!(errno, Errno::ESRCH | Errno::EINVAL | Errno::ENOENT)
}

/// A descriptor of the process that has this number now.
pub(crate) fn hold(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: a plain system call that returns a new descriptor.
    #[allow(unsafe_code)]
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let opened = Errno::result(opened)? as i32;
    // SAFETY: just opened, owned by nobody else.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

pub(crate) fn signal_held(process: &OwnedFd, number: i32) -> Result<(), Errno> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    let process = process.as_raw_fd();
    // SAFETY: a plain system call.
    #[allow(unsafe_code)]
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, number, nothing, 0) };
    Errno::result(sent).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::record::RECORD_VERSION;

    fn record(pid: i32) -> ShimRecord {
        let ticks = start_ticks(pid).unwrap();
        ShimRecord {
            version: RECORD_VERSION,
            boot_id: boot_id().unwrap(),
            shim_pid: pid,
            shim_start_ticks: ticks,
            container_pid: pid,
            container_start_ticks: ticks,
            protocol: 1,
        }
    }

    #[test]
    fn a_process_that_nobody_has_reaped_says_how_it_ended() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "read x; exit 7"]).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let record = record(child.id() as i32);
        let process = Process::container(&record).unwrap().unwrap();
        assert_eq!(process.unreaped_status(), None);
        drop(child.stdin.take());
        assert!(process.wait(Duration::from_secs(60)).unwrap());
        assert_eq!(process.unreaped_status(), Some(7 << 8));
        child.wait().unwrap();
        assert_eq!(process.unreaped_status(), None);
        assert!(Process::container(&record).unwrap().is_none());
        process.signal(libc::SIGKILL).unwrap();
    }

    /// What happens to a shim's number: the shim leads a session, and something of it may live on.
    #[test]
    fn a_number_that_is_only_a_sessions_is_nobody() {
        let mut command = Command::new("setsid");
        command.args(["/bin/sh", "-c", "sleep 60 >/dev/null & echo $!"]);
        let mut leader = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let record = record(leader.id() as i32);
        let mut member = String::new();
        std::io::Read::read_to_string(&mut leader.stdout.take().unwrap(), &mut member).unwrap();
        leader.wait().unwrap();
        assert!(Process::shim(&record).unwrap().is_none());
        let member = nix::unistd::Pid::from_raw(member.trim().parse().unwrap());
        nix::sys::signal::kill(member, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_number_that_another_process_has_now_is_nobody() {
        let mut other = record(std::process::id() as i32);
        assert!(Process::shim(&other).unwrap().is_some());
        other.shim_start_ticks += 1;
        assert!(Process::shim(&other).unwrap().is_none());
        other.container_pid = 0;
        assert!(Process::container(&other).unwrap().is_none());
    }
}
