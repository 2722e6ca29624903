//! Which tasks to start and to stop now.

use std::sync::Arc;

use outport_model::deployment::RolloutState;
use outport_model::deployment_configuration::{DeploymentStrategy, LifecycleStage};
use outport_model::service::Service;
use outport_model::task::{StopCode, Task};
use outport_model::{DeploymentId, TaskId, TimestampMs};

use super::health::{FAILED_CHECKS, changes_at_ms, is_healthy, is_sick};
use super::is_of;
use super::protection::is_protected;
use super::{Plan, Scene, events, scale_in, sides, stages, throttle};

/// The most tasks that one pass starts; the next pass goes on.
const STARTS_PER_PASS_MAX: usize = 500;

/// A task to stop: its desired status becomes STOPPED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub task: TaskId,
    pub code: StopCode,
    pub reason: String,
}

impl Stop {
    pub(super) fn by(deployment: &DeploymentId, task: &Task, scene: &Scene<'_>) -> Self {
        let reason = match is_sick(task, scene) {
            true => FAILED_CHECKS.to_owned(),
            false => format!("Scaling activity initiated by (deployment ecs-svc/{deployment})"),
        };
        Self { task: task.id.clone(), code: StopCode::ServiceSchedulerInitiated, reason }
    }
}

/// Wanted tasks, by what is to become of them.
pub(super) struct Wanted<'a> {
    pub current: Vec<&'a Arc<Task>>,
    /// Of deployments before, on a DRAINING container instance, or sick: to be replaced.
    pub old: Vec<&'a Arc<Task>>,
    pub healthy: usize,
    healthy_current: usize,
}

impl<'a> Wanted<'a> {
    /// Of the tasks that `is_among`; those that `stays` are to stay, if nothing is wrong with them.
    pub fn of(
        scene: &Scene<'a>,
        is_among: impl Fn(&Task) -> bool,
        stays: impl Fn(&Task) -> bool,
    ) -> Self {
        let wanted = scene.tasks.iter().filter(|task| task.is_wanted() && is_among(task));
        let (current, old): (Vec<_>, Vec<_>) = wanted
            .partition(|task| stays(task) && !scene.is_draining(task) && !is_sick(task, scene));
        let count = |tasks: &[&Arc<Task>]| tasks.iter().filter(|t| is_healthy(t, scene)).count();
        let healthy_current = count(&current);
        Self { healthy: healthy_current + count(&old), healthy_current, current, old }
    }

    pub fn total(&self) -> usize {
        self.current.len() + self.old.len()
    }

    /// When time alone changes what one of them counts for.
    pub fn changes_at_ms(&self, scene: &Scene<'_>) -> Option<TimestampMs> {
        let running = self.current.iter().chain(&self.old).filter(|task| task.is_running());
        running.filter_map(|task| changes_at_ms(task, scene)).min()
    }
}

/// How many tasks there are to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub desired: usize,
    pub floor: usize,
    pub ceiling: usize,
}

impl Bounds {
    pub fn of(service: &Service, desired: u32) -> Self {
        let configuration = &service.configuration;
        Self {
            desired: desired as usize,
            floor: configuration.healthy_floor(desired) as usize,
            ceiling: configuration.running_ceiling(desired) as usize,
        }
    }

    /// How many are missing, and how many of those may be started now.
    pub fn missing(self, wanted: &Wanted<'_>) -> (usize, usize) {
        let missing = self.desired.saturating_sub(wanted.current.len());
        let room = self.ceiling.saturating_sub(wanted.total());
        (missing, missing.min(room).min(STARTS_PER_PASS_MAX))
    }
}

/// Fills in `starts`, `stops` and `look_again_at_ms`.
pub(super) fn decide(scene: &Scene<'_>, plan: &mut Plan) {
    if stages::is_given_up_beside_another(&plan.service) {
        let stage = LifecycleStage::PreScaleUp;
        return sides::decide(scene, plan, DeploymentStrategy::BlueGreen, stage);
    }
    match stages::of_primary(scene, plan) {
        Some((strategy @ DeploymentStrategy::Rolling, stage))
            if stage < LifecycleStage::ScaleUp =>
        {
            sides::decide(scene, plan, strategy, stage);
        }
        None | Some((DeploymentStrategy::Rolling, _)) => replace(scene, plan),
        Some((strategy, stage)) => sides::decide(scene, plan, strategy, stage),
    }
}

