//! Which tasks count as healthy, and which are sick and to be replaced.
//!
//! | the task has | healthy | sick |
//! |---|---|---|
//! | health checks of essential containers | HEALTHY | UNHEALTHY, once the grace period is over |
//! | none | 40 s after RUNNING ([`crate::Settings::healthy_after_ms`]) | never |
//!
//! Sources: botocore's documentation of `minimumHealthyPercent` and of `healthCheckGracePeriodSeconds`.

use outport_model::TimestampMs;
use outport_model::task::{HealthStatus, Task};

use super::Scene;

/// Why a sick task is stopped: its `stoppedReason`.
pub(super) const FAILED_CHECKS: &str = "Task failed container health checks";

/// Counts for the floor of healthy tasks.
pub(super) fn is_healthy(task: &Task, scene: &Scene<'_>) -> bool {
    let is_over = |started_ms| scene.now.is_over(started_ms, scene.settings.healthy_after_ms);
    task.is_running()
        && match task.health {
            Some(health) => health == HealthStatus::Healthy,
            None => task.started_at_ms.is_some_and(is_over),
        }
}

/// Is to be replaced though it runs.
pub(super) fn is_sick(task: &Task, scene: &Scene<'_>) -> bool {
    let is_over = |started_ms| scene.now.is_over(started_ms, grace_ms(scene));
    is_unhealthy(task) && task.started_at_ms.is_none_or(is_over)
}

fn is_unhealthy(task: &Task) -> bool {
    task.is_running() && task.health == Some(HealthStatus::Unhealthy)
}

fn grace_ms(scene: &Scene<'_>) -> i64 {
    i64::from(scene.service.health_check_grace_period_s.unwrap_or(0)) * 1_000
}

/// When time alone makes the task healthy, or sick.
pub(super) fn changes_at_ms(task: &Task, scene: &Scene<'_>) -> Option<TimestampMs> {
    let life_ms = match task.health {
        None => scene.settings.healthy_after_ms,
        Some(_) if is_unhealthy(task) => grace_ms(scene),
        Some(_) => return None,
    };
    let at_ms = task.started_at_ms.map(|started_ms| scene.now.over_at_ms(started_ms, life_ms));
    at_ms.filter(|at_ms| *at_ms > scene.now.wall_ms)
}

/// Whether it was stopped for it.
pub(super) fn was_sick(task: &Task) -> bool {
    task.stopped_reason.as_deref() == Some(FAILED_CHECKS)
}
