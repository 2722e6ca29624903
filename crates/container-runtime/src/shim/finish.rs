//! The end of a shim: the exit record, the news of it, and nothing left behind.
//!
//! **Invariant:** who is told of the end finds the record, and every line of the log, in their files.
//!
//! Nothing is flushed: what an agent needs survives the agent. After a crash of the host its tasks are
//! over in any case, and one whose record was lost with it is reported without an exit code.

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use super::supervise::{Phase, Supervisor, never_started};
use crate::record::{ExitRecord, RECORD_VERSION, now_ms, write_exit};

/// 128 and SIGKILL: what a shell makes of a child that was killed.
pub(super) const KILLED_STATUS: i32 = 137;

/// Gives the shim's exit status.
pub(super) fn finish(mut shim: Supervisor) -> i32 {
    let Phase::Ended { status, .. } = shim.phase else { return 1 };
    // Before the cgroup goes, and the count with it.
    let oom_kill_count = shim.cgroup().oom_kills();
    let dropped_log_lines = shim.log.finish();
    let end = End {
        status,
        oom_kill_count,
        kill_requested: shim.kill_requested,
        started_at_ms: shim.started_at_ms,
    };
    let mut record = end.record(now_ms(), dropped_log_lines);
    if record.started_at_ms.is_none() {
        record.start_failure = Some(shim.start_failure.clone().unwrap_or_else(never_started));
    }
    // Where the disk is full, memory has room.
    let written = write_exit(&shim.intent.container_dir, &shim.intent.run_dir, &record);
    shim.tell_end(&record);
    // What stays is found and removed by the agent.
    let _ = shim.cgroup().remove();
    i32::from(!written)
}

/// What is known of the end.
#[derive(Debug, Clone, Copy)]
struct End {
    status: WaitStatus,
    oom_kill_count: u64,
    kill_requested: bool,
    started_at_ms: Option<u64>,
}

impl End {
    fn record(self, finished_at_ms: u64, dropped_log_lines: u64) -> ExitRecord {
        let (exit_code, signal) = match self.status {
            WaitStatus::Exited(_, code) => (code, None),
            WaitStatus::Signaled(_, signal, _) => (128 + signal as i32, Some(signal as i32)),
            // Nothing else is an end.
            _ => (255, None),
        };
        let died_of_kill = signal == Some(Signal::SIGKILL as i32) || exit_code == KILLED_STATUS;
        let started = self.started_at_ms.is_some();
        ExitRecord {
            version: RECORD_VERSION,
            exit_code: started.then_some(exit_code),
            signal: signal.filter(|_| started),
            oom_killed: died_of_kill && self.oom_kill_count > 0 && !self.kill_requested,
            oom_kill_count: self.oom_kill_count,
            kill_requested: self.kill_requested,
            started_at_ms: self.started_at_ms,
            finished_at_ms,
            start_failure: None,
            dropped_log_lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::Pid;

    #[track_caller]
    fn check(status: WaitStatus, ooms: u64, kill: bool, expected: (Option<i32>, bool)) {
        let end =
            End { status, oom_kill_count: ooms, kill_requested: kill, started_at_ms: Some(1) };
        let record = end.record(2, 0);
        assert_eq!((record.exit_code, record.oom_killed), expected, "{end:?}");
    }

    #[test]
    fn memory_is_blamed_only_for_a_death_it_caused() {
        let exited = |code| WaitStatus::Exited(Pid::from_raw(1), code);
        let killed = WaitStatus::Signaled(Pid::from_raw(1), Signal::SIGKILL, false);
        check(exited(0), 0, false, (Some(0), false));
        check(killed, 1, false, (Some(137), true));
        check(killed, 0, false, (Some(137), false));
        check(killed, 1, true, (Some(137), false));
        check(exited(0), 1, false, (Some(0), false));
        check(exited(1), 3, false, (Some(1), false));
        check(exited(137), 1, false, (Some(137), true));
        let term = WaitStatus::Signaled(Pid::from_raw(1), Signal::SIGTERM, false);
        check(term, 1, false, (Some(143), false));
    }
}
