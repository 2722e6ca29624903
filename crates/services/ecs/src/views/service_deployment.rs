//! Service deployments and service revisions: the history of a service.

use outport_aws_ecs as wire;
use outport_model::deployment::{
    Deployment, HookRun, Progress, ServiceDeployment, ServiceDeploymentStatus, ServiceRevision,
};
use outport_model::deployment_configuration::{HookAction, LifecycleStage};
use outport_model::service::Service;
use outport_model::task_definition::ReadWorkload;
use outport_model::{Arn, DeploymentId, Family, Revision};
use outport_store::Tables;
use outport_store::keys::{ServiceKey, TaskDefinitionKey};

use super::service::desired_count;
use super::{count, timestamp};
use crate::deployment_strategy;
use crate::task_definition::Workloads;

/// How the `statusReason` of a roll-out begins that the circuit breaker gave up.
const TRIPPED: &str = "ECS deployment circuit breaker:";

/// An entry of ListServiceDeployments.
pub fn brief(row: &ServiceDeployment) -> wire::ServiceDeploymentBrief {
    wire::ServiceDeploymentBrief {
        service_deployment_arn: Some(arn(row)),
        service_arn: Some(Arn::service_of(&row.scope, &row.cluster, &row.service).to_string()),
        cluster_arn: Some(Arn::cluster(&row.scope, &row.cluster).to_string()),
        started_at: timestamp(row.started_at_ms),
        created_at: timestamp(Some(row.created_at_ms)),
        finished_at: timestamp(row.finished_at_ms),
        target_service_revision_arn: Some(revision_arn(row, &row.target_revision)),
        status: status(row.status),
        status_reason: row.status_reason.clone(),
    }
}

/// A service deployment as DescribeServiceDeployments shows it.
pub fn view(tables: &Tables, row: &ServiceDeployment) -> wire::ServiceDeployment {
    let summary = |id: &DeploymentId| summary(tables, row, id);
    wire::ServiceDeployment {
        service_deployment_arn: Some(arn(row)),
        service_arn: Some(Arn::service_of(&row.scope, &row.cluster, &row.service).to_string()),
        cluster_arn: Some(Arn::cluster(&row.scope, &row.cluster).to_string()),
        created_at: timestamp(Some(row.created_at_ms)),
        started_at: timestamp(row.started_at_ms),
        finished_at: timestamp(row.finished_at_ms),
        updated_at: timestamp(Some(row.updated_at_ms)),
        source_service_revisions: Some(row.source_revisions.iter().map(summary).collect()),
        target_service_revision: Some(summary(&row.target_revision)),
        status: status(row.status),
        status_reason: row.status_reason.clone(),
        rollback: rollback(row),
        deployment_configuration: super::stored(&row.configuration),
        deployment_circuit_breaker: Some(circuit_breaker(tables, row)),
        lifecycle_stage: row.progress.as_ref().and_then(lifecycle_stage),
        lifecycle_hook_details: row
            .progress
            .as_ref()
            .map(|progress| progress.hooks.iter().map(hook).collect()),
        alarms: Some(wire::ServiceDeploymentAlarms {
            status: Some(wire::ServiceDeploymentRollbackMonitorsStatus::Disabled),
            ..wire::ServiceDeploymentAlarms::default()
        }),
        ..wire::ServiceDeployment::default()
    }
}

/// Where a roll-out that failed or was stopped goes back to, and why.
fn rollback(row: &ServiceDeployment) -> Option<wire::Rollback> {
    is_rolled_back(row.status).then(|| wire::Rollback {
        reason: row.status_reason.clone(),
        started_at: timestamp(row.rollback_started_at_ms),
        service_revision_arn: row.source_revisions.first().map(|id| revision_arn(row, id)),
    })
}

