//! Tasks that end by themselves right after they started: they are said, and replaced after a pause.
//!
//! AWS replaces such a task for ever, counts no failure and says nothing: only tasks that end before RUNNING are failures
//! to start, with the event and the long delays of `throttle` ("Amazon ECS service throttle logic"). That is kept. The event
//! here is ours: without it nothing tells why a service never becomes steady. So is the pause: AWS needs tens of seconds to
//! start a task, which keeps a crash loop slow, and a node here needs milliseconds.
//!
//! ```text
//! rounds of short runs in a row    1    2    3    4    5 and more
//! pause after the last end         1 s  2 s  4 s  8 s  10 s
//! ```
//!
//! A round is as many tasks as the service wants. The row ends with a task that lives longer, and with the deployment.

use outport_model::TimestampMs;
use outport_model::service::Service;
use outport_model::task::{StopCode, Task};

use super::is_of;
use super::{Plan, Scene, events};

/// So many in a row are no accident.
const IN_A_ROW: usize = 5;
const TEXT: &str = "has started tasks that ended by themselves soon after, ";

/// Adds the event when the youngest tasks of the PRIMARY deployment that came to RUNNING all ended soon by
/// themselves. The same one is left out for as long as AWS leaves out a repeated one.
pub(super) fn say(scene: &Scene<'_>, plan: &mut Plan) {
    let ran = youngest_first(scene, &plan.service);
    let youngest = ran.get(..IN_A_ROW).unwrap_or_default();
    if youngest.len() == IN_A_ROW && youngest.iter().all(|task| is_short_run(task, scene)) {
        let text = format!("{TEXT}{IN_A_ROW} in a row. The last one: {}", end_of(youngest[0]));
        events::once(&mut plan.service, &text, scene);
    }
}

/// Until when no task of the PRIMARY deployment may be started, since its last ones lived only for a moment; `None`: now is
/// fine. An end that lies ahead, of a clock that went back since, makes no pause.
pub(super) fn paused_until_ms(scene: &Scene<'_>, service: &Service) -> Option<TimestampMs> {
    let now_ms = scene.now.wall_ms;
    let mut ends_ms = Vec::new();
    for task in youngest_first(scene, service) {
        match task.stopped_at_ms {
            Some(stopped_ms) if is_short_run(task, scene) => ends_ms.push(stopped_ms),
            // It was stopped before it could tell, or runs and may still end soon.
            _ if lived_ms(task, now_ms) < scene.settings.short_run_window_ms => {}
            _ => break,
        }
    }
    let last_ms = ends_ms.iter().copied().filter(|end_ms| *end_ms <= now_ms).max()?;
    let rounds = ends_ms.len().div_ceil(service.desired_count.max(1) as usize);
    let doublings = rounds.saturating_sub(1).min(30);
    let pause_ms = scene.settings.short_run_pause_first_ms.saturating_mul(1 << doublings);
    let until_ms = last_ms + pause_ms.min(scene.settings.short_run_pause_longest_ms);
    (now_ms < until_ms).then_some(until_ms)
}

/// The tasks of the PRIMARY deployment that came to RUNNING.
fn youngest_first<'a>(scene: &Scene<'a>, service: &Service) -> Vec<&'a Task> {
    let Some(primary) = service.deployments.first() else { return Vec::new() };
    let of_it = scene.tasks.iter().filter(|task| is_of(task, &primary.id));
    let mut ran: Vec<&Task> =
        of_it.map(|task| &**task).filter(|task| task.started_at_ms.is_some()).collect();
    ran.sort_by_key(|task| std::cmp::Reverse(task.started_at_ms));
    ran
}

fn lived_ms(task: &Task, now_ms: TimestampMs) -> TimestampMs {
    let started_ms = task.started_at_ms.unwrap_or(now_ms);
    task.stopped_at_ms.unwrap_or(now_ms) - started_ms
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
