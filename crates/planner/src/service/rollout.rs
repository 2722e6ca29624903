//! How far a deployment has come, in `deployments[]` and in the history of the service.

use std::sync::Arc;

use outport_model::deployment::{
    Deployment, RolloutState, ServiceDeployment, ServiceDeploymentStatus,
};
use outport_model::deployment_configuration::{LifecycleStage, percent_rounded_up};
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::{DeploymentId, TaskStatus};

use super::health::is_healthy;
use super::is_of;
use super::{Plan, Scene, events, stages};
use crate::deployment::{self, completed_reason};

/// The history of the PRIMARY deployment begins; that of deployments it overtook ends.
pub(super) fn begin(scene: &Scene<'_>, plan: &mut Plan) {
    let Some(primary) = plan.service.deployments.first() else { return };
    let primary = primary.id.clone();
    for entry in scene.history {
        let target = &entry.target_revision;
        let overtaken = is_unfinished(entry.status)
            && *target != primary
            && !plan.history.iter().any(|moved| moved.id == entry.id)
            && !is_rolling_back_to(&primary, entry);
        if *target == primary && entry.status == ServiceDeploymentStatus::Pending {
            move_history(scene, plan, &primary, ServiceDeploymentStatus::InProgress, None);
        } else if overtaken {
            let status = ServiceDeploymentStatus::Stopped;
            let reason = "A newer deployment of the service was started.";
            move_history(scene, plan, target, status, Some(reason));
        }
    }
}

/// The failed deployment of a rollback stays unfinished until the one before it is steady again.
fn is_rolling_back_to(primary: &DeploymentId, entry: &ServiceDeployment) -> bool {
    entry.status == ServiceDeploymentStatus::RollbackInProgress
        && entry.source_revisions.contains(primary)
}

/// Deployments that have been replaced go, but for the last completed one: while the PRIMARY one is on
/// its way, it is what a rollback goes back to. One that failed stays long enough to be seen.
pub(super) fn drop_superseded(scene: &Scene<'_>, plan: &mut Plan) {
    let has_tasks = |id: &DeploymentId| {
        let mut tasks = scene.tasks.iter().filter(|task| is_of(task, id));
        tasks.any(|task| task.last_status <= TaskStatus::Running)
    };
    let mut first = true;
    plan.service.deployments.retain(|deployment| {
        let is_primary = std::mem::take(&mut first);
        is_primary
            || deployment.rollout_state == RolloutState::Completed
            || is_failed_and_shown(scene, deployment)
            || has_tasks(&deployment.id)
    });
    deployment::keep_all_traffic(&mut plan.service);
}

fn is_failed_and_shown(scene: &Scene<'_>, deployment: &Deployment) -> bool {
    deployment.rollout_state == RolloutState::Failed
        && !scene.now.is_over(deployment.updated_at_ms, scene.settings.failed_deployment_life_ms)
}

/// When the next deployment that failed has been shown for long enough.
pub(super) fn look_again_at_failed(scene: &Scene<'_>, plan: &mut Plan) {
    let life_ms = scene.settings.failed_deployment_life_ms;
    let mut earliest_ms = None;
    for deployment in plan.service.deployments.iter().skip(1) {
        if is_failed_and_shown(scene, deployment) {
            let over_at_ms = scene.now.over_at_ms(deployment.updated_at_ms, life_ms);
            earliest_ms = Some(earliest_ms.map_or(over_at_ms, |at: i64| at.min(over_at_ms)));
        }
    }
    if let Some(at_ms) = earliest_ms {
        plan.look_again_by(at_ms);
    }
}

/// A rolling deployment that is a success before all is as it should be, if it was asked to be.
///
/// Source: botocore's documentation of `DeploymentEarlySuccessCriteria`.
pub(super) fn complete_early(scene: &Scene<'_>, plan: &mut Plan) {
    let Some(primary) = plan.service.deployments.first() else { return };
    if deployment::is_shifted(&plan.service) || primary.rollout_state != RolloutState::InProgress {
        return;
    }
    // What bakes or pauses is a success behind that.
    if stages::of_primary(scene, plan).is_some_and(|(_, stage)| stage != LifecycleStage::CleanUp) {
        return;
    }
    let id = primary.id.clone();
    if is_early_success(scene, &plan.service) {
        complete(scene, plan, &id);
    }
}

/// Whether enough tasks of the PRIMARY deployment are healthy for it to be a success, and the others gone if they must.
pub(super) fn is_early_success(scene: &Scene<'_>, service: &Service) -> bool {
    let (Some(criteria), Some(primary)) =
        (service.configuration.early_success, service.deployments.first())
    else {
        return false;
    };
    let runs = |task: &&Arc<Task>| task.last_status <= TaskStatus::Running;
    let (mine, others): (Vec<_>, Vec<_>) =
        scene.tasks.iter().filter(runs).partition(|task| is_of(task, &primary.id));
    let healthy = mine.iter().filter(|task| is_healthy(task, scene)).count();
    let enough = percent_rounded_up(service.desired_count, criteria.healthy_percent);
    healthy >= enough as usize && (criteria.deferred_cleanup || others.is_empty())
}

