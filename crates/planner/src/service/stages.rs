//! The stages of a deployment that goes step by step: blue/green, linear, canary, and a rolling one with pauses or a time
//! to bake.
//!
//! | stage | what it does | then it waits |
//! |---|---|---|
//! | RECONCILE_SERVICE | of several revisions before, only the one with the traffic stays | |
//! | PRE_SCALE_UP | | |
//! | SCALE_UP | as many tasks of the new revision as the service wants are healthy (rolling: and nothing else runs) | |
//! | POST_SCALE_UP | | |
//! | TEST_TRAFFIC_SHIFT | all test traffic goes to the new revision | |
//! | POST_TEST_TRAFFIC_SHIFT | | |
//! | PRE_PRODUCTION_TRAFFIC_SHIFT, before each shift | | |
//! | PRODUCTION_TRAFFIC_SHIFT, once a shift | the next part of the traffic goes to it | the time between two shifts |
//! | POST_PRODUCTION_TRAFFIC_SHIFT | | |
//! | BAKE_TIME | | the time to bake |
//! | CLEAN_UP | the tasks of the revision before stop; the deployment is a success | |
//!
//! In each stage, behind what it does and before it waits, come its pauses: until each is answered, or its time is over.
//! A rolling deployment has no stages of traffic. A service without a load balancer is the same without traffic.
//!
//! **Invariant:** the weights of all deployments of a service are 1,000 together, and until CLEAN_UP the revision that had
//! the traffic has all its tasks, so that going back is a shift and nothing more.
//!
//! Sources: botocore's documentation of `ServiceDeployment.lifecycleStage` and `DeploymentLifecycleHook`; "Amazon ECS
//! blue/green deployments", "linear deployments", "canary deployments" and "Pause hooks" in the Developer Guide. What AWS
//! does in the stages of the first deployment of a service, before which there is nothing, is a guess: it passes
//! them, and does not bake.

use outport_model::deployment::{
    Deployment, HookRun, Progress, RolloutState, ServiceDeployment, ServiceDeploymentStatus,
};
use outport_model::deployment_configuration::{
    ALL_PERMILLE, DeploymentConfiguration, DeploymentStrategy, HookAction, LifecycleStage,
};
use outport_model::service::Service;
use outport_model::{DeploymentId, TaskStatus, TimestampMs};

use super::health::is_healthy;
use super::{Plan, Scene, events, is_of, rollout};
use crate::deployment::{self, GivenUpBy};

const MINUTE_MS: TimestampMs = 60_000;
/// The most stages that one pass goes through: a linear deployment has 34 shifts at most, of two stages each.
const STAGES_PER_PASS_MAX: usize = 100;

/// How a deployment under way is to be carried out now; `None`: it has no stages.
pub(super) fn of_primary(
    scene: &Scene<'_>,
    plan: &Plan,
) -> Option<(DeploymentStrategy, LifecycleStage)> {
    let entry = entry(scene, plan)?;
    let progress = entry.progress.as_ref()?;
    Some((progress.strategy, progress.stage))
}

/// The history of the PRIMARY deployment, while it is under way in stages.
fn entry<'a>(scene: &'a Scene<'_>, plan: &'a Plan) -> Option<&'a ServiceDeployment> {
    let primary = plan.service.deployments.first()?;
    let in_scene = scene.history.iter().map(|entry| &**entry);
    // What the plan says is newer.
    let mut entries = plan.history.iter().chain(in_scene);
    let entry = entries.find(|entry| entry.target_revision == primary.id)?;
    let is_under_way = entry.status == ServiceDeploymentStatus::InProgress;
    (is_under_way && primary.rollout_state == RolloutState::InProgress).then_some(entry)
}

/// Whether the PRIMARY deployment was given up for good while another has the traffic: that one keeps it.
pub(super) fn is_given_up_beside_another(service: &Service) -> bool {
    let primary = service.deployments.first();
    deployment::is_shifted(service)
        && primary.is_some_and(|one| one.rollout_state == RolloutState::Failed)
        && serving(&service.deployments).is_some()
}

/// The deployment that has the traffic beside the PRIMARY one, or had it last.
pub(super) fn serving(deployments: &[Deployment]) -> Option<&Deployment> {
    deployment::serving(deployments).and_then(|position| deployments.get(position))
}

