//! Which tasks to start and to stop now.

use std::sync::Arc;

use outport_model::deployment::RolloutState;
use outport_model::deployment_configuration::{DeploymentStrategy, LifecycleStage};
use outport_model::service::Service;
use outport_model::task::{StopCode, Task};
use outport_model::{DeploymentId, TaskId, TimestampMs};

use super::is_of;
use super::{Plan, Scene, Starts, events, scale_in, stages, throttle};

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
    fn by(deployment: &DeploymentId, task: &Task) -> Self {
        Self {
            task: task.id.clone(),
            code: StopCode::ServiceSchedulerInitiated,
            reason: format!("Scaling activity initiated by (deployment ecs-svc/{deployment})"),
        }
    }
}

/// Counts for the floor of healthy tasks.
pub(super) fn is_healthy(task: &Task, scene: &Scene<'_>) -> bool {
    let is_over = |started_ms| scene.now.is_over(started_ms, scene.settings.healthy_after_ms);
    task.is_running() && task.started_at_ms.is_some_and(is_over)
}

fn healthy_at_ms(task: &Task, scene: &Scene<'_>) -> Option<TimestampMs> {
    let over_at_ms = |started_ms| scene.now.over_at_ms(started_ms, scene.settings.healthy_after_ms);
    task.started_at_ms.map(over_at_ms)
}

/// The wanted tasks of a service, by what their deployment is.
struct Wanted<'a> {
    current: Vec<&'a Arc<Task>>,
    /// Of deployments before, or on a DRAINING container instance: to be replaced.
    old: Vec<&'a Arc<Task>>,
    healthy: usize,
    healthy_current: usize,
}

impl<'a> Wanted<'a> {
    fn of(scene: &Scene<'a>, primary: &DeploymentId) -> Self {
        let (current, old): (Vec<_>, Vec<_>) = scene
            .tasks
            .iter()
            .filter(|task| task.is_wanted())
            .partition(|task| is_of(task, primary) && !scene.is_draining(task));
        let count = |tasks: &[&Arc<Task>]| tasks.iter().filter(|t| is_healthy(t, scene)).count();
        let healthy_current = count(&current);
        Self { healthy: healthy_current + count(&old), healthy_current, current, old }
    }

    fn total(&self) -> usize {
        self.current.len() + self.old.len()
    }
}

/// Fills in `starts`, `stops` and `look_again_at_ms`.
pub(super) fn decide(scene: &Scene<'_>, plan: &mut Plan) {
    if stages::is_given_up_beside_another(&plan.service) {
        return beside_each_other(scene, plan, LifecycleStage::PreScaleUp);
    }
    match stages::of_primary(scene, plan) {
        Some((DeploymentStrategy::Rolling, stage)) if stage < LifecycleStage::ScaleUp => {
            beside_each_other(scene, plan, stage);
        }
        None | Some((DeploymentStrategy::Rolling, _)) => replace(scene, plan),
        Some((_, stage)) => beside_each_other(scene, plan, stage),
    }
}

/// The PRIMARY deployment has its tasks, what has the traffic keeps its own, and neither makes room for the other.
fn beside_each_other(scene: &Scene<'_>, plan: &mut Plan, stage: LifecycleStage) {
    let service = &plan.service;
    let Some(primary) = service.deployments.first().map(|one| one.id.clone()) else { return };
    let serving = stages::serving(&service.deployments).map(|one| one.id.clone());
    let desired = service.desired_count;
    let of_primary = if stage >= LifecycleStage::ScaleUp { desired } else { 0 };
    let mine = Side::of(scene, service, of_primary, |task| is_of(task, &primary));
    // What the others are to have goes only when the new ones serve in their place.
    let is_served = mine.healthy >= service.configuration.healthy_floor(desired) as usize;
    let of_serving = match stage {
        LifecycleStage::CleanUp if is_served => 0,
        _ => desired,
    };
    let is_rolling = service.configuration.strategy == DeploymentStrategy::Rolling;
    let is_kept = |task: &Task| match &serving {
        // Rolling, all revisions before serve together.
        Some(_) if is_rolling => !is_of(task, &primary),
        Some(serving) => is_of(task, serving),
        None => false,
    };
    let theirs = Side::of(scene, service, of_serving, is_kept);
    let rest = Side::of(scene, service, 0, |task| !is_of(task, &primary) && !is_kept(task));
    let sides = [&mine, &theirs, &rest];
    let stops = sides.into_iter().flat_map(|side| side.stops(scene));
    // Whoever they are, so many are to serve.
    let healthy = sides.iter().map(|side| side.healthy).sum();
    let floor = service.configuration.healthy_floor(desired) as usize;
    let stops = within_floor(scene, stops, healthy, floor);
    let stops: Vec<Stop> = stops.into_iter().map(|task| Stop::by(&primary, task)).collect();

    let waited_for = sides.iter().flat_map(|side| side.wanted.iter().copied());
    let next_healthy_ms = next_healthy_ms(scene, waited_for);
    let throttled_until_ms = throttle::starts_not_before_ms(scene, service);
    let (starts, starts_of_serving) = match throttled_until_ms {
        // The delay is of the tasks that do not come up: those that serve are replaced.
        Some(_) => (0, theirs.starts()),
        None => (mine.starts(), theirs.starts()),
    };
    if mine.starts() > 0
        && let Some(until_ms) = throttled_until_ms
    {
        plan.look_again_by(until_ms);
    }
    if let Some(at_ms) = next_healthy_ms {
        plan.look_again_by(at_ms);
    }
    plan.stops = stops;
    plan.starts = starts;
    plan.starts_of_serving = serving
        .filter(|_| starts_of_serving > 0)
        .map(|deployment| Starts { deployment, count: starts_of_serving });
}

