//! Cases of a service's plan, each a line of text.

use std::cell::Cell;

use outport_model::deployment::{DeploymentStatus, ServiceDeploymentStatus};
use outport_model::network::AwsvpcConfiguration;
use outport_model::service::{
    CircuitBreaker, DeploymentConfiguration, PropagateTags, SchedulingStrategy, ServiceEvent,
    StartThrottle,
};
use outport_model::task::{Reservation, ServiceMembership, TaskOverrides};
use outport_model::task_definition::LaunchType;
use outport_model::{
    AccountId, ClusterName, DeploymentId, DesiredStatus, Family, Region, Scope, ServiceName, Tags,
    TaskStatus,
};

use super::*;
use crate::deployment;
use crate::placement::Unplaceable;

const NOW_MS: TimestampMs = 1_000_000;

struct CountedIds(Cell<u64>);

impl NewIds for CountedIds {
    fn task_id(&self) -> TaskId {
        TaskId::new(self.uuid())
    }
    fn uuid(&self) -> String {
        self.0.set(self.0.get() + 1);
        format!("id-{}", self.0.get())
    }
    fn hex17(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.uuid())
    }
    fn deployment_id(&self) -> DeploymentId {
        DeploymentId::new(self.uuid())
    }
    fn service_deployment_id(&self) -> String {
        self.uuid()
    }
}

/// A service with deployments `v1`, `v2`, … of which the last is PRIMARY and IN_PROGRESS and the ones
/// before were COMPLETED.
fn service(desired: u32, minimum: u32, maximum: u32, versions: u32) -> Service {
    let mut service = Service {
        scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
        cluster: ClusterName::new("default"),
        name: ServiceName::new("web"),
        status: ServiceStatus::Active,
        family: Family::new("web"),
        revision: 1,
        desired_count: desired,
        launch_type: LaunchType::Fargate,
        platform_version: None,
        scheduling_strategy: SchedulingStrategy::Replica,
        configuration: DeploymentConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            circuit_breaker: CircuitBreaker::default(),
        },
        network: AwsvpcConfiguration::default(),
        health_check_grace_period_s: None,
        enable_ecs_managed_tags: false,
        enable_execute_command: false,
        propagate_tags: PropagateTags::None,
        availability_zone_rebalancing: false,
        document: "{}".into(),
        role_arn: None,
        created_by: "root".into(),
        created_at_ms: 0,
        deleted_at_ms: None,
        tags: Tags::new(),
        deployments: Vec::new(),
        events: Vec::new(),
        throttle: StartThrottle::default(),
    };
    for version in 1..=versions {
        if let Some(before) = service.deployments.first_mut() {
            before.rollout_state = RolloutState::Completed;
            before.has_run = true;
        }
        service.revision = version;
        deployment::begin(
            &mut service,
            DeploymentId::new(format!("v{version}")),
            format!("history-v{version}"),
            "{}".into(),
            0,
        );
    }
    service
}