/// Goes through the stages as far as they let it.
pub(super) fn advance(scene: &Scene<'_>, plan: &mut Plan) {
    for _ in 0..STAGES_PER_PASS_MAX {
        let Some(known) = entry(scene, plan) else { return };
        let Some(progress) = known.progress.clone() else { return };
        let mut next = progress.clone();
        let outcome = step(scene, plan, &mut next);
        if let Outcome::RollBack(by) = outcome {
            roll_back(scene, plan, by);
            return;
        }
        if next != progress {
            rollout::change_history(scene, plan, |entry| entry.progress = Some(next));
        }
        match outcome {
            Outcome::Next => {}
            Outcome::WaitUntil(at_ms) => {
                plan.look_again_by(at_ms);
                return;
            }
            Outcome::Wait | Outcome::RollBack(_) => return,
        }
    }
}

enum Outcome {
    /// A stage is over.
    Next,
    /// Until something changes.
    Wait,
    WaitUntil(TimestampMs),
    RollBack(GivenUpBy),
}

fn step(scene: &Scene<'_>, plan: &mut Plan, progress: &mut Progress) -> Outcome {
    let stage = progress.stage;
    if progress.done_at_ms.is_none() {
        if !does(scene, plan, progress) {
            return Outcome::Wait;
        }
        progress.done_at_ms = Some(scene.now.wall_ms);
        progress.hooks = pauses(scene, &plan.service.configuration, stage);
    }
    let done_at_ms = progress.done_at_ms.unwrap_or(scene.now.wall_ms);
    match answers(scene, &progress.hooks, done_at_ms) {
        Answers::All => {}
        Answers::WaitUntil(at_ms) => return Outcome::WaitUntil(at_ms),
        Answers::RollBack(by) => return Outcome::RollBack(by),
    }
    let wait_ms = wait_ms(plan, progress.strategy, stage);
    if wait_ms > 0 && !scene.now.is_over(done_at_ms, wait_ms) {
        return Outcome::WaitUntil(scene.now.over_at_ms(done_at_ms, wait_ms));
    }
    let Some(next) = next_stage(plan, progress.strategy, stage) else { return Outcome::Wait };
    *progress = Progress {
        strategy: progress.strategy,
        stage: next,
        done_at_ms: None,
        hooks: Vec::new(),
        test_permille: progress.test_permille,
    };
    Outcome::Next
}

/// Does what the stage does; whether that is done.
fn does(scene: &Scene<'_>, plan: &mut Plan, progress: &mut Progress) -> bool {
    match progress.stage {
        LifecycleStage::ReconcileService => {
            deployment::give_all_traffic_to_serving(&mut plan.service);
            let deployments = &mut plan.service.deployments;
            let stays = serving(deployments).map(|one| one.id.clone());
            let goes = |one: &Deployment| Some(&one.id) != stays.as_ref();
            let is_done =
                !deployments.iter().skip(1).any(|one| goes(one) && has_tasks(scene, &one.id));
            if is_done {
                let mut first = true;
                // What nothing is left of is not to be gone back to.
                deployments.retain(|one| std::mem::take(&mut first) || !goes(one));
            }
            is_done
        }
        LifecycleStage::ScaleUp => {
            let desired = plan.service.desired_count;
            let Some(primary) = plan.service.deployments.first() else { return false };
            match progress.strategy {
                DeploymentStrategy::Rolling => {
                    rollout::is_steady(scene, &primary.id)
                        || rollout::is_early_success(scene, &plan.service)
                }
                _ => healthy_of(scene, &primary.id) >= desired,
            }
        }
        LifecycleStage::TestTrafficShift => {
            progress.test_permille = ALL_PERMILLE;
            true
        }
        LifecycleStage::ProductionTrafficShift => {
            deployment::shift_traffic(&mut plan.service, progress.strategy);
            true
        }
        // Over when the service is steady, which `rollout` says.
        LifecycleStage::CleanUp => false,
        LifecycleStage::PreScaleUp
        | LifecycleStage::PostScaleUp
        | LifecycleStage::PostTestTrafficShift
        | LifecycleStage::PreProductionTrafficShift
        | LifecycleStage::PostProductionTrafficShift
        | LifecycleStage::BakeTime => true,
    }
}

fn has_tasks(scene: &Scene<'_>, id: &DeploymentId) -> bool {
    let mut tasks = scene.tasks.iter().filter(|task| is_of(task, id));
    tasks.any(|task| task.last_status <= TaskStatus::Running)
}

fn healthy_of(scene: &Scene<'_>, id: &DeploymentId) -> u32 {
    let tasks = scene.tasks.iter().filter(|task| task.is_wanted() && is_of(task, id));
    u32::try_from(tasks.filter(|task| is_healthy(task, scene)).count()).unwrap_or(u32::MAX)
}