/// Tasks that are brought to a number of their own.
struct Side<'a> {
    wanted: Vec<&'a Arc<Task>>,
    healthy: usize,
    target: usize,
    floor: usize,
    ceiling: usize,
}

impl<'a> Side<'a> {
    fn of(
        scene: &Scene<'a>,
        service: &Service,
        target: u32,
        is_mine: impl Fn(&Task) -> bool,
    ) -> Self {
        let wanted = scene.tasks.iter().filter(|task| task.is_wanted() && is_mine(task));
        let wanted: Vec<_> = wanted.collect();
        let configuration = &service.configuration;
        Self {
            healthy: wanted.iter().filter(|task| is_healthy(task, scene)).count(),
            wanted,
            target: target as usize,
            floor: configuration.healthy_floor(target) as usize,
            ceiling: configuration.running_ceiling(target) as usize,
        }
    }

    fn starts(&self) -> u32 {
        let missing = self.target.saturating_sub(self.wanted.len());
        let room = self.ceiling.saturating_sub(self.wanted.len());
        u32::try_from(missing.min(room).min(STARTS_PER_PASS_MAX)).unwrap_or(u32::MAX)
    }

    fn stops(&self, scene: &Scene<'_>) -> Vec<&'a Arc<Task>> {
        let spare = self.wanted.len().saturating_sub(self.target);
        let mut wanted = self.wanted.clone();
        least_useful_first(scene, &mut wanted);
        within_floor(scene, wanted.into_iter().take(spare), self.healthy, self.floor)
    }
}

/// Rolls what runs over to the PRIMARY deployment, some by some.
fn replace(scene: &Scene<'_>, plan: &mut Plan) {
    let Some(primary) = plan.service.deployments.first() else { return };
    let (primary, failed) = (primary.id.clone(), primary.rollout_state == RolloutState::Failed);
    let service = &plan.service;
    let wanted = Wanted::of(scene, &primary);
    let desired = service.desired_count as usize;
    let floor = service.configuration.healthy_floor(service.desired_count) as usize;
    let ceiling = service.configuration.running_ceiling(service.desired_count) as usize;

    // A deployment that failed starts nothing, and what it was to replace stays.
    let missing = if failed { 0 } else { desired.saturating_sub(wanted.current.len()) };
    let room = ceiling.saturating_sub(wanted.total());
    let stops = stops(scene, &wanted, desired, floor, ceiling, failed);
    plan.stops = stops.into_iter().map(|task| Stop::by(&primary, task)).collect();

    let mut starts = missing.min(room).min(STARTS_PER_PASS_MAX);
    let throttled_until_ms = throttle::starts_not_before_ms(scene, service).filter(|_| starts > 0);
    if let Some(until_ms) = throttled_until_ms {
        starts = 0;
        plan.look_again_by(until_ms);
    }
    plan.starts = u32::try_from(starts).unwrap_or(u32::MAX);
    if let Some(at_ms) = next_healthy_ms(scene, wanted.current.iter().chain(&wanted.old).copied()) {
        plan.look_again_by(at_ms);
    }

    let blocked = missing > 0 && room == 0 && plan.stops.is_empty() && floor >= ceiling;
    if blocked && wanted.healthy == wanted.total() {
        events::configuration_blocks(&mut plan.service, scene);
    }
}

/// When the next task that runs counts as healthy.
fn next_healthy_ms<'a>(
    scene: &Scene<'_>,
    wanted: impl Iterator<Item = &'a Arc<Task>>,
) -> Option<TimestampMs> {
    let running = wanted.filter(|task| task.is_running());
    running.filter_map(|task| healthy_at_ms(task, scene)).filter(|at| *at > scene.now.wall_ms).min()
}

/// Tasks that do not serve go first and for free; a healthy task goes only while the floor holds
/// without it.
fn stops<'a>(
    scene: &Scene<'_>,
    wanted: &Wanted<'a>,
    desired: usize,
    floor: usize,
    ceiling: usize,
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
    let (leaving, mut old): (Vec<_>, Vec<_>) = wanted.old.iter().copied().partition(is_leaving);
    let old_to_stop = old_to_stop.saturating_sub(leaving.len());
    least_useful_first(scene, &mut old);
    let current = scale_in::first_to_stop(scene, &wanted.current, spare);
    let candidates = leaving.into_iter().chain(old.into_iter().take(old_to_stop)).chain(current);
    within_floor(scene, candidates, wanted.healthy, floor)
}

/// Of these tasks all that are not healthy, and so many that are that the floor holds without them.
fn within_floor<'a>(
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
    plan.stops = wanted.map(|task| Stop::by(&id, task)).collect();
}

fn primary_or_none(service: &Service) -> DeploymentId {
    service.deployments.first().map_or_else(|| DeploymentId::new("none"), |d| d.id.clone())
}
