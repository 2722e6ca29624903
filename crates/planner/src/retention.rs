//! What may be forgotten, and when.

use outport_model::cluster::{Cluster, ClusterStatus};
use outport_model::deployment::ServiceDeployment;
use outport_model::service::{Service, ServiceStatus};
use outport_model::task::Task;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionStatus};
use outport_model::{Now, TaskStatus};

use crate::service::is_unfinished;
use crate::settings::Settings;

/// A stopped task is shown for at least an hour. Source: "Stopped tasks errors". A task of a service
/// stays until the service scheduler has taken note of its end.
pub fn forgets_task(task: &Task, now: &Now, settings: &Settings) -> bool {
    let since_ms = task.stopped_at_ms.unwrap_or(task.created_at_ms);
    task.last_status >= TaskStatus::Stopped
        && (task.service.is_none() || task.end_noted)
        && now.is_over(since_ms, settings.stopped_task_life_ms)
}

pub fn forgets_service(service: &Service, now: &Now, settings: &Settings) -> bool {
    let since_ms = service.deleted_at_ms.unwrap_or(service.created_at_ms);
    service.status == ServiceStatus::Inactive && now.is_over(since_ms, settings.inactive_life_ms)
}

/// `is_empty`: no task, service or container instance is kept in it.
pub fn forgets_cluster(cluster: &Cluster, is_empty: bool, now: &Now, settings: &Settings) -> bool {
    let since_ms = cluster.deleted_at_ms.unwrap_or(cluster.created_at_ms);
    cluster.status == ClusterStatus::Inactive
        && is_empty
        && now.is_over(since_ms, settings.inactive_life_ms)
}

/// A revision in DELETE_IN_PROGRESS goes when nothing refers to it any more: no live task and no
/// service. Source: "Deleting an Amazon ECS task definition revision".
pub fn forgets_task_definition(definition: &TaskDefinition, is_referenced: bool) -> bool {
    definition.status == TaskDefinitionStatus::DeleteInProgress && !is_referenced
}

/// `is_current`: it is the last one of its service, or the service still shows its revision.
pub fn forgets_service_deployment(
    deployment: &ServiceDeployment,
    is_current: bool,
    now: &Now,
    settings: &Settings,
) -> bool {
    let since_ms = deployment.finished_at_ms.unwrap_or(deployment.updated_at_ms);
    !is_unfinished(deployment.status)
        && !is_current
        && now.is_over(since_ms, settings.service_history_life_ms)
}
