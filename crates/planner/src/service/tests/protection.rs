//! Protected tasks.

use super::steps::check;
use super::*;

#[test]
fn a_smaller_count_stops_others() {
    check("1 100-200 v1", "v1 healthy, v1 healthy protected", "stop t0");
    check("1 100-200 v1", "v1 healthy protected, v1 healthy protected", "");
}

#[test]
fn a_deployment_waits_for_them() {
    check("1 100-200 v2", "v1 healthy protected, v2 healthy", "");
    check("2 100-200 v2", "v1 healthy protected, v1 healthy, v2 healthy, v2 healthy", "stop t1");
    check("1 0-100 v2", "v1 healthy protected", "");
}

#[test]
fn a_sick_one_is_replaced_all_the_same() {
    check("1 100-200 v1", "v1 sick protected, v1 well", "stop t0");
}

#[test]
fn the_end_of_the_protection_is_waited_for() {
    let service = service(1, 100, 200, 1);
    let text = "v1 healthy protected, v1 healthy protected";
    planned(&service, &tasks(&service, text), |plan, _| {
        assert_eq!(plan.look_again_at_ms, Some(NOW_MS + 90_000));
        assert_eq!(
            plan.service.events[0].message,
            "(service web) was unable to reach steady state because task set (ecs-svc/v1) was unable to scale in. \
             Reason: The number of protected tasks are more than the desired count of tasks."
        );
    });
    let mut late = tasks(&service, text);
    for task in &mut late {
        Arc::make_mut(task).protected_until_ms = Some(NOW_MS);
    }
    planned(&service, &late, |plan, _| assert_eq!(plan.stops.len(), 1));
}

#[test]
fn a_service_that_goes_asks_nobody() {
    let mut service = service(1, 100, 200, 1);
    service.status = ServiceStatus::Draining;
    planned(&service, &tasks(&service, "v1 healthy protected"), |plan, _| {
        assert_eq!(plan.stops.len(), 1);
    });
}
