//! How the starts of tasks that do not start are delayed.

use super::*;

/// How many starts come `after_ms` after a pass that saw `text`.
#[track_caller]
fn check_throttle(failures: u32, text: &str, expected_delay_ms: Option<TimestampMs>) {
    let mut service = service(2, 100, 200, 1);
    service.throttle.failures = failures;
    planned(&service, &tasks(&service, text), |plan, _| {
        let delay = plan.look_again_at_ms.filter(|_| plan.starts == 0).map(|at| at - NOW_MS);
        assert_eq!(delay, expected_delay_ms, "{text} after {failures}");
    });
}

#[test]
fn tasks_that_do_not_start_are_started_more_and_more_slowly() {
    check_throttle(0, "v1 failed", Some(1_000));
    check_throttle(1, "v1 failed, v1 failed", Some(2_000));
    check_throttle(4, "v1 failed", Some(16_000));
    check_throttle(40, "v1 failed", Some(900_000));
}

#[test]
fn a_task_that_ran_for_long_is_replaced_at_once() {
    check_throttle(0, "v1 exited, v1 exited", None);
}

#[test]
fn a_task_that_runs_ends_the_delays() {
    let mut service = service(2, 100, 200, 1);
    service.throttle.failures = 3;
    planned(&service, &tasks(&service, "v1 running"), |plan, _| {
        assert_eq!(plan.service.throttle, StartThrottle::default());
        assert_eq!(plan.starts, 1);
    });
}

/// A wall clock that went back a year makes no delay of a year: the longest is what the round asks for.
#[test]
fn a_delay_that_was_set_by_another_clock_is_held_to_its_length() {
    const YEAR_MS: TimestampMs = 365 * 24 * 3_600_000;
    for (not_before_ms, expected_delay_ms) in
        [(NOW_MS + YEAR_MS, Some(4_000)), (NOW_MS - YEAR_MS, None)]
    {
        let mut service = service(2, 100, 200, 1);
        service.throttle.failures = 3;
        service.throttle.not_before_ms = not_before_ms;
        planned(&service, &[], |plan, _| {
            let delay = plan.look_again_at_ms.filter(|_| plan.starts == 0).map(|at| at - NOW_MS);
            assert_eq!(delay, expected_delay_ms);
        });
    }
}
