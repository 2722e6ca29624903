//! Tasks that asked to be left alone while they work.
//!
//! A protected task is stopped by no deployment and by no smaller desired count, until its protection is over or taken
//! back; that it is sick, or that its service is deleted, stops it all the same. While it holds a deployment up, the
//! service says so.
//!
//! Source: "Task scale-in protection" in the Amazon ECS Developer Guide; botocore's documentation of
//! `UpdateTaskProtection`.

use outport_model::TimestampMs;
use outport_model::task::Task;

use super::health::is_sick;
use super::{Plan, Scene, events};

/// Whether the scheduler leaves it alone now.
pub(super) fn is_protected(task: &Task, scene: &Scene<'_>) -> bool {
    !is_sick(task, scene) && ends_at_ms(task, scene).is_some()
}

fn ends_at_ms(task: &Task, scene: &Scene<'_>) -> Option<TimestampMs> {
    task.protected_until_ms.filter(|until_ms| scene.now.wall_ms < *until_ms && task.is_wanted())
}

/// Looks again when the first protection ends, and says so if there are more protected tasks than the service wants.
pub(super) fn look_again(scene: &Scene<'_>, plan: &mut Plan) {
    let ends = || scene.tasks.iter().filter_map(|task| ends_at_ms(task, scene));
    let Some(first_ms) = ends().min() else { return };
    plan.look_again_by(first_ms);
    if ends().count() > plan.service.desired_count as usize {
        events::protected(&mut plan.service, scene);
    }
}
