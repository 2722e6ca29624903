//! Which tasks to start and to stop now.

use std::sync::Arc;

use outport_model::deployment::RolloutState;
use outport_model::service::Service;
use outport_model::task::{StopCode, Task};
use outport_model::{DeploymentId, TaskId, TimestampMs};

use super::is_of;
use super::{Plan, Scene, events, throttle};

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
            .partition(|task| is_of(task, primary));
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
    let mut look_again_ms = next_healthy_ms(scene, &wanted);
    if starts > 0
        && let Some(until_ms) = throttle::starts_not_before_ms(scene, service)
    {
        starts = 0;
        look_again_ms = Some(look_again_ms.map_or(until_ms, |at_ms| at_ms.min(until_ms)));
    }
    plan.starts = u32::try_from(starts).unwrap_or(u32::MAX);
    plan.look_again_at_ms = look_again_ms;

    let blocked = missing > 0 && room == 0 && plan.stops.is_empty() && floor >= ceiling;
    if blocked && wanted.healthy == wanted.total() {
        events::configuration_blocks(&mut plan.service, scene);
    }
}

/// When the next task that runs counts as healthy.
fn next_healthy_ms(scene: &Scene<'_>, wanted: &Wanted<'_>) -> Option<TimestampMs> {
    let running = wanted.current.iter().chain(&wanted.old).filter(|task| task.is_running());
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
    let mut may_stop = wanted.healthy.saturating_sub(floor);
    // A deployment keeps old tasks until new ones serve in their place.
    let surplus_old = (wanted.healthy_current + wanted.old.len()).saturating_sub(desired);
    let missing = desired.saturating_sub(wanted.current.len());
    let blocked_by_ceiling = !failed && missing > 0 && ceiling <= wanted.total();
    let old_to_stop = if blocked_by_ceiling { missing.max(surplus_old) } else { surplus_old };
    let spare = wanted.current.len().saturating_sub(desired);

    let mut old = wanted.old.clone();
    least_useful_first(scene, &mut old);
    let mut current = wanted.current.clone();
    least_useful_first(scene, &mut current);
    let candidates = old.into_iter().take(old_to_stop).chain(current.into_iter().take(spare));
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
