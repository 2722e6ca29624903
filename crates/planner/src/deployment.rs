//! Begins a deployment, and goes back to the one before: what CreateService, UpdateService, StopServiceDeployment and the
//! circuit breaker do to the row of a service.

use outport_model::deployment::{
    Deployment, DeploymentStatus, RolloutState, ServiceDeployment, ServiceDeploymentStatus,
};
use outport_model::service::{Service, StartThrottle};
use outport_model::{DeploymentId, ServiceDeploymentId, TimestampMs};

/// Makes a new PRIMARY deployment of what the service asks for now (task definition, network, launch
/// type, platform version) and the history row for it. The deployments before become ACTIVE and are
/// replaced step by step; the delays of earlier failures are forgotten.
///
/// `configuration` is the JSON of AWS's `DeploymentConfiguration`. The caller also puts the
/// `ServiceRevision` of the same id.
pub fn begin(
    service: &mut Service,
    id: DeploymentId,
    service_deployment_id: ServiceDeploymentId,
    configuration: String,
    now_ms: TimestampMs,
) -> ServiceDeployment {
    for deployment in &mut service.deployments {
        if deployment.status == DeploymentStatus::Primary {
            deployment.status = DeploymentStatus::Active;
            deployment.updated_at_ms = now_ms;
        }
    }
    // One that failed and is only shown still is nothing that anybody comes from.
    let is_source = |one: &&Deployment| one.rollout_state != RolloutState::Failed || one.has_run;
    let sources = service.deployments.iter().filter(is_source);
    let source_revisions = sources.map(|one| one.id.clone()).collect();
    let primary = Deployment {
        id: id.clone(),
        status: DeploymentStatus::Primary,
        family: service.family.clone(),
        revision: service.revision,
        launch_type: service.launch_type,
        platform_version: service.platform_version.clone(),
        network: service.network.clone(),
        document: service.document.clone(),
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
        rollback_started_at_ms: None,
    }
}

/// Why a roll-out is given up for the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUpBy {
    CircuitBreaker,
    User,
}

impl GivenUpBy {
    /// The `rolloutStateReason` of the deployment, and the `statusReason` of the service deployment.
    pub fn reason(self) -> &'static str {
        match self {
            Self::CircuitBreaker => "ECS deployment circuit breaker: tasks failed to start.",
            Self::User => "Service deployment rolled back by user.",
        }
    }

    fn rolling_back_reason(self, to: &DeploymentId) -> String {
        let what = match self {
            Self::CircuitBreaker => "circuit breaker",
            Self::User => "stopped by user",
        };
        format!("ECS deployment {what}: rolling back to deploymentId ecs-svc/{to}.")
    }
}

/// The PRIMARY deployment is FAILED: no more of its tasks are started.
pub fn give_up(service: &mut Service, by: GivenUpBy, now_ms: TimestampMs) {
    if let Some(primary) = service.deployments.first_mut() {
        primary.rollout_state = RolloutState::Failed;
        primary.rollout_state_reason = by.reason().to_owned();
        primary.updated_at_ms = now_ms;
    }
}

/// After `give_up`: makes the last completed deployment PRIMARY again, and the service what it was then. `None`: there is
/// none, and nothing changed.
pub fn roll_back(
    service: &mut Service,
    by: GivenUpBy,
    now_ms: TimestampMs,
) -> Option<DeploymentId> {
    let is_good = |one: &Deployment| one.rollout_state == RolloutState::Completed;
    let position = service.deployments.iter().position(is_good)?;
    let mut good = service.deployments.remove(position);
    if let Some(failed) = service.deployments.first_mut() {
        failed.status = DeploymentStatus::Active;
    }
    good.status = DeploymentStatus::Primary;
    good.rollout_state = RolloutState::InProgress;
    good.rollout_state_reason = by.rolling_back_reason(&good.id);
    good.updated_at_ms = now_ms;
    service.family.clone_from(&good.family);
    service.revision = good.revision;
    service.launch_type = good.launch_type;
    service.platform_version.clone_from(&good.platform_version);
    service.network.clone_from(&good.network);
    if !good.document.is_empty() {
        service.document.clone_from(&good.document);
    }
    service.throttle = StartThrottle::default();
    let id = good.id.clone();
    service.deployments.insert(0, good);
    Some(id)
}

pub fn in_progress_reason(id: &DeploymentId) -> String {
    format!("ECS deployment ecs-svc/{id} in progress.")
}

pub fn completed_reason(id: &DeploymentId) -> String {
    format!("ECS deployment ecs-svc/{id} completed.")
}
