//! What is started and stopped, each case a line of text.

use super::*;

pub(super) fn numbers(text: &str) -> Vec<u32> {
    text.split([' ', '-', 'v']).filter(|n| !n.is_empty()).map(|n| n.parse().unwrap()).collect()
}

/// `desired min-max vN` (the PRIMARY deployment is vN) | tasks | steps.
#[track_caller]
pub(super) fn check(spec: &str, text: &str, expected: &str) {
    let n = numbers(spec);
    let service = service(n[0], n[1], n[2], n[3]);
    let steps = planned(&service, &tasks(&service, text), |plan, _| {
        let starts = (plan.starts > 0).then(|| format!("start {}", plan.starts));
        let stops = plan.stops.iter().map(|stop| format!("stop {}", stop.task));
        starts.into_iter().chain(stops).collect::<Vec<_>>().join(", ")
    });
    assert_eq!(steps, expected, "{spec} | {text}");
}

#[test]
fn starts_what_is_missing() {
    check("3 100-200 v1", "", "start 3");
    check("3 100-200 v1", "v1 pending, v1 healthy", "start 1");
    check("2 100-200 v1", "v1 healthy, v1 exited", "start 1");
    check("2 100-200 v1", "v1 healthy, v1 stopping", "start 1");
}

#[test]
fn leaves_a_steady_service_alone() {
    check("2 100-200 v1", "v1 healthy, v1 healthy", "");
    check("0 100-200 v1", "", "");
}

#[test]
fn starts_new_before_stopping_old() {
    check("2 100-200 v2", "v1 healthy, v1 healthy", "start 2");
    check("2 100-200 v2", "v1 healthy, v1 healthy, v2 pending, v2 pending", "");
    check("2 100-200 v2", "v1 healthy, v1 healthy, v2 running, v2 running", "");
    check("2 100-200 v2", "v1 healthy, v1 healthy, v2 healthy, v2 running", "stop t0");
    check("2 100-200 v2", "v1 healthy, v1 healthy, v2 healthy, v2 healthy", "stop t0, stop t1");
}

#[test]
fn a_task_that_just_started_does_not_replace_one_that_serves() {
    check("1 100-200 v2", "v1 healthy, v2 running", "");
    check("1 100-200 v2", "v1 healthy, v2 healthy", "stop t0");
}

#[test]
fn stops_old_first_when_the_ceiling_leaves_no_room() {
    check("2 50-100 v2", "v1 healthy, v1 healthy", "stop t0");
    check("2 50-100 v2", "v1 healthy, v1 stopping", "start 1");
    check("4 50-100 v2", "v1 healthy, v1 healthy, v1 healthy, v1 healthy", "stop t0, stop t1");
    check("3 0-100 v2", "v1 healthy, v1 healthy, v1 healthy", "stop t0, stop t1, stop t2");
}

#[test]
fn tasks_that_do_not_serve_go_first_and_for_free() {
    check("2 100-100 v2", "v1 pending, v1 healthy", "stop t0");
    check("1 100-200 v1", "v1 healthy, v1 pending", "stop t1");
    check("0 100-200 v1", "v1 healthy, v1 pending", "stop t1, stop t0");
}

#[test]
fn an_overtaken_deployment_makes_room() {
    check("2 100-200 v3", "v1 healthy, v1 healthy, v2 pending, v2 pending", "stop t2, stop t3");
    check("2 100-200 v3", "v1 healthy, v1 healthy, v2 stopping, v2 stopping", "start 2");
}

#[test]
fn a_draining_service_is_inactive_once_its_tasks_are_gone() {
    let mut service = service(0, 100, 200, 1);
    service.status = ServiceStatus::Draining;
    planned(&service, &tasks(&service, "v1 healthy, v1 pending"), |plan, _| {
        assert_eq!((plan.stops.len(), plan.service.status), (2, ServiceStatus::Draining));
    });
    planned(&service, &tasks(&service, "v1 stopping"), |plan, _| {
        assert_eq!(plan.service.status, ServiceStatus::Draining);
    });
    planned(&service, &tasks(&service, "v1 exited"), |plan, _| {
        assert_eq!(plan.service.status, ServiceStatus::Inactive);
        assert!(plan.service.deployments.is_empty());
        assert_eq!(plan.history[0].status, ServiceDeploymentStatus::Stopped);
    });
}