/// The service is what it should be: exactly the desired tasks of the PRIMARY deployment are healthy,
/// and nothing else of it runs any more.
pub(super) fn complete_if_steady(scene: &Scene<'_>, plan: &mut Plan) {
    let Some(primary) = plan.service.deployments.first() else { return };
    if primary.rollout_state == RolloutState::Failed || !is_steady(scene, &primary.id) {
        return;
    }
    // One that goes in stages is a success at the last one.
    if stages::of_primary(scene, plan).is_some_and(|(_, stage)| stage != LifecycleStage::CleanUp) {
        return;
    }
    let id = primary.id.clone();
    if primary.rollout_state == RolloutState::InProgress {
        complete(scene, plan, &id);
    }
    let mut first = true;
    plan.service
        .deployments
        .retain(|deployment| std::mem::take(&mut first) || is_failed_and_shown(scene, deployment));
    deployment::keep_all_traffic(&mut plan.service);
    events::steady(&mut plan.service, scene);
}

pub(super) fn is_steady(scene: &Scene<'_>, primary: &DeploymentId) -> bool {
    let mut healthy = 0;
    for task in scene.tasks.iter().filter(|task| task.last_status <= TaskStatus::Running) {
        let stays = is_of(task, primary) && !scene.is_draining(task);
        if !stays || !is_healthy(task, scene) {
            return false;
        }
        healthy += 1;
    }
    healthy == scene.service.desired_count
}

fn complete(scene: &Scene<'_>, plan: &mut Plan, id: &DeploymentId) {
    if let Some(primary) = plan.service.deployments.first_mut() {
        primary.rollout_state = RolloutState::Completed;
        primary.rollout_state_reason = completed_reason(id);
        primary.updated_at_ms = scene.now.wall_ms;
    }
    events::deployment_completed(&mut plan.service, id, scene);
    // A breaker that trips while the old tasks all run is through in the same pass: what this plan
    // says of an entry is newer than the scene.
    let rolled_back: Vec<DeploymentId> = scene
        .history
        .iter()
        .map(|entry| &**entry)
        .chain(&plan.history)
        .filter(|entry| is_rolling_back_to(id, entry))
        .map(|entry| entry.target_revision.clone())
        .collect();
    for target in &rolled_back {
        move_history(scene, plan, target, ServiceDeploymentStatus::RollbackSuccessful, None);
    }
    move_history(scene, plan, id, ServiceDeploymentStatus::Successful, None);
}

/// The service goes away before its deployment was through.
pub(super) fn stop_unfinished(scene: &Scene<'_>, plan: &mut Plan) {
    let unfinished: Vec<DeploymentId> = scene
        .history
        .iter()
        .filter(|entry| is_unfinished(entry.status))
        .map(|entry| entry.target_revision.clone())
        .collect();
    for target in &unfinished {
        let status = ServiceDeploymentStatus::Stopped;
        move_history(scene, plan, target, status, Some("The service was deleted."));
    }
}

pub fn is_unfinished(status: ServiceDeploymentStatus) -> bool {
    match status {
        ServiceDeploymentStatus::Pending
        | ServiceDeploymentStatus::InProgress
        | ServiceDeploymentStatus::StopRequested
        | ServiceDeploymentStatus::RollbackRequested
        | ServiceDeploymentStatus::RollbackInProgress => true,
        ServiceDeploymentStatus::Successful
        | ServiceDeploymentStatus::Stopped
        | ServiceDeploymentStatus::RollbackSuccessful
        | ServiceDeploymentStatus::RollbackFailed => false,
    }
}

/// Moves the unfinished service deployment of a revision on.
pub(super) fn move_history(
    scene: &Scene<'_>,
    plan: &mut Plan,
    target: &DeploymentId,
    status: ServiceDeploymentStatus,
    reason: Option<&str>,
) {
    let Some(mut entry) = take_history(scene, plan, target) else { return };
    entry.status = status;
    entry.updated_at_ms = scene.now.wall_ms;
    entry.started_at_ms = entry.started_at_ms.or(Some(scene.now.wall_ms));
    if status == ServiceDeploymentStatus::RollbackInProgress {
        entry.rollback_started_at_ms = entry.rollback_started_at_ms.or(Some(scene.now.wall_ms));
    }
    if let Some(reason) = reason {
        entry.status_reason = Some(reason.to_owned());
    }
    if !is_unfinished(status) {
        entry.finished_at_ms = Some(scene.now.wall_ms);
    }
    plan.history.push(entry);
}

/// Changes the unfinished service deployment of the PRIMARY deployment; its status stays.
pub(super) fn change_history(
    scene: &Scene<'_>,
    plan: &mut Plan,
    change: impl FnOnce(&mut ServiceDeployment),
) {
    let Some(target) = plan.service.deployments.first().map(|one| one.id.clone()) else { return };
    let Some(mut entry) = take_history(scene, plan, &target) else { return };
    change(&mut entry);
    entry.updated_at_ms = scene.now.wall_ms;
    plan.history.push(entry);
}

/// As the plan has it, or else the scene.
fn take_history(
    scene: &Scene<'_>,
    plan: &mut Plan,
    target: &DeploymentId,
) -> Option<ServiceDeployment> {
    let known = plan.history.iter().position(|entry| entry.target_revision == *target);
    match known {
        Some(position) => Some(plan.history.remove(position)),
        None => scene
            .history
            .iter()
            .find(|entry| entry.target_revision == *target && is_unfinished(entry.status))
            .map(|entry| ServiceDeployment::clone(entry)),
    }
}
