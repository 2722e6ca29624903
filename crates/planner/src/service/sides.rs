//! Two revisions beside each other, as a deployment in stages has them.
//!
//! **Invariant:** neither side makes room for the other, and all sides together keep the floor.

use std::sync::Arc;

use outport_model::deployment_configuration::{DeploymentStrategy, LifecycleStage};
use outport_model::task::Task;

use super::is_of;
use super::steps::{Bounds, Stop, Wanted, stops, within_floor};
use super::{Plan, Scene, Starts, stages, throttle};

/// The PRIMARY deployment has its tasks, and what has the traffic keeps its own.
pub(super) fn decide(
    scene: &Scene<'_>,
    plan: &mut Plan,
    strategy: DeploymentStrategy,
    stage: LifecycleStage,
) {
    let service = &plan.service;
    let Some(primary) = service.deployments.first().map(|one| one.id.clone()) else { return };
    let serving = stages::serving(&service.deployments).map(|one| one.id.clone());
    let desired = service.desired_count;
    let of_primary = if stage >= LifecycleStage::ScaleUp { desired } else { 0 };
    let mine = Side::of(scene, Bounds::of(service, of_primary), |task| is_of(task, &primary));
    // What the others are to have goes only when the new ones serve in their place.
    let floor = service.configuration.healthy_floor(desired) as usize;
    let of_serving = match stage {
        LifecycleStage::CleanUp if mine.wanted.healthy >= floor => 0,
        _ => desired,
    };
    let is_rolling = strategy == DeploymentStrategy::Rolling;
    let is_kept = |task: &Task| match &serving {
        // Rolling, all revisions before serve together.
        Some(_) if is_rolling => !is_of(task, &primary),
        Some(serving) => is_of(task, serving),
        None => false,
    };
    let theirs = Side::of(scene, Bounds::of(service, of_serving), is_kept);
    let is_rest = |task: &Task| !is_of(task, &primary) && !is_kept(task);
    let rest = Side::of(scene, Bounds::of(service, 0), is_rest);

    let sides = [&mine, &theirs, &rest];
    // Whoever they are, so many are to serve.
    let healthy = sides.iter().map(|side| side.wanted.healthy).sum();
    let candidates = sides.into_iter().flat_map(|side| side.stops(scene));
    let stops = within_floor(scene, candidates, healthy, floor);
    plan.stops = stops.into_iter().map(|task| Stop::by(&primary, task, scene)).collect();

    let throttled_until_ms =
        throttle::starts_not_before_ms(scene, &plan.service).filter(|_| mine.starts() > 0);
    let changes_at_ms = sides.into_iter().filter_map(|side| side.wanted.changes_at_ms(scene)).min();
    // The delay is of the tasks that do not come up: those that serve are replaced.
    plan.starts = if throttled_until_ms.is_some() { 0 } else { mine.starts() };
    plan.starts_of_serving = serving
        .filter(|_| theirs.starts() > 0)
        .map(|deployment| Starts { deployment, count: theirs.starts() });
    for at_ms in throttled_until_ms.into_iter().chain(changes_at_ms) {
        plan.look_again_by(at_ms);
    }
}

/// Tasks that are brought to a number of their own.
struct Side<'a> {
    wanted: Wanted<'a>,
    bounds: Bounds,
}

impl<'a> Side<'a> {
    fn of(scene: &Scene<'a>, bounds: Bounds, is_among: impl Fn(&Task) -> bool) -> Self {
        Self { wanted: Wanted::of(scene, is_among, |_| true), bounds }
    }

    fn starts(&self) -> u32 {
        u32::try_from(self.bounds.missing(&self.wanted).1).unwrap_or(u32::MAX)
    }

    fn stops(&self, scene: &Scene<'_>) -> Vec<&'a Arc<Task>> {
        stops(scene, &self.wanted, self.bounds, false)
    }
}
