//! Begins a deployment: what CreateService and UpdateService do to the row of a service.

use outport_model::deployment::{
    Deployment, DeploymentStatus, RolloutState, ServiceDeployment, ServiceDeploymentStatus,
};
use outport_model::service::{Service, StartThrottle};
use outport_model::{DeploymentId, TimestampMs};

/// Makes a new PRIMARY deployment of what the service asks for now (task definition, network, launch
/// type, platform version) and the history row for it. The deployments before become ACTIVE and are
/// replaced step by step; the delays of earlier failures are forgotten.
///
/// `configuration` is the JSON of AWS's `DeploymentConfiguration`. The caller also puts the
/// `ServiceRevision` of the same id.
pub fn begin(
    service: &mut Service,
    id: DeploymentId,
    service_deployment_id: String,
    configuration: String,
    now_ms: TimestampMs,
) -> ServiceDeployment {
    for deployment in &mut service.deployments {
        if deployment.status == DeploymentStatus::Primary {
            deployment.status = DeploymentStatus::Active;
            deployment.updated_at_ms = now_ms;
        }
    }
    let source_revisions = service.deployments.iter().map(|d| d.id.clone()).collect();
    let primary = Deployment {
        id: id.clone(),
        status: DeploymentStatus::Primary,
        family: service.family.clone(),
        revision: service.revision,
        launch_type: service.launch_type,
        platform_version: service.platform_version.clone(),
        network: service.network.clone(),
        rollout_state: RolloutState::InProgress,
        rollout_state_reason: in_progress_reason(&id),
        failed_tasks: 0,
        has_run: false,
        image_digests: Vec::new(),
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    };
    service.deployments.insert(0, primary);
    service.throttle = StartThrottle::default();
    ServiceDeployment {
        scope: service.scope.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        id: service_deployment_id,
        target_revision: id,
        source_revisions,
        status: ServiceDeploymentStatus::Pending,
        status_reason: None,
        created_at_ms: now_ms,
        started_at_ms: None,
        finished_at_ms: None,
        updated_at_ms: now_ms,
        configuration,
    }
}

pub fn in_progress_reason(id: &DeploymentId) -> String {
    format!("ECS deployment ecs-svc/{id} in progress.")
}

pub fn completed_reason(id: &DeploymentId) -> String {
    format!("ECS deployment ecs-svc/{id} completed.")
}

pub(crate) const FAILED_REASON: &str = "ECS deployment circuit breaker: tasks failed to start.";

pub(crate) fn rolling_back_reason(to: &DeploymentId) -> String {
    format!("ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/{to}.")
}
