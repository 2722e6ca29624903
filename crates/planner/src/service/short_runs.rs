//! Says that tasks end by themselves right after they started.
//!
//! AWS replaces such a task at once, for ever, counts no failure and says nothing: only tasks that end
//! before RUNNING are failures to start ("Amazon ECS service throttle logic"). That is kept. The event is
//! ours: without it nothing tells why a service never becomes steady.

use outport_model::task::{StopCode, Task};

use super::is_of;
use super::{Plan, Scene, events};

/// So many in a row are no accident.
const IN_A_ROW: usize = 5;
const TEXT: &str = "has started tasks that ended by themselves soon after, ";

/// Adds the event when the youngest tasks of the PRIMARY deployment that came to RUNNING all ended soon by
/// themselves. The same one is left out for as long as AWS leaves out a repeated one.
pub(super) fn say(scene: &Scene<'_>, plan: &mut Plan) {
    let Some(primary) = plan.service.deployments.first() else { return };
    let ran = scene.tasks.iter().filter(|task| is_of(task, &primary.id));
    let mut ran: Vec<&Task> =
        ran.map(|task| &**task).filter(|task| task.started_at_ms.is_some()).collect();
    ran.sort_by_key(|task| std::cmp::Reverse(task.started_at_ms));
    let youngest = ran.get(..IN_A_ROW).unwrap_or_default();
    if youngest.len() == IN_A_ROW && youngest.iter().all(|task| is_short_run(task, scene)) {
        let text = format!("{TEXT}{IN_A_ROW} in a row. The last one: {}", end_of(youngest[0]));
        events::once(&mut plan.service, &text, scene);
    }
}

/// Whether the message of an event is one of these, for the log.
pub fn is_of_short_runs(message: &str) -> bool {
    message.contains(TEXT)
}

fn is_short_run(task: &Task, scene: &Scene<'_>) -> bool {
    let (Some(started_ms), Some(stopped_ms)) = (task.started_at_ms, task.stopped_at_ms) else {
        return false;
    };
    task.stop_code == Some(StopCode::EssentialContainerExited)
        && stopped_ms - started_ms < scene.settings.short_run_window_ms
}

/// The reason of the task, and how each container ended. No id, so that the next one reads the same.
fn end_of(task: &Task) -> String {
    let mut text = task.stopped_reason.clone().unwrap_or_default();
    text.truncate(text.trim_end_matches('.').len());
    for container in &task.containers {
        match (container.exit_code, &container.reason) {
            (Some(code), None) => {
                text += &format!("; container {} exited with {code}", container.name)
            }
            (Some(code), Some(reason)) => {
                text += &format!("; container {} exited with {code} ({reason})", container.name);
            }
            (None, Some(reason)) => text += &format!("; container {}: {reason}", container.name),
            (None, None) => {}
        }
    }
    text + "."
}
