//! What the log says of a task's life on this node.
//!
//! **Invariant:** every line that is written while a task is worked on is in the task's span, and so carries its ids.

use std::time::Duration;

use outport_node_protocol::{ContainerHealth, TaskAssignment, TaskReport};
use tracing::Span;

use super::host::ContainerExit;

/// Of all work for one task. At `ERROR`, so that no filter that lets a line through takes its ids away.
pub(crate) fn span(assignment: &TaskAssignment) -> Span {
    let TaskAssignment { task, family, revision, cluster, .. } = assignment;
    tracing::error_span!(
        parent: None,
        "task",
        %task,
        definition = %format_args!("{family}:{revision}"),
        %cluster,
    )
}

pub(super) fn launching(assignment: &TaskAssignment) {
    tracing::info!(
        event = "task_launching",
        task = %assignment.task,
        containers = assignment.containers.len(),
        "a task is launched"
    );
}

pub(super) fn running(report: &TaskReport, took: Duration) {
    tracing::info!(event = "task_running", task = %report.task, took_ms = millis(took), "a task is RUNNING");
}

pub(super) fn container_exited(report: &TaskReport, container: &str, exit: &ContainerExit) {
    tracing::info!(
        event = "container_exited",
        task = %report.task,
        container,
        exit_code = exit.exit_code,
        reason = exit.reason,
        "a container has exited"
    );
}

pub(super) fn health_changed(report: &TaskReport, container: &str, health: &ContainerHealth) {
    tracing::info!(
        event = "container_health_changed",
        task = %report.task,
        container,
        health = health.status.as_str(),
        exit_code = health.exit_code,
        "the health of a container has changed"
    );
}

/// Without code and reason the control plane asked for it, and knows why.
pub(super) fn stopped(report: &TaskReport) {
    let cause = report.stop.as_ref();
    tracing::info!(
        event = "task_stopped",
        task = %report.task,
        stop_code = cause.map(|cause| cause.code.as_str()),
        reason = cause.map(|cause| cause.reason.as_str()),
        "a task is STOPPED"
    );
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
