//! What a node reports of a task, into its row.

use outport_model::deployment::ServiceRevision;
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::{NodeId, TimestampMs};
use outport_node_protocol::{ContainerReport, TaskReport};
use outport_planner::task_report::{
    ContainerObservation, Observed, ObservedTimes, TaskObservation, observe,
};
use outport_store::keys::{ServiceKey, ServiceRevisionKey};
use outport_store::{Tables, Transaction};

/// What comes of the report, if anything. A task that is unknown, over, or placed elsewhere is none of the node's business:
/// it is not in its assignment, so the node stops it.
pub fn news(
    tables: &Tables,
    node: &NodeId,
    report: &TaskReport,
    now_ms: TimestampMs,
) -> Option<Observed> {
    let task = tables.tasks.live_on_node(node).get(&report.task)?;
    observe(task, &observation(report), now_ms)
}

/// Writes down what comes of the report.
pub fn record_report(tx: &mut Transaction<'_>, node: &NodeId, report: &TaskReport) {
    let Some(observed) = news(tx, node, report, tx.now_ms()) else { return };
    remember_digests(tx, observed.task());
    match observed {
        Observed::Moved(task) => tx.put(*task),
        Observed::Ended(end) => tx.put_end(*end),
    }
}

fn observation(report: &TaskReport) -> TaskObservation<'_> {
    TaskObservation {
        status: report.status,
        containers: report.containers.iter().map(container).collect(),
        times: ObservedTimes {
            pull_started_at_ms: report.pull_started_at_ms,
            pull_stopped_at_ms: report.pull_stopped_at_ms,
            connectivity_at_ms: report.connectivity_at_ms,
            started_at_ms: report.started_at_ms,
            stopping_at_ms: report.stopping_at_ms,
            execution_stopped_at_ms: report.execution_stopped_at_ms,
        },
        stop: report.stop.as_ref().map(|stop| (stop.code, stop.reason.as_str())),
    }
}

fn container(report: &ContainerReport) -> ContainerObservation<'_> {
    ContainerObservation {
        name: &report.name,
        status: report.status,
        runtime_id: report.runtime_id.as_deref(),
        image_digest: report.image_digest.as_deref(),
        exit_code: report.exit_code,
        reason: report.reason.as_deref(),
        health: report.health.as_ref().map(|health| health.status),
    }
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
