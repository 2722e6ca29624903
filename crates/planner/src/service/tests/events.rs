//! What a service says of itself.

use super::steps::check;
use super::*;
use crate::shortage::Shortage;

#[test]
fn a_floor_at_the_ceiling_is_said() {
    let service = service(1, 100, 150, 2);
    check("1 100-150 v2", "v1 healthy", "");
    let said = events(&service, "v1 healthy");
    assert_eq!(
        said,
        ["(service web) was unable to stop or start tasks during a deployment because of the \
             service deployment configuration. Update the minimumHealthyPercent or maximumPercent \
             value and try again."]
    );
}

#[test]
fn a_steady_state_is_said_once_in_six_hours() {
    let mut service = service(1, 100, 200, 1);
    service.deployments[0].rollout_state = RolloutState::Completed;
    let said_ms = |at_ms| ServiceEvent {
        id: ServiceEventId::new("e"),
        at_ms,
        message: "(service web) has reached a steady state.".into(),
    };
    service.events = vec![said_ms(NOW_MS - 5)];
    assert_eq!(events(&service, "v1 healthy").len(), 1);
    service.events = vec![said_ms(NOW_MS - 6 * 60 * 60 * 1000)];
    assert_eq!(events(&service, "v1 healthy").len(), 2);
}

#[test]
fn stops_name_the_deployment_that_wants_them() {
    let service = service(1, 100, 200, 2);
    planned(&service, &tasks(&service, "v1 healthy, v2 healthy"), |plan, _| {
        assert_eq!(plan.stops[0].code, StopCode::ServiceSchedulerInitiated);
        let reason = "Scaling activity initiated by (deployment ecs-svc/v2)";
        assert_eq!(plan.stops[0].reason, reason);
        let said = &plan.service.events[0].message;
        assert_eq!(said, "(service web) has stopped 1 running tasks: (task t0).");
    });
}

#[test]
fn why_a_start_failed_is_said_on_fargate_only() {
    for (launch_type, said) in [(LaunchType::Fargate, true), (LaunchType::Ec2, false)] {
        let mut service = service(1, 100, 200, 1);
        service.launch_type = launch_type;
        let mut tasks = tasks(&service, "v1 failed");
        Arc::make_mut(&mut tasks[0]).stopped_reason = Some("CannotPullContainerError: x".into());
        planned(&service, &tasks, |plan, _| {
            let text =
                "(service web) was unable to place a task. Reason: CannotPullContainerError: x.";
            assert_eq!(plan.service.events.iter().any(|event| event.message == text), said);
        });
    }
}

#[test]
fn a_task_without_a_place_is_said_once() {
    let service = service(2, 100, 200, 1);
    let rejection = Rejection::of(Unplaceable::NoCapacity);
    planned(&service, &[], |plan, scene| {
        record_starts(plan, scene, &[TaskId::new("a")], Some(&rejection));
        record_starts(plan, scene, &[], Some(&rejection));
        let said: Vec<&str> = plan.service.events.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(
            said,
            [
                "(service web) was unable to place a task. Reason: Capacity is unavailable at this \
                 time. Please try again later or in a different availability zone. For more \
                 information, see the Troubleshooting section of the Amazon ECS Developer Guide.",
                "(service web) has started 1 tasks: (task a).",
            ]
        );
        assert_eq!(plan.service.deployments[0].failed_tasks, 1);
    });
}

/// The text of the last event once a task of 256 CPU units found no node with `free` MiB, and how many there are.
fn said_of_shortage(free: &[u64]) -> (String, usize) {
    let service = service(2, 100, 200, 1);
    planned(&service, &[], |plan, scene| {
        for free_mib in free {
            let rejection = Rejection {
                shortage: Some(Shortage::for_tests((256, 512), (1024, *free_mib))),
                ..Rejection::of(Unplaceable::NoCapacity)
            };
            record_starts(plan, scene, &[], Some(&rejection));
        }
        (plan.service.events[0].message.clone(), plan.service.events.len())
    })
}

#[test]
fn a_task_without_a_place_is_said_with_numbers_and_once_though_they_change() {
    let (said, count) = said_of_shortage(&[100, 90, 80]);
    let numbers = "Developer Guide. (wanted: 256 CPU units, 512 MiB; free on the machine with the most memory left \
                   (host): 1024 CPU units, 100 MiB)";
    assert!(said.ends_with(numbers), "{said}");
    assert_eq!(count, 1);
}

#[test]
fn room_that_its_own_tasks_still_hold_is_no_failure() {
    let service = service(1, 0, 100, 2);
    let rejection = Rejection::of(Unplaceable::NoCapacity);
    planned(&service, &tasks(&service, "v1 stopping"), |plan, scene| {
        record_starts(plan, scene, &[], Some(&rejection));
        assert!(plan.service.events.is_empty());
        assert_eq!(plan.service.deployments[0].failed_tasks, 0);
    });
}
