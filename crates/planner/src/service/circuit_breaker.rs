//! Gives a deployment up whose tasks do not start, and rolls back if asked to.
//!
//! Source: botocore's documentation of `DeploymentCircuitBreaker` and `Deployment.failedTasks`.

use outport_model::deployment::{DeploymentStatus, RolloutState, ServiceDeploymentStatus};
use outport_model::service::{Service, StartThrottle};
use outport_model::task::Task;

use super::counts::is_of;
use super::{Plan, Scene, events, rollout};
use crate::deployment::{FAILED_REASON, rolling_back_reason};

/// Half of the desired count, rounded up, within these bounds.
/// Source: "How the Amazon ECS deployment circuit breaker detects failures".
const THRESHOLD_MIN: u32 = 3;
const THRESHOLD_MAX: u32 = 200;

pub(super) fn threshold(desired_count: u32) -> u32 {
    desired_count.div_ceil(2).clamp(THRESHOLD_MIN, THRESHOLD_MAX)
}

pub(super) fn update(scene: &Scene<'_>, plan: &mut Plan, failed: &[&Task]) {
    for deployment in &mut plan.service.deployments {
        let mut tasks = scene.tasks.iter().filter(|task| is_of(task, &deployment.id));
        if tasks.any(|task| task.started_at_ms.is_some()) {
            // From the first task that runs on, failures to start count no more.
            deployment.has_run = true;
            deployment.failed_tasks = 0;
        } else if !deployment.has_run {
            let failures = failed.iter().filter(|task| is_of(task, &deployment.id)).count();
            deployment.failed_tasks =
                deployment.failed_tasks.saturating_add(u32::try_from(failures).unwrap_or(u32::MAX));
        }
    }
    if has_tripped(&plan.service) {
        trip(scene, plan);
    }
}

fn has_tripped(service: &Service) -> bool {
    let Some(primary) = service.deployments.first() else { return false };
    service.configuration.circuit_breaker.enable
        && primary.rollout_state == RolloutState::InProgress
        && primary.failed_tasks >= threshold(service.desired_count)
}

fn trip(scene: &Scene<'_>, plan: &mut Plan) {
    let service = &mut plan.service;
    let Some(primary) = service.deployments.first_mut() else { return };
    primary.rollout_state = RolloutState::Failed;
    primary.rollout_state_reason = FAILED_REASON.to_owned();
    primary.updated_at_ms = scene.now_ms;
    let failed = primary.id.clone();
    events::deployment_failed(service, &failed, scene);

    let last_good =
        service.deployments.iter().position(|d| d.rollout_state == RolloutState::Completed);
    let status = match last_good.filter(|_| service.configuration.circuit_breaker.rollback) {
        Some(position) => {
            roll_back(scene, service, position);
            ServiceDeploymentStatus::RollbackInProgress
        }
        None => ServiceDeploymentStatus::Stopped,
    };
    rollout::move_history(scene, plan, &failed, status, Some(FAILED_REASON));
}

/// The last completed deployment becomes PRIMARY again, and the service is what it was then.
fn roll_back(scene: &Scene<'_>, service: &mut Service, position: usize) {
    if let Some(primary) = service.deployments.first_mut() {
        primary.status = DeploymentStatus::Active;
    }
    let mut good = service.deployments.remove(position);
    good.status = DeploymentStatus::Primary;
    good.rollout_state = RolloutState::InProgress;
    good.rollout_state_reason = rolling_back_reason(&good.id);
    good.updated_at_ms = scene.now_ms;
    service.family = good.family.clone();
    service.revision = good.revision;
    service.launch_type = good.launch_type;
    service.platform_version = good.platform_version.clone();
    service.network = good.network.clone();
    service.throttle = StartThrottle::default();
    events::rolling_back(service, &good.id, scene);
    service.deployments.insert(0, good);
}
