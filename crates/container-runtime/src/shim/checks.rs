//! When the health checks of a container run, and what becomes of each.
//!
//! | step | moves on when | to |
//! |---|---|---|
//! | Idle | the container runs | Waits |
//! | Waits | the interval is over | Runs, or Clears where it could not be run |
//! | Runs | the process is reaped, or the timeout is over: that is its result | Clears |
//! | Clears | all in its control group is killed, and gone | Waits |
//!
//! The kernel kills all of a container before its first process shows as dead: what SIGKILL has ended counts only when the
//! container runs a moment later.
//!
//! **Invariant:** no check begins before nothing is left of the one before, and nothing here waits: the loop of the shim
//! goes on meanwhile. The end of the container ends a check with all else of it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::allowance::Allowance;
use super::finish::KILLED_STATUS;
use super::ids::Ids;
use super::probe::Probe;
use super::user::User;
use crate::cgroup::Hierarchies;
use crate::error::StartFailure;
use crate::health::{CheckResult, Health, HealthCheck, NO_EXIT_CODE, OUTPUT_BYTES_MAX};
use crate::record::now_ms;
use crate::runtime::Intent;

/// First pause before what is left of a check is killed again; doubles up to the last.
const CLEAR_PAUSE_FIRST: Duration = Duration::from_millis(2);
const CLEAR_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the container must run after the SIGKILL of a check for that to be a result.
const KILLED_GRACE: Duration = Duration::from_millis(200);
/// One read of what a check writes.
const READ_BYTES: usize = 4096;

pub(super) struct Checks {
    check: HealthCheck,
    probe: Probe,
    step: Step,
    /// Since when the container runs, once it does.
    started: Option<Instant>,
    health: Health,
}

enum Step {
    Idle,
    Waits(Instant),
    Runs(Run),
    Clears { next: Instant, again: Instant, pause: Duration },
}

struct Run {
    process: Pid,
    output: File,
    /// Whether that is at its end.
    is_silent: bool,
    kept: Vec<u8>,
    begun: Instant,
    /// SIGKILL has ended it: when that is its result.
    killed: Option<Instant>,
}

impl Checks {
    /// Of a container that has some.
    pub fn new(intent: &Intent, user: &User, ids: &Ids) -> Result<Option<Checks>, StartFailure> {
        let Some(check) = intent.spec.health_check.clone() else { return Ok(None) };
        let probe = Probe::new(intent, &check, user, ids)?;
        let (step, started, health) = (Step::Idle, None, Health::default());
        Ok(Some(Checks { check, probe, step, started, health }))
    }

    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The container runs.
    pub fn begin(&mut self, now: Instant) {
        self.started = Some(now);
        self.step = Step::Waits(now + self.interval());
    }

    /// When there is something to do without an event.
    pub fn due(&self) -> Option<Instant> {
        match &self.step {
            Step::Idle => None,
            Step::Waits(next) => Some(*next),
            Step::Runs(Run { killed: Some(result), .. }) => Some(*result),
            Step::Runs(run) => Some(run.begun + self.timeout()),
            Step::Clears { again, .. } => Some(*again),
        }
    }

    /// Where a check writes, while it does.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        match &self.step {
            Step::Runs(run) if !run.is_silent => Some(run.output.as_fd()),
            _ => None,
        }
    }

    /// Does what is due.
    pub fn act(&mut self, intent: &Intent, hierarchies: &Hierarchies, init: Pid, now: Instant) {
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.step {
            Step::Idle => {}
            Step::Waits(_) => match self.probe.launch(intent, hierarchies, init) {
                Ok((process, output)) => {
                    let (is_silent, kept, begun, killed) = (false, Vec::new(), now, None);
                    let run = Run { process, output, is_silent, kept, begun, killed };
                    self.step = Step::Runs(run);
                }
                Err(failure) => {
                    let result = CheckResult { exit_code: NO_EXIT_CODE, output: failure.message };
                    self.conclude(result, now, now);
                }
            },
            Step::Runs(run) if run.killed.is_some() => {
                let (output, begun) = (run.text(), run.begun);
                self.conclude(CheckResult { exit_code: KILLED_STATUS, output }, begun, now);
            }
            Step::Runs(run) => {
                let seconds = self.check.timeout_s;
                let output = format!("Health check exceeded timeout ({seconds}s): {}", run.text());
                let begun = run.begun;
                // It may not have come as far as into its group; gone already is as good.
                let _ = kill(run.process, Signal::SIGKILL);
                self.conclude(CheckResult { exit_code: NO_EXIT_CODE, output }, begun, now);
            }
            Step::Clears { .. } => {}
        }
        if let Step::Clears { next, again, pause } = &mut self.step {
            if Probe::group(intent, hierarchies).kill_if_any() {
                self.step = Step::Waits(*next);
            } else {
                *again = now + *pause;
                *pause = (*pause * 2).min(CLEAR_PAUSE_MAX);
            }
        }
    }

    /// Takes what a check has written, on the container's account: no more is kept than can be shown, and the rest is
    /// read so that the check goes on.
    pub fn read(&mut self, allowance: &mut Allowance) {
        if let Step::Runs(run) = &mut self.step {
            run.read(allowance);
        }
    }

    /// A child of this process is dead, perhaps the check that runs.
    pub fn reaped(&mut self, status: WaitStatus, allowance: &mut Allowance, now: Instant) {
        let Step::Runs(run) = &mut self.step else { return };
        let exit_code = match status {
            WaitStatus::Exited(pid, code) if pid == run.process => code,
            WaitStatus::Signaled(pid, signal, _) if pid == run.process => 128 + signal as i32,
            _ => return,
        };
        // What it has written last; whoever else holds its output is killed in a moment.
        while !run.is_silent && run.kept.len() < OUTPUT_BYTES_MAX && run.read(allowance) {}
        if matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)) {
            run.killed = Some(now + KILLED_GRACE);
            return;
        }
        let (output, begun) = (run.text(), run.begun);
        self.conclude(CheckResult { exit_code, output }, begun, now);
    }

    fn conclude(&mut self, result: CheckResult, begun: Instant, now: Instant) {
        let after = self.started.map_or(Duration::ZERO, |started| begun - started);
        self.health = self.health.after(&self.check, result, after, now_ms());
        let (next, again, pause) = (now + self.interval(), now, CLEAR_PAUSE_FIRST);
        self.step = Step::Clears { next, again, pause };
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(self.check.interval_s.into())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.check.timeout_s.into())
    }
}

impl Run {
    /// One read; whether there was something.
    fn read(&mut self, allowance: &mut Allowance) -> bool {
        let mut part = [0; READ_BYTES];
        match self.output.read(&mut part) {
            Ok(length) => {
                self.is_silent = length == 0;
                let room = OUTPUT_BYTES_MAX - self.kept.len();
                self.kept.extend_from_slice(&part[..length.min(room)]);
                allowance.spend(length as u64, 0);
                length > 0
            }
            Err(error) => {
                self.is_silent =
                    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
                false
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}
