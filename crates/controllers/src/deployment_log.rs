//! What the log says of services and their deployments.
//!
//! **Invariant:** a step of a deployment is said once, when the row of its history moves.

use std::sync::Arc;

use outport_model::deployment::{ServiceDeployment, ServiceDeploymentStatus};
use outport_model::service::{Service, ServiceEvent};
use outport_planner::Rejection;
use outport_planner::service::{is_of_no_place, is_of_short_runs};

/// Says that a deployment began, or how it ended. `before`: the rows as they are in the store.
pub(crate) fn moved(before: &[Arc<ServiceDeployment>], after: &ServiceDeployment) {
    let old = before.iter().find(|entry| entry.id == after.id).map(|entry| entry.status);
    if old == Some(after.status) {
        return;
    }
    let ServiceDeployment { cluster, service, target_revision: deployment, .. } = after;
    let reason = after.status_reason.as_deref().unwrap_or_default();
    match after.status {
        ServiceDeploymentStatus::InProgress => tracing::info!(
            event = "service_deployment_started",
            %cluster,
            %service,
            %deployment,
            "a deployment of a service has started"
        ),
        ServiceDeploymentStatus::Successful => tracing::info!(
            event = "service_deployment_completed",
            %cluster,
            %service,
            %deployment,
            "a deployment of a service is completed"
        ),
        ServiceDeploymentStatus::RollbackInProgress => tracing::warn!(
            event = "service_deployment_rolls_back",
            %cluster,
            %service,
            %deployment,
            reason,
            "a deployment of a service failed and is rolled back"
        ),
        ServiceDeploymentStatus::Stopped
        | ServiceDeploymentStatus::RollbackSuccessful
        | ServiceDeploymentStatus::RollbackFailed => tracing::warn!(
            event = "service_deployment_failed",
            %cluster,
            %service,
            %deployment,
            status = after.status.as_str(),
            reason,
            "a deployment of a service ended without success"
        ),
        ServiceDeploymentStatus::Pending
        | ServiceDeploymentStatus::StopRequested
        | ServiceDeploymentStatus::RollbackRequested => {}
    }
}

/// That a task found no place, as often as the service has an event of it.
pub(crate) fn not_placed(before: &Service, after: &Service, rejection: Option<&Rejection>) {
    let Some(rejection) = rejection else { return };
    if !new_events(before, after).any(|event| is_of_no_place(&event.message)) {
        return;
    }
    let shortage = rejection.shortage.as_ref().map(ToString::to_string).unwrap_or_default();
    tracing::info!(
        event = "service_task_not_placed",
        cluster = %after.cluster,
        service = %after.name,
        reason = %rejection.reason,
        shortage,
        "a task of a service fits nowhere"
    );
}

fn new_events<'a>(
    before: &'a Service,
    after: &'a Service,
) -> impl Iterator<Item = &'a ServiceEvent> {
    let known = before.events.first().map(|event| &event.id);
    after.events.iter().take_while(move |event| Some(&event.id) != known)
}

/// The one event of a service that asks for somebody to look.
pub(crate) fn short_runs(before: &Service, after: &Service) {
    for event in new_events(before, after).filter(|event| is_of_short_runs(&event.message)) {
        tracing::warn!(
            event = "service_tasks_failing",
            cluster = %after.cluster,
            service = %after.name,
            said = event.message,
            "tasks of a service stop soon after they started"
        );
    }
}
