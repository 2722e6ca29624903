//! Delays the starts of a service whose tasks do not come up.
//!
//! Only tasks that end before RUNNING count; what is made of those that ran and ended soon is in `short_runs`. A new
//! deployment starts with no delay. Source: "Amazon ECS service throttle logic".

use outport_model::TimestampMs;
use outport_model::service::{Service, StartThrottle};
use outport_model::task::Task;
use outport_model::task_definition::LaunchType;

use super::{Plan, Scene, events, is_of, short_runs};

/// From this round of failures on, the service says that it is throttled.
const SAID_FROM_ROUND: u32 = 3;

/// Takes the failed starts in and, once a task of a later round runs, forgets them.
pub(super) fn update(scene: &Scene<'_>, plan: &mut Plan, failed: &[&Task]) {
    let service = &mut plan.service;
    hold_to_the_delay(scene, service);
    if service.throttle.failures > 0 && a_later_task_runs(scene, service) {
        service.throttle = StartThrottle::default();
    }
    let Some(last) = failed.last() else { return };
    // On a container instance the container says why, and the service has no such event.
    if let (LaunchType::Fargate, Some(reason)) = (service.launch_type, &last.stopped_reason) {
        events::start_failed(service, reason, scene);
    }
    let of_this_deployment =
        service.deployments.first().is_some_and(|d| failed.iter().any(|task| is_of(task, &d.id)));
    if !of_this_deployment || scene.now.wall_ms < service.throttle.not_before_ms {
        return;
    }
    service.throttle.failures += 1;
    service.throttle.not_before_ms = scene.now.wall_ms + delay_ms(scene, service.throttle.failures);
    if service.throttle.failures >= SAID_FROM_ROUND {
        events::throttled(service, scene);
    }
}

/// No delay is longer than its round asks for: a wall clock that went back does not make one of a year.
/// One that went forward ends a delay early, and the next failure makes it twice as long.
fn hold_to_the_delay(scene: &Scene<'_>, service: &mut Service) {
    let throttle = &mut service.throttle;
    if throttle.failures > 0 {
        let latest_ms = scene.now.wall_ms + delay_ms(scene, throttle.failures);
        throttle.not_before_ms = throttle.not_before_ms.min(latest_ms);
    }
}

fn a_later_task_runs(scene: &Scene<'_>, service: &Service) -> bool {
    scene
        .tasks
        .iter()
        .any(|task| task.is_running() && task.created_at_ms >= service.throttle.not_before_ms)
}

fn delay_ms(scene: &Scene<'_>, round: u32) -> TimestampMs {
    let doublings = round.saturating_sub(1).min(30);
    let delay_ms = scene.settings.throttle_first_ms.saturating_mul(1 << doublings);
    delay_ms.min(scene.settings.throttle_longest_ms)
}

/// Until when no task may be started; `None`: now is fine.
pub(super) fn starts_not_before_ms(scene: &Scene<'_>, service: &Service) -> Option<TimestampMs> {
    let throttled_ms = service.throttle.not_before_ms;
    let paused_ms = short_runs::paused_until_ms(scene, service).unwrap_or(0);
    let until_ms = throttled_ms.max(paused_ms);
    (scene.now.wall_ms < until_ms).then_some(until_ms)
}
