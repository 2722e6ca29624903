//! What the log says of services and their deployments.
//!
//! **Invariant:** a step of a deployment is said once, when the row of its history moves.

use std::sync::Arc;

use outport_model::deployment::{ServiceDeployment, ServiceDeploymentStatus};
use outport_model::service::Service;
use outport_planner::service::is_of_short_runs;

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

/// The one event of a service that asks for somebody to look.
pub(crate) fn short_runs(before: &Service, after: &Service) {
    let known = before.events.first().map(|event| &event.id);
    let new = after.events.iter().take_while(|event| Some(&event.id) != known);
    for event in new.filter(|event| is_of_short_runs(&event.message)) {
        tracing::warn!(
            event = "service_tasks_failing",
            cluster = %after.cluster,
            service = %after.name,
            said = event.message,
            "tasks of a service stop soon after they started"
        );
    }
}
