//! Tasks with health checks: who counts, who is replaced, and what gives a deployment up.

use super::steps::check;
use super::*;

#[test]
fn a_task_with_checks_counts_once_it_is_healthy() {
    check("1 100-200 v2", "v1 healthy, v2 unknown", "");
    check("1 100-200 v2", "v1 healthy, v2 well", "stop t0");
    check("1 100-200 v2", "v1 unknown, v2 well", "stop t0");
}

#[test]
fn a_sick_task_is_replaced_first_and_stopped_then() {
    check("2 100-200 v1", "v1 well, v1 sick", "start 1");
    check("2 100-200 v1", "v1 well, v1 sick, v1 pending", "");
    check("2 100-200 v1", "v1 well, v1 sick, v1 unknown", "");
    check("2 100-200 v1", "v1 well, v1 sick, v1 well", "stop t1");
    // A replacement that is no better goes itself, and there is another.
    check("2 100-200 v1", "v1 well, v1 sick, v1 sick", "start 1, stop t1");
}

#[test]
fn without_room_above_it_goes_first() {
    check("2 50-100 v1", "v1 well, v1 sick", "stop t1");
    check("2 0-100 v1", "v1 sick, v1 sick", "stop t0, stop t1");
}

#[test]
fn in_its_grace_period_a_task_may_be_sick() {
    let mut service = service(1, 100, 200, 1);
    let look = |service: &Service| {
        planned(service, &tasks(service, "v1 sick"), |plan, _| (plan.starts, plan.look_again_at_ms))
    };
    assert_eq!(look(&service), (1, None));
    // It runs for 60 seconds.
    service.health_check_grace_period_s = Some(60);
    assert_eq!(look(&service), (1, None));
    service.health_check_grace_period_s = Some(61);
    assert_eq!(look(&service), (0, Some(NOW_MS + 1_000)));
}

#[test]
fn the_reason_and_the_event_say_so() {
    let service = service(1, 0, 100, 1);
    planned(&service, &tasks(&service, "v1 sick"), |plan, _| {
        assert_eq!(plan.stops[0].reason, "Task failed container health checks");
        let said: Vec<_> = plan.service.events.iter().map(|event| &*event.message).collect();
        assert_eq!(
            said,
            [
                "(service web) has stopped 1 running tasks: (task t0).",
                "(service web) (task t0) failed container health checks.",
            ]
        );
    });
}

/// The failures that are counted before | tasks | those after, and whether that gives the deployment up.
#[track_caller]
fn counts(forgives: bool, before: u32, text: &str, after: u32, is_given_up: bool) {
    let mut service = service(1, 100, 200, 2);
    service.configuration.circuit_breaker = CircuitBreaker {
        enable: true,
        reset_on_healthy_task: forgives,
        ..CircuitBreaker::default()
    };
    service.deployments[0].failed_tasks = before;
    planned(&service, &tasks(&service, text), |plan, _| {
        let primary = &plan.service.deployments[0];
        assert_eq!(primary.failed_tasks, after, "{text}");
        assert_eq!(primary.rollout_state == RolloutState::Failed, is_given_up, "{text}");
    });
}

#[test]
fn tasks_that_do_not_become_healthy_trip_the_breaker() {
    counts(true, 1, "v1 well, v2 unknown, v2 cured", 2, false);
    counts(true, 2, "v1 well, v2 unknown, v2 cured", 3, true);
    counts(true, 2, "v1 well, v2 well, v2 cured", 0, false);
    counts(false, 2, "v1 well, v2 well, v2 cured", 3, true);
    // Once one ran, those that do not start count only where nothing is forgiven.
    counts(true, 2, "v1 well, v2 unknown, v2 failed", 2, false);
    counts(false, 2, "v1 well, v2 unknown, v2 failed", 3, true);
}