fn history_of(service: &Service) -> Vec<Arc<ServiceDeployment>> {
    let target = service.deployments[0].id.clone();
    let sources = service.deployments[1..].iter().map(|d| d.id.clone()).collect();
    vec![Arc::new(ServiceDeployment {
        scope: service.scope.clone(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        id: format!("history-{target}"),
        target_revision: target,
        source_revisions: sources,
        status: ServiceDeploymentStatus::InProgress,
        status_reason: None,
        created_at_ms: 0,
        started_at_ms: Some(0),
        finished_at_ms: None,
        updated_at_ms: 0,
        configuration: "{}".into(),
    })]
}

/// `v1 running, v2 pending, …`: `healthy` ran for long, `running` just started, `stopping` was told to
/// stop, `failed` ended before RUNNING, `exited` after.
fn tasks(service: &Service, text: &str) -> Vec<Arc<Task>> {
    let words = text.split(", ").filter(|text| !text.is_empty()).enumerate();
    words
        .map(|(index, text)| {
            let (version, state) = text.split_once(' ').unwrap();
            let mut task = blank(service, index, version);
            match state {
                "pending" => task.last_status = TaskStatus::Pending,
                "running" => task.started_at_ms = Some(NOW_MS),
                "healthy" => task.started_at_ms = Some(NOW_MS - 60_000),
                "stopping" => {
                    task.started_at_ms = Some(NOW_MS - 60_000);
                    task.desired_status = DesiredStatus::Stopped;
                }
                "failed" | "exited" => {
                    task.last_status = TaskStatus::Stopped;
                    task.desired_status = DesiredStatus::Stopped;
                    task.stopped_at_ms = Some(NOW_MS - 1);
                    task.stop_code = Some(StopCode::TaskFailedToStart);
                    task.stopped_reason = Some("CannotPullContainerError: no such image".into());
                    if state == "exited" {
                        task.started_at_ms = Some(NOW_MS - 60_000);
                        task.stop_code = Some(StopCode::EssentialContainerExited);
                    }
                }
                other => panic!("unknown state {other}"),
            }
            Arc::new(task)
        })
        .collect()
}

fn blank(service: &Service, index: usize, version: &str) -> Task {
    Task {
        scope: service.scope.clone(),
        cluster: service.cluster.clone(),
        id: TaskId::new(format!("t{index}")),
        family: service.family.clone(),
        revision: 1,
        launch_type: LaunchType::Fargate,
        capacity_provider: None,
        platform_version: None,
        group: "service:web".into(),
        started_by: None,
        service: Some(ServiceMembership {
            service: service.name.clone(),
            deployment: DeploymentId::new(version),
        }),
        overrides: TaskOverrides::default(),
        network: AwsvpcConfiguration::default(),
        enable_execute_command: false,
        tags: Tags::new(),
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Running,
        node: None,
        container_instance: None,
        availability_zone: None,
        reserved: Reservation::default(),
        attachment: None,
        containers: Vec::new(),
        stop_code: None,
        stopped_reason: None,
        created_at_ms: 0,
        connectivity_at_ms: None,
        pull_started_at_ms: None,
        pull_stopped_at_ms: None,
        started_at_ms: None,
        stopping_at_ms: None,
        execution_stopped_at_ms: None,
        stopped_at_ms: None,
        version: 1,
        end_noted: false,
    }
}

/// Plans at `NOW_MS` and hands the plan to `look`.
fn planned<T>(
    service: &Service,
    tasks: &[Arc<Task>],
    look: impl FnOnce(&mut Plan, &Scene<'_>) -> T,
) -> T {
    let history = history_of(service);
    let (ids, settings) = (CountedIds(Cell::new(0)), Settings::default());
    let scene =
        Scene { service, tasks, history: &history, now_ms: NOW_MS, settings: &settings, ids: &ids };
    let mut plan = plan(&scene);
    look(&mut plan, &scene)
}

fn numbers(text: &str) -> Vec<u32> {
    text.split([' ', '-', 'v']).filter(|n| !n.is_empty()).map(|n| n.parse().unwrap()).collect()
}

/// `desired min-max vN` (the PRIMARY deployment is vN) | tasks | steps.
#[track_caller]
fn check(spec: &str, text: &str, expected: &str) {
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

/// The messages that one pass adds, the newest first.
fn events(service: &Service, text: &str) -> Vec<String> {
    planned(service, &tasks(service, text), |plan, _| {
        plan.service.events.iter().map(|event| event.message.clone()).collect()
    })
}

#[test]
fn a_steady_service_completes_its_deployment() {
    let service = service(2, 100, 200, 2);
    planned(&service, &tasks(&service, "v2 healthy, v2 healthy, v1 exited"), |plan, _| {
        assert_eq!(plan.service.deployments.len(), 1);
        let primary = &plan.service.deployments[0];
        assert_eq!(primary.status, DeploymentStatus::Primary);
        assert_eq!(primary.rollout_state, RolloutState::Completed);
        assert_eq!(primary.rollout_state_reason, "ECS deployment ecs-svc/v2 completed.");
        assert_eq!(plan.history[0].status, ServiceDeploymentStatus::Successful);
        assert_eq!(plan.history[0].finished_at_ms, Some(NOW_MS));
    });
    let said = events(&service, "v2 healthy, v2 healthy");
    assert_eq!(
        said,
        [
            "(service web) has reached a steady state.",
            "(service web) (deployment ecs-svc/v2) deployment completed.",
        ]
    );
}

#[test]
fn a_deployment_is_not_over_while_old_tasks_run() {
    let service = service(1, 100, 200, 2);
    for text in ["v2 healthy, v1 stopping", "v2 running", "v2 pending"] {
        planned(&service, &tasks(&service, text), |plan, _| {
            let state = plan.service.deployments[0].rollout_state;
            assert_eq!(state, RolloutState::InProgress, "{text}");
            assert_eq!(plan.service.deployments.len(), 2, "{text}");
        });
    }
}

#[test]
fn a_steady_state_is_said_once_in_six_hours() {
    let mut service = service(1, 100, 200, 1);
    service.deployments[0].rollout_state = RolloutState::Completed;
    let said_ms = |at_ms| ServiceEvent {
        id: "e".into(),
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
fn a_task_that_ran_is_replaced_at_once() {
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

#[test]
fn a_service_that_burns_through_tasks_is_paced() {
    let service = service(1, 100, 200, 1);
    let mut tasks = tasks(&service, &["v1 exited"; 5].join(", "));
    for task in &mut tasks {
        let task = Arc::make_mut(task);
        task.started_at_ms = Some(NOW_MS - 10);
    }
    planned(&service, &tasks, |plan, _| {
        assert_eq!(plan.starts, 0);
        assert_eq!(plan.look_again_at_ms, Some(NOW_MS - 1 + 10_000 + 1));
    });
    planned(&service, &tasks[..4], |plan, _| assert_eq!(plan.starts, 1));
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

fn with_breaker(rollback: bool, versions: u32) -> Service {
    let mut service = service(2, 100, 200, versions);
    service.configuration.circuit_breaker = CircuitBreaker { enable: true, rollback };
    service.deployments[0].failed_tasks = 2;
    service
}

#[test]
fn the_breaker_fails_a_deployment_that_does_not_start() {
    let service = with_breaker(false, 2);
    planned(&service, &tasks(&service, "v1 healthy, v1 healthy, v2 failed"), |plan, _| {
        let primary = &plan.service.deployments[0];
        assert_eq!((primary.id.as_str(), primary.failed_tasks), ("v2", 3));
        assert_eq!(primary.rollout_state, RolloutState::Failed);
        let reason = "ECS deployment circuit breaker: tasks failed to start.";
        assert_eq!(primary.rollout_state_reason, reason);
        assert_eq!((plan.starts, plan.stops.len()), (0, 0));
        assert_eq!(plan.history[0].status, ServiceDeploymentStatus::Stopped);
        assert_eq!(
            plan.service.events[0].message,
            "(service web) (deployment ecs-svc/v2) deployment failed: tasks failed to start."
        );
    });
}

#[test]
fn the_breaker_rolls_back_to_the_last_completed_deployment() {
    let service = with_breaker(true, 2);
    let text = "v1 healthy, v1 healthy, v2 failed, v2 pending";
    let after = planned(&service, &tasks(&service, text), |plan, _| {
        let primary = &plan.service.deployments[0];
        assert_eq!((primary.id.as_str(), primary.status), ("v1", DeploymentStatus::Primary));
        assert_eq!(
            primary.rollout_state_reason,
            "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/v1."
        );
        assert_eq!(plan.service.revision, 1);
        assert_eq!(plan.stops[0].task.as_str(), "t3");
        assert_eq!(plan.history[0].status, ServiceDeploymentStatus::RollbackInProgress);
        plan.clone()
    });
    // And once the rest is gone, the rollback is through.
    let history = vec![Arc::new(after.history[0].clone())];
    let (ids, settings) = (CountedIds(Cell::new(0)), Settings::default());
    let tasks = tasks(&after.service, "v1 healthy, v1 healthy");
    let scene = Scene {
        service: &after.service,
        tasks: &tasks,
        history: &history,
        now_ms: NOW_MS,
        settings: &settings,
        ids: &ids,
    };
    let done = plan(&scene);
    assert_eq!(done.service.deployments.len(), 1);
    assert_eq!(done.service.deployments[0].rollout_state, RolloutState::Completed);
    assert_eq!(done.history[0].status, ServiceDeploymentStatus::RollbackSuccessful);
}

#[test]
fn a_rollback_to_tasks_that_all_run_is_through_at_once() {
    let service = with_breaker(true, 2);
    planned(&service, &tasks(&service, "v1 healthy, v1 healthy, v2 failed"), |plan, _| {
        assert_eq!(plan.service.deployments.len(), 1);
        assert_eq!(plan.service.deployments[0].rollout_state, RolloutState::Completed);
        assert_eq!(plan.history[0].status, ServiceDeploymentStatus::RollbackSuccessful);
        assert_eq!(plan.history[0].finished_at_ms, Some(NOW_MS));
    });
}

#[test]
fn failures_count_no_more_once_a_task_ran() {
    let service = with_breaker(true, 1);
    planned(&service, &tasks(&service, "v1 running, v1 failed"), |plan, _| {
        let primary = &plan.service.deployments[0];
        assert_eq!((primary.failed_tasks, primary.has_run), (0, true));
        assert_eq!(primary.rollout_state, RolloutState::InProgress);
    });
}

#[test]
fn half_of_the_tasks_trip_the_breaker_within_bounds() {
    for (desired, expected) in [(1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (5_000, 200)] {
        assert_eq!(circuit_breaker::threshold(desired), expected, "{desired}");
    }
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
