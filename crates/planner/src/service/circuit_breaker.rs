//! Gives a deployment up whose tasks do not start, and rolls back if asked to.
//!
//! Source: botocore's documentation of `DeploymentCircuitBreaker` and `Deployment.failedTasks`.

use outport_model::deployment::{RolloutState, ServiceDeploymentStatus};
use outport_model::deployment_configuration::DeploymentStrategy;
use outport_model::service::Service;
use outport_model::task::Task;

use super::is_of;
use super::{Plan, Scene, events, rollout};
use crate::deployment::{self, GivenUpBy};

pub(super) fn update(scene: &Scene<'_>, plan: &mut Plan, failed: &[&Task]) {
    let forgives = plan.service.configuration.circuit_breaker.reset_on_healthy_task;
    for deployment in &mut plan.service.deployments {
        let mut tasks = scene.tasks.iter().filter(|task| is_of(task, &deployment.id));
        let runs = tasks.any(|task| task.started_at_ms.is_some());
        deployment.has_run |= runs;
        if runs && forgives {
            // From the first task that runs on, failures to start count no more.
            deployment.failed_tasks = 0;
        } else if !deployment.has_run || !forgives {
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
        && primary.failed_tasks
            >= service.configuration.circuit_breaker.threshold.failures(service.desired_count)
}

fn trip(scene: &Scene<'_>, plan: &mut Plan) {
    let (service, by) = (&mut plan.service, GivenUpBy::CircuitBreaker);
    let Some(failed) = service.deployments.first().map(|primary| primary.id.clone()) else {
        return;
    };
    deployment::give_up(service, by, scene.now.wall_ms);
    events::deployment_failed(service, &failed, by, scene);
    // Where traffic is shifted there is always a way back: it must not point at what does not run.
    let is_shifted = service.configuration.strategy != DeploymentStrategy::Rolling;
    let rolls_back = service.configuration.circuit_breaker.rollback || is_shifted;
    let good = rolls_back.then(|| deployment::roll_back(service, by, scene.now.wall_ms)).flatten();
    let status = match good {
        Some(good) => {
            events::rolling_back(service, &good, scene);
            ServiceDeploymentStatus::RollbackInProgress
        }
        None => ServiceDeploymentStatus::Stopped,
    };
    rollout::move_history(scene, plan, &failed, status, Some(by.reason()));
}
