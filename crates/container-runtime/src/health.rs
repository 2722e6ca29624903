//! Whether a container is healthy: what is asked of it, what its checks have said so far, and what follows from one more.
//!
//! | status | a check | becomes |
//! |---|---|---|
//! | any | passes | Healthy, no failures in a row |
//! | Unknown | fails, begun within the start period | Unknown: it does not count |
//! | any | fails as the `retries`th in a row | Unhealthy |
//! | any | fails before that | as it was |
//!
//! Source: botocore's documentation of `HealthCheck`, and Docker's `HEALTHCHECK`, which AWS refers to.
//!
//! **Invariant:** what follows from a check is decided here and nowhere else, and [`Health::changes`] grows with each change of
//! the status: who knows the number knows the status.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use outport_model::task::HealthStatus;
use serde::{Deserialize, Serialize};

use crate::error::RuntimeError;
use crate::handle::ShimHandle;
use crate::protocol::{Received, Response, receive};

/// What is kept of the output of a check, bytes; as Docker.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4096;
/// What Docker says of a check that was not over in time.
pub(crate) const NO_EXIT_CODE: i32 = -1;

/// A command that is run in the container, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The whole command line. Never empty.
    pub command: Vec<String>,
    /// Seconds from the start to the first check, and from the end of each to the next.
    pub interval_s: u32,
    /// Seconds after which a check that is not over has failed, and all of it is killed.
    pub timeout_s: u32,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Seconds from the start within which a failure does not count while no check has passed.
    #[serde(default)]
    pub start_period_s: u32,
}

/// How one check went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// 0: passed. 128 plus the signal that ended it; -1 when it was not over in time or could not be run.
    pub exit_code: i32,
    /// The first 4,096 bytes of what it wrote, or why it could not be run.
    #[serde(default)]
    pub output: String,
}

/// What the checks of a container have said so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    /// How often the status has changed.
    pub changes: u64,
    /// When it changed last, milliseconds since the epoch.
    #[serde(default)]
    pub since_ms: u64,
    /// Failures in a row that count.
    #[serde(default)]
    pub failures: u32,
    /// Of the last check that was over.
    #[serde(default)]
    pub last: Option<CheckResult>,
}

impl Health {
    /// What it is after one more check, begun so long after the start of the container.
    #[must_use]
    pub(crate) fn after(
        &self,
        check: &HealthCheck,
        result: CheckResult,
        begun_after: Duration,
        now_ms: u64,
    ) -> Health {
        let passed = result.exit_code == 0;
        let is_young = self.status == HealthStatus::Unknown
            && begun_after < Duration::from_secs(check.start_period_s.into());
        let failures = match (passed, is_young) {
            (true, _) => 0,
            (false, true) => self.failures,
            (false, false) => self.failures.saturating_add(1),
        };
        let status = match passed {
            true => HealthStatus::Healthy,
            false if failures > 0 && failures >= check.retries => HealthStatus::Unhealthy,
            false => self.status,
        };
        let is_change = status != self.status;
        Health {
            status,
            changes: self.changes + u64::from(is_change),
            since_ms: if is_change { now_ms } else { self.since_ms },
            failures,
            last: Some(result),
        }
    }
}

/// A wait for a change of a container's health: its descriptor becomes readable once.
#[derive(Debug)]
pub struct HealthWait {
    pub(crate) handle: ShimHandle,
    pub(crate) told_by: OwnedFd,
}

impl HealthWait {
    /// The health, once the descriptor is readable; before that it waits as long as a shim may take to answer.
    ///
    /// # Errors
    /// [`RuntimeError::ShimGone`] when the container is over; [`RuntimeError::Protocol`] when it has no health check.
    pub fn take(self) -> Result<Health, RuntimeError> {
        match receive(self.told_by.as_fd()) {
            Ok(Some(Received { message: Response::Health(health), .. })) => Ok(health),
            Ok(Some(Received { message, .. })) => Err(self.handle.unexpected(&message)),
            Ok(None) => Err(self.handle.ended("the connection ended")),
            Err(error) => Err(self.handle.gone(&error)),
        }
    }
}

impl AsFd for HealthWait {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told_by.as_fd()
    }
}

impl std::os::fd::AsRawFd for HealthWait {
    fn as_raw_fd(&self) -> i32 {
        self.told_by.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks as `second:exit code`, the second of their beginning after the start; with each what the status is after
    /// it. Three retries, and a start period of 10 seconds.
    #[track_caller]
    fn check(checks: &[(&str, HealthStatus)]) {
        let wanted = HealthCheck {
            command: vec!["true".to_owned()],
            interval_s: 5,
            timeout_s: 2,
            retries: 3,
            start_period_s: 10,
        };
        let mut health = Health::default();
        let mut changes = 0;
        for (index, (text, expected)) in checks.iter().enumerate() {
            let (second, exit_code) = text.split_once(':').unwrap();
            let second: u64 = second.parse().unwrap();
            let result = CheckResult { exit_code: exit_code.parse().unwrap(), output: "o".into() };
            changes += u64::from(health.status != *expected);
            let (before, now_ms) = (health.since_ms, second * 1000);
            let is_change = health.status != *expected;
            health = health.after(&wanted, result.clone(), Duration::from_secs(second), now_ms);
            assert_eq!(health.status, *expected, "check {index}, {text}");
            assert_eq!(health.changes, changes, "check {index}, {text}");
            assert_eq!(health.since_ms, if is_change { now_ms } else { before });
            assert_eq!(health.last, Some(result));
        }
    }

    #[test]
    fn what_follows_from_checks() {
        use HealthStatus::{Healthy as H, Unhealthy as U, Unknown as K};
        check(&[("5:0", H), ("10:0", H)]);
        // Failures of the start period do not count.
        check(&[("1:1", K), ("4:1", K), ("9:1", K), ("10:1", K), ("15:1", K), ("20:1", U)]);
        // A check that passes makes it healthy at once, and ends the start period.
        check(&[("1:1", K), ("2:0", H), ("3:1", H), ("4:1", H), ("5:1", U)]);
        // Only failures in a row make it unhealthy, of whatever kind.
        check(&[("10:1", K), ("15:-1", K), ("20:0", H), ("25:137", H), ("30:1", H), ("35:0", H)]);
        // It becomes healthy again at the first that passes.
        check(&[("10:1", K), ("15:1", K), ("20:1", U), ("25:1", U), ("30:0", H), ("35:2", H)]);
    }
}
