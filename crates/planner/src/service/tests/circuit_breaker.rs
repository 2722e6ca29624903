//! Deployments that are given up.

use outport_model::deployment_configuration::FailureThreshold;

use super::*;

fn with_breaker(rollback: bool, versions: u32) -> Service {
    let mut service = service(2, 100, 200, versions);
    service.configuration.circuit_breaker =
        CircuitBreaker { enable: true, rollback, ..CircuitBreaker::default() };
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
        assert_eq!((plan.service.revision, &plan.service.document), (1, &document(1)));
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
        now: Now::steady_at(NOW_MS),
        settings: &settings,
        ids: &ids,
        place_of: &|_| None,
        drains: false,
    };
    let done = plan(&scene);
    assert_eq!(states(&done.service), ["v1 PRIMARY COMPLETED", "v2 ACTIVE FAILED"]);
    assert_eq!(done.history[0].status, ServiceDeploymentStatus::RollbackSuccessful);
}

#[test]
fn a_rollback_to_tasks_that_all_run_is_through_at_once() {
    let service = with_breaker(true, 2);
    planned(&service, &tasks(&service, "v1 healthy, v1 healthy, v2 failed"), |plan, _| {
        assert_eq!(states(&plan.service), ["v1 PRIMARY COMPLETED", "v2 ACTIVE FAILED"]);
        assert_eq!(plan.history[0].status, ServiceDeploymentStatus::RollbackSuccessful);
        assert_eq!(plan.history[0].rollback_started_at_ms, Some(NOW_MS));
        assert_eq!(plan.history[0].finished_at_ms, Some(NOW_MS));
    });
}

fn states(service: &Service) -> Vec<String> {
    let state = |one: &outport_model::deployment::Deployment| {
        format!("{} {} {}", one.id, one.status.as_str(), one.rollout_state.as_str())
    };
    service.deployments.iter().map(state).collect()
}

#[test]
fn a_deployment_that_failed_is_shown_for_a_while_and_is_no_source_of_the_next() {
    let mut service = with_breaker(true, 2);
    service.deployments[0].rollout_state = RolloutState::Failed;
    service.deployments.swap(0, 1);
    service.deployments[0].status = DeploymentStatus::Primary;
    service.deployments[1].status = DeploymentStatus::Active;
    let look = |service: &Service| {
        planned(service, &tasks(service, "v1 healthy, v1 healthy"), |plan, _| {
            (states(&plan.service).len(), plan.look_again_at_ms)
        })
    };
    service.deployments[1].updated_at_ms = NOW_MS - 10_000;
    assert_eq!(look(&service), (2, Some(NOW_MS + 20_000)));
    let next = DeploymentId::new("v3");
    let history = ServiceDeploymentId::new("history-v3");
    let begun = deployment::begin(&mut service.clone(), next, history, "{}".into(), NOW_MS);
    assert_eq!(begun.source_revisions, [DeploymentId::new("v1")]);
    service.deployments[1].updated_at_ms = NOW_MS - 30_000;
    assert_eq!(look(&service), (1, None));
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
        assert_eq!(FailureThreshold::default().failures(desired), expected, "{desired}");
    }
}