/// Rolls what runs over to the PRIMARY deployment, some by some.
fn replace(scene: &Scene<'_>, plan: &mut Plan) {
    let Some(primary) = plan.service.deployments.first() else { return };
    let (primary, failed) = (primary.id.clone(), primary.rollout_state == RolloutState::Failed);
    let service = &plan.service;
    let wanted = Wanted::of(scene, |_| true, |task| is_of(task, &primary));
    let bounds = Bounds::of(service, service.desired_count);

    // A deployment that failed starts nothing, and what it was to replace stays.
    let (missing, starts) = if failed { (0, 0) } else { bounds.missing(&wanted) };
    let stops = stops(scene, &wanted, bounds, failed);
    plan.stops = stops.into_iter().map(|task| Stop::by(&primary, task, scene)).collect();

    let throttled_until_ms = throttle::starts_not_before_ms(scene, service).filter(|_| starts > 0);
    match throttled_until_ms {
        Some(until_ms) => plan.look_again_by(until_ms),
        None => plan.starts = u32::try_from(starts).unwrap_or(u32::MAX),
    }
    if let Some(at_ms) = wanted.changes_at_ms(scene) {
        plan.look_again_by(at_ms);
    }

    let has_no_room = bounds.ceiling <= wanted.total() && bounds.floor >= bounds.ceiling;
    if missing > 0 && has_no_room && plan.stops.is_empty() && wanted.healthy == wanted.total() {
        events::configuration_blocks(&mut plan.service, scene);
    }
}

/// Tasks that do not serve go first and for free; a healthy task goes only while the floor holds
/// without it.
pub(super) fn stops<'a>(
    scene: &Scene<'_>,
    wanted: &Wanted<'a>,
    Bounds { desired, floor, ceiling }: Bounds,
    failed: bool,
) -> Vec<&'a Arc<Task>> {
    // A deployment keeps old tasks until new ones serve in their place.
    let surplus_old = (wanted.healthy_current + wanted.old.len()).saturating_sub(desired);
    let missing = desired.saturating_sub(wanted.current.len());
    let blocked_by_ceiling = !failed && missing > 0 && ceiling <= wanted.total();
    let old_to_stop = if blocked_by_ceiling { missing.max(surplus_old) } else { surplus_old };
    let spare = wanted.current.len().saturating_sub(desired);

    // Source: botocore's documentation of UpdateContainerInstancesState: of a DRAINING instance, PENDING ones are stopped at once.
    let is_leaving = |task: &&Arc<Task>| !task.is_running() && scene.is_draining(task);
    let may_go = |task: &&&Arc<Task>| !is_protected(task, scene);
    let may_stop = wanted.old.iter().filter(may_go).copied();
    let (leaving, mut old): (Vec<_>, Vec<_>) = may_stop.partition(is_leaving);
    let old_to_stop = old_to_stop.saturating_sub(leaving.len());
    least_useful_first(scene, &mut old);
    let may_stop: Vec<_> = wanted.current.iter().filter(may_go).copied().collect();
    let current = scale_in::first_to_stop(scene, &may_stop, spare);
    let candidates = leaving.into_iter().chain(old.into_iter().take(old_to_stop)).chain(current);
    within_floor(scene, candidates, wanted.healthy, floor)
}

/// Of these tasks all that are not healthy, and so many that are that the floor holds without them.
pub(super) fn within_floor<'a>(
    scene: &Scene<'_>,
    candidates: impl Iterator<Item = &'a Arc<Task>>,
    healthy: usize,
    floor: usize,
) -> Vec<&'a Arc<Task>> {
    let mut may_stop = healthy.saturating_sub(floor);
    candidates
        .filter(|task| {
            let free_of_charge = !is_healthy(task, scene);
            if !free_of_charge && may_stop == 0 {
                return false;
            }
            may_stop -= usize::from(!free_of_charge);
            true
        })
        .collect()
}

/// Not healthy before healthy, then the youngest: it has the least to lose.
fn least_useful_first(scene: &Scene<'_>, tasks: &mut [&Arc<Task>]) {
    tasks.sort_by_key(|task| {
        (is_healthy(task, scene), std::cmp::Reverse(task.created_at_ms), task.id.clone())
    });
}

/// All wanted tasks of a service that goes away.
pub(super) fn stop_all(scene: &Scene<'_>, plan: &mut Plan) {
    let id = primary_or_none(&plan.service);
    let wanted = scene.tasks.iter().filter(|task| task.is_wanted());
    plan.stops = wanted.map(|task| Stop::by(&id, task, scene)).collect();
}

fn primary_or_none(service: &Service) -> DeploymentId {
    service.deployments.first().map_or_else(|| DeploymentId::new("none"), |d| d.id.clone())
}
