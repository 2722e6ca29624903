//! Gives a deployment up whose tasks do not start, or do not become healthy, and rolls back if asked to.
//!
//! Source: botocore's documentation of `DeploymentCircuitBreaker` and `Deployment.failedTasks`.

use outport_model::deployment::{RolloutState, ServiceDeploymentStatus};
use outport_model::service::Service;
use outport_model::task::Task;

use super::health::{is_healthy, was_sick};
use super::is_of;
use super::{Plan, Scene, events, rollout};
use crate::deployment::{self, GivenUpBy};

pub(super) fn update(scene: &Scene<'_>, plan: &mut Plan, failed: &[&Task]) {
    let forgives = plan.service.configuration.circuit_breaker.reset_on_healthy_task;
    let ended = scene.tasks.iter().filter(|task| !task.holds_resources() && !task.end_noted);
    let sick: Vec<&Task> = ended.map(|task| &**task).filter(|task| was_sick(task)).collect();
    for deployment in &mut plan.service.deployments {
        let is_mine = |task: &&Task| is_of(task, &deployment.id);
        let tasks = || scene.tasks.iter().map(|task| &**task).filter(is_mine);
        deployment.has_run |= tasks().any(|task| task.started_at_ms.is_some());
        // Where containers are checked, coming up is more than running.
        let comes_up = match tasks().any(|task| task.health.is_some()) {
            true => tasks().any(|task| is_healthy(task, scene)),
            false => tasks().any(|task| task.started_at_ms.is_some()),
        };
        if comes_up && forgives {
            // From the first task that comes up on, failures to start count no more.
            deployment.failed_tasks = 0;
            continue;
        }
        let not_started = failed.iter().copied().filter(is_mine).count();
        let counts = !deployment.has_run || !forgives;
        let failures =
            if counts { not_started } else { 0 } + sick.iter().copied().filter(is_mine).count();
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        deployment.failed_tasks = deployment.failed_tasks.saturating_add(failures);
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
    let rolls_back =
        service.configuration.circuit_breaker.rollback || deployment::is_shifted(service);
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
