//! What a node reports of a task, into its row.

use outport_model::deployment::ServiceRevision;
use outport_model::service::Service;
use outport_model::task::{CONTAINER_REASON_LENGTH_MAX, ContainerStatus, Task, TaskContainer};
use outport_model::{DesiredStatus, NodeId, Owner, TaskStatus, TimestampMs};
use outport_node_protocol::{ContainerReport, TaskReport};
use outport_store::keys::{ServiceKey, ServiceRevisionKey};
use outport_store::{Row, Transaction};

use crate::node_health::release_address;

/// Of a runtime id or a digest: those that there are have 64 to 135 characters.
const IDENTIFIER_LENGTH_MAX: usize = 255;

/// Puts what the report changes. A task that is unknown or placed elsewhere is none of the node's
/// business: it is not in its assignment, so the node stops it.
pub fn take_in(tx: &mut Transaction<'_>, node: &NodeId, report: &TaskReport) {
    let Some(task) = tx.tasks.by_id(&report.task).cloned() else { return };
    if task.node.as_ref() != Some(node) {
        return;
    }
    let Some(next) = apply(&task, report, tx.now_ms()) else { return };
    remember_digests(tx, &next);
    if next.last_status >= TaskStatus::Stopped {
        release_address(tx, &next);
    }
    debug_assert_eq!(next.key(), task.key(), "a report keeps the key");
    tx.put(next);
}

/// The task as the report has it; `None` when the report is behind the row or says nothing new.
pub fn apply(task: &Task, report: &TaskReport, now_ms: TimestampMs) -> Option<Task> {
    if task.last_status >= TaskStatus::Stopped || report.status < task.last_status {
        return None;
    }
    let mut next = task.clone();
    if next.last_status == TaskStatus::Provisioning && report.status > TaskStatus::Provisioning {
        // The node has it: placement is done.
        advance(&mut next, Owner::Placement, TaskStatus::Pending);
    }
    advance(&mut next, Owner::Node, report.status);
    observe_times(&mut next, report, now_ms);
    for seen in &report.containers {
        if let Some(container) = next.containers.iter_mut().find(|c| c.name == seen.name) {
            observe_container(container, seen);
        }
    }
    if let (Some(stop), None) = (&report.stop, next.stop_code) {
        next.stop_code = Some(stop.code);
        next.stopped_reason = Some(cut(&stop.reason, CONTAINER_REASON_LENGTH_MAX));
        next.desired_status = DesiredStatus::Stopped;
    }
    if next.last_status > TaskStatus::Running {
        next.desired_status = DesiredStatus::Stopped;
    }
    if next.last_status == TaskStatus::Stopped {
        for container in &mut next.containers {
            container.last_status = ContainerStatus::Stopped;
        }
    }
    if next == *task {
        return None;
    }
    next.version += 1;
    Some(next)
}

fn advance(task: &mut Task, owner: Owner, next: TaskStatus) {
    if task.last_status.may_move(owner, next) {
        task.last_status = next;
    }
}

/// The first word on each time stands. A node's clock may be another than ours: nothing happens after
/// now nor before the task was made. When the task stopped is for us to say, as it is for AWS: what
/// stopped tasks are kept for counts from there, whatever the node's clock says.
fn observe_times(next: &mut Task, report: &TaskReport, now_ms: TimestampMs) {
    let created_at_ms = next.created_at_ms;
    let note = |time: &mut Option<TimestampMs>, seen: Option<TimestampMs>| {
        let possible = |seen_ms: TimestampMs| {
            if seen_ms < created_at_ms { now_ms } else { seen_ms.min(now_ms) }
        };
        if time.is_none() {
            *time = seen.map(possible);
        }
    };
    note(&mut next.pull_started_at_ms, report.pull_started_at_ms);
    note(&mut next.pull_stopped_at_ms, report.pull_stopped_at_ms);
    note(&mut next.connectivity_at_ms, report.connectivity_at_ms);
    note(&mut next.started_at_ms, report.started_at_ms);
    note(&mut next.stopping_at_ms, report.stopping_at_ms);
    note(&mut next.execution_stopped_at_ms, report.execution_stopped_at_ms);
    if next.last_status == TaskStatus::Running {
        note(&mut next.started_at_ms, Some(now_ms));
    }
    if next.last_status > TaskStatus::Running {
        note(&mut next.stopping_at_ms, Some(now_ms));
    }
    if next.last_status == TaskStatus::Stopped {
        note(&mut next.stopped_at_ms, Some(now_ms));
    }
}

fn observe_container(container: &mut TaskContainer, seen: &ContainerReport) {
    container.last_status = container.last_status.max(seen.status);
    let short = |text: &String| cut(text, IDENTIFIER_LENGTH_MAX);
    container.runtime_id = seen.runtime_id.as_ref().map(short).or(container.runtime_id.take());
    container.image_digest =
        seen.image_digest.as_ref().map(short).or(container.image_digest.take());
    container.exit_code = seen.exit_code.or(container.exit_code);
    let reason = seen.reason.as_ref().map(|text| cut(text, CONTAINER_REASON_LENGTH_MAX));
    container.reason = reason.or(container.reason.take());
}

fn cut(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).collect()
}

/// The first task of a deployment that has pulled an image decides what its tag means for the tasks
/// after it. Source: "Container image resolution".
fn remember_digests(tx: &mut Transaction<'_>, task: &Task) {
    let Some(member) = &task.service else { return };
    let key = ServiceKey::new(&task.scope, task.cluster.clone(), member.service.clone());
    let mut resolved = Vec::new();
    tx.update(&key, |service: &mut Service| {
        let mut deployments = service.deployments.iter_mut();
        let Some(deployment) = deployments.find(|d| d.id == member.deployment) else { return };
        for container in &task.containers {
            let Some(digest) = &container.image_digest else { continue };
            let known = deployment.image_digests.iter().any(|(image, _)| *image == container.image);
            if !known && !container.image.contains('@') {
                deployment.image_digests.push((container.image.clone(), digest.clone()));
            }
        }
        resolved.clone_from(&deployment.image_digests);
    });
    if resolved.is_empty() {
        return;
    }
    let revision = ServiceRevisionKey::new(
        &task.scope,
        task.cluster.clone(),
        member.service.clone(),
        member.deployment.clone(),
    );
    // Outlives the deployment: what ran is a question of later days.
    tx.update(&revision, |revision: &mut ServiceRevision| revision.image_digests = resolved);
}