fn is_rolled_back(status: ServiceDeploymentStatus) -> bool {
    match status {
        ServiceDeploymentStatus::RollbackRequested
        | ServiceDeploymentStatus::RollbackInProgress
        | ServiceDeploymentStatus::RollbackSuccessful
        | ServiceDeploymentStatus::RollbackFailed => true,
        ServiceDeploymentStatus::Pending
        | ServiceDeploymentStatus::InProgress
        | ServiceDeploymentStatus::Successful
        | ServiceDeploymentStatus::Stopped
        | ServiceDeploymentStatus::StopRequested => false,
    }
}

/// `arn:…:service-deployment/cluster/service/id`.
pub fn arn(row: &ServiceDeployment) -> String {
    Arn::service_deployment(&row.scope, &row.cluster, &row.service, &row.id).to_string()
}

fn revision_arn(row: &ServiceDeployment, id: &DeploymentId) -> String {
    Arn::service_revision(&row.scope, &row.cluster, &row.service, id).to_string()
}

fn status(status: ServiceDeploymentStatus) -> Option<wire::ServiceDeploymentStatus> {
    wire::ServiceDeploymentStatus::from_name(status.as_str())
}

fn summary(
    tables: &Tables,
    row: &ServiceDeployment,
    id: &DeploymentId,
) -> wire::ServiceRevisionSummary {
    let key = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
    let counts = tables.tasks.counts_of_deployment(&key, id);
    let service = tables.services.get(&key);
    let deployment = service
        .and_then(|service| service.deployments.iter().find(|deployment| deployment.id == *id));
    let requested = service
        .zip(deployment)
        .map(|(service, deployment)| desired_count(service, deployment, counts));
    let (test, production) = traffic(row, id, deployment);
    wire::ServiceRevisionSummary {
        arn: Some(revision_arn(row, id)),
        requested_task_count: count(requested.unwrap_or(0)),
        running_task_count: count(counts.running),
        pending_task_count: count(counts.pending),
        requested_test_traffic_weight: test,
        requested_production_traffic_weight: production,
    }
}

fn circuit_breaker(
    tables: &Tables,
    row: &ServiceDeployment,
) -> wire::ServiceDeploymentCircuitBreaker {
    use wire::ServiceDeploymentRollbackMonitorsStatus as Monitor;
    let key = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
    let service = tables.services.get(&key).map(|service| &**service);
    let configuration: wire::DeploymentConfiguration =
        super::stored(&row.configuration).unwrap_or_default();
    let is_enabled = configuration.deployment_circuit_breaker.and_then(|breaker| breaker.enable);
    let has_tripped =
        row.status_reason.as_deref().is_some_and(|reason| reason.starts_with(TRIPPED));
    let is_finished = row.finished_at_ms.is_some();
    let threshold = threshold(service);
    let status = match (is_enabled == Some(true), has_tripped) {
        (false, _) => Monitor::Disabled,
        (true, true) => Monitor::Triggered,
        (true, false) if is_finished => Monitor::MonitoringComplete,
        (true, false) => Monitor::Monitoring,
    };
    let failures = service.and_then(|service| {
        let mut deployments = service.deployments.iter();
        Some(deployments.find(|deployment| deployment.id == row.target_revision)?.failed_tasks)
    });
    // The deployment of a roll-out that was given up goes with its last task; it takes this many to be given up.
    let failures = failures.unwrap_or(if has_tripped { threshold } else { 0 });
    wire::ServiceDeploymentCircuitBreaker {
        status: Some(status),
        failure_count: i32::try_from(failures).ok(),
        threshold: i32::try_from(threshold).ok(),
    }
}

fn threshold(service: Option<&Service>) -> u32 {
    let desired = service.map_or(0, |service| service.desired_count);
    let threshold = service.map(|service| service.configuration.circuit_breaker.threshold);
    threshold.unwrap_or_default().failures(desired)
}

