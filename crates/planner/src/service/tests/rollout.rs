//! How far a deployment has come.

use outport_model::deployment_configuration::EarlySuccess;

use super::*;

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

/// Four tasks of which half are enough, with the cleanup before or after | tasks | whether that is a success.
#[test]
fn an_early_success_is_said_as_soon_as_it_was_asked_for() {
    let check = |deferred_cleanup: bool, text: &str, is_success: bool| {
        let mut service = service(4, 50, 150, 2);
        service.configuration.early_success =
            Some(EarlySuccess { healthy_percent: 50, deferred_cleanup });
        planned(&service, &tasks(&service, text), |plan, _| {
            let state = plan.service.deployments[0].rollout_state;
            assert_eq!(state == RolloutState::Completed, is_success, "{deferred_cleanup} {text}");
        });
    };
    let half = "v2 healthy, v2 healthy";
    check(true, "v1 healthy, v1 healthy, v2 healthy, v2 running", false);
    check(true, &format!("v1 healthy, v1 healthy, {half}"), true);
    check(false, &format!("v1 healthy, v1 healthy, {half}"), false);
    check(false, &format!("v1 stopping, {half}"), false);
    check(false, &format!("{half}, v2 running, v2 pending"), true);
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