fn pauses(
    scene: &Scene<'_>,
    configuration: &DeploymentConfiguration,
    stage: LifecycleStage,
) -> Vec<HookRun> {
    let of_stage = configuration.hooks.iter().filter(|hook| hook.stages.contains(&stage));
    of_stage
        .map(|hook| HookRun {
            id: format!("ecs-pause-{}", scene.ids.uuid()),
            expires_at_ms: scene.now.wall_ms + TimestampMs::from(hook.timeout_min) * MINUTE_MS,
            timeout_action: hook.timeout_action,
            answer: None,
        })
        .collect()
}

enum Answers {
    All,
    WaitUntil(TimestampMs),
    RollBack(GivenUpBy),
}

/// Pauses began when the stage had done what it does: a clock that is set forward meanwhile does not end them.
fn answers(scene: &Scene<'_>, hooks: &[HookRun], begun_at_ms: TimestampMs) -> Answers {
    let mut wait_until_ms: Option<TimestampMs> = None;
    for hook in hooks {
        let life_ms = hook.expires_at_ms.saturating_sub(begun_at_ms);
        let is_expired = scene.now.is_over(begun_at_ms, life_ms);
        match (hook.answer, hook.timeout_action) {
            (Some(HookAction::Rollback), _) => return Answers::RollBack(GivenUpBy::User),
            (None, HookAction::Rollback) if is_expired => {
                return Answers::RollBack(GivenUpBy::HookTimeout);
            }
            (Some(HookAction::Continue), _) => {}
            (None, HookAction::Continue) if is_expired => {}
            (None, _) => {
                let at_ms = scene.now.over_at_ms(begun_at_ms, life_ms);
                wait_until_ms = Some(wait_until_ms.map_or(at_ms, |earliest| earliest.min(at_ms)));
            }
        }
    }
    wait_until_ms.map_or(Answers::All, Answers::WaitUntil)
}

fn wait_ms(plan: &Plan, strategy: DeploymentStrategy, stage: LifecycleStage) -> i64 {
    let configuration = &plan.service.configuration;
    let deployments = &plan.service.deployments;
    let has_source = serving(deployments).is_some() || strategy == DeploymentStrategy::Rolling;
    let shifted = deployments.first().and_then(|one| one.traffic_permille);
    let minutes = match stage {
        LifecycleStage::BakeTime if has_source => configuration.bake_time_min,
        LifecycleStage::ProductionTrafficShift if shifted < Some(ALL_PERMILLE) => {
            strategy.step_bake_min()
        }
        _ => 0,
    };
    i64::from(minutes) * MINUTE_MS
}

fn next_stage(
    plan: &Plan,
    strategy: DeploymentStrategy,
    stage: LifecycleStage,
) -> Option<LifecycleStage> {
    use LifecycleStage as Stage;
    let is_rolling = strategy == DeploymentStrategy::Rolling;
    let shifted = plan.service.deployments.first().and_then(|one| one.traffic_permille);
    match stage {
        Stage::ReconcileService => Some(Stage::PreScaleUp),
        Stage::PreScaleUp => Some(Stage::ScaleUp),
        Stage::ScaleUp => Some(Stage::PostScaleUp),
        Stage::PostScaleUp if is_rolling => Some(Stage::BakeTime),
        Stage::PostScaleUp => Some(Stage::TestTrafficShift),
        Stage::TestTrafficShift => Some(Stage::PostTestTrafficShift),
        Stage::PostTestTrafficShift => Some(Stage::PreProductionTrafficShift),
        Stage::PreProductionTrafficShift => Some(Stage::ProductionTrafficShift),
        Stage::ProductionTrafficShift if shifted < Some(ALL_PERMILLE) => {
            Some(Stage::PreProductionTrafficShift)
        }
        Stage::ProductionTrafficShift => Some(Stage::PostProductionTrafficShift),
        Stage::PostProductionTrafficShift => Some(Stage::BakeTime),
        Stage::BakeTime => Some(Stage::CleanUp),
        Stage::CleanUp => None,
    }
}

/// Goes back to what had the traffic. A first deployment has nothing to go back to: it is given up where it stands.
fn roll_back(scene: &Scene<'_>, plan: &mut Plan, by: GivenUpBy) {
    let Some(failed) = plan.service.deployments.first().map(|one| one.id.clone()) else { return };
    let service = &mut plan.service;
    deployment::give_up(service, by, scene.now.wall_ms);
    events::deployment_failed(service, &failed, by, scene);
    let status = match deployment::roll_back(service, by, scene.now.wall_ms) {
        Some(good) => {
            events::rolling_back(service, &good, scene);
            ServiceDeploymentStatus::RollbackInProgress
        }
        None => ServiceDeploymentStatus::RollbackFailed,
    };
    rollout::move_history(scene, plan, &failed, status, Some(by.reason()));
}