/// The stage is one of the names that AWS has for it: pauses before a shift belong to the shift.
fn lifecycle_stage(progress: &Progress) -> Option<wire::ServiceDeploymentLifecycleStage> {
    let stage = match progress.stage {
        LifecycleStage::PreProductionTrafficShift => LifecycleStage::ProductionTrafficShift,
        stage => stage,
    };
    wire::ServiceDeploymentLifecycleStage::from_name(stage.as_str())
}

/// The pauses of the stage, while somebody may answer them.
fn hook(row: &HookRun) -> wire::DeploymentLifecycleHookDetail {
    wire::DeploymentLifecycleHookDetail {
        hook_id: Some(row.id.clone()),
        target_type: Some(wire::DeploymentLifecycleHookTargetType::Pause),
        target_arn: None,
        status: Some(match row.answer {
            None => wire::DeploymentLifecycleHookStatus::AwaitingAction,
            Some(HookAction::Continue) => wire::DeploymentLifecycleHookStatus::Succeeded,
            Some(HookAction::Rollback) => wire::DeploymentLifecycleHookStatus::Failed,
        }),
        expires_at: timestamp(Some(row.expires_at_ms)),
        timeout_action: Some(deployment_strategy::action(row.timeout_action)),
    }
}

/// Of the target what it has, of the source the rest.
fn traffic(
    row: &ServiceDeployment,
    id: &DeploymentId,
    deployment: Option<&Deployment>,
) -> (Option<f64>, Option<f64>) {
    let Some(progress) = &row.progress else { return (None, None) };
    let Some(production) = deployment.and_then(|one| one.traffic_permille) else {
        return (None, None);
    };
    let test = match *id == row.target_revision {
        true => progress.test_permille,
        false => 0,
    };
    let percent = |permille: u32| Some(f64::from(permille) / 10.0);
    (percent(test), percent(production))
}

/// A service revision as DescribeServiceRevisions shows it.
pub fn revision(
    tables: &Tables,
    workloads: &Workloads,
    row: &ServiceRevision,
) -> wire::ServiceRevision {
    let kept: wire::ServiceRevision = super::stored(&row.document).unwrap_or_default();
    wire::ServiceRevision {
        service_revision_arn: Some(
            Arn::service_revision(&row.scope, &row.cluster, &row.service, &row.id).to_string(),
        ),
        service_arn: Some(Arn::service_of(&row.scope, &row.cluster, &row.service).to_string()),
        cluster_arn: Some(Arn::cluster(&row.scope, &row.cluster).to_string()),
        container_images: Some(images(tables, workloads, row, &kept)),
        created_at: timestamp(Some(row.created_at_ms)),
        ..kept
    }
}

/// What each container's image was resolved to, as far as its tasks have said.
fn images(
    tables: &Tables,
    workloads: &Workloads,
    row: &ServiceRevision,
    kept: &wire::ServiceRevision,
) -> Vec<wire::ContainerImage> {
    let definition = kept.task_definition.as_deref().and_then(|arn| {
        let (family, revision) = arn.rsplit_once('/')?.1.rsplit_once(':')?;
        let revision: Revision = revision.parse().ok()?;
        let key = TaskDefinitionKey::new(&row.scope, Family::new(family), revision);
        tables.task_definitions.get(&key)
    });
    let workload = definition.map(|definition| workloads.read(&definition));
    let containers = workload.iter().flat_map(|workload| &workload.containers);
    containers.map(|container| image(row, &container.name, &container.image)).collect()
}

fn image(row: &ServiceRevision, container: &str, image: &str) -> wire::ContainerImage {
    let mut digests = row.image_digests.iter();
    let resolved = digests.find(|(known, _)| known == image).map(|(_, digest)| digest.clone());
    // One that names a digest is resolved by itself.
    let own = image.split_once('@').map(|(_, digest)| digest.to_owned());
    wire::ContainerImage {
        container_name: Some(container.to_owned()),
        image: Some(image.to_owned()),
        image_digest: resolved.or(own),
    }
}
