//! What may be forgotten, and when.

use std::sync::Arc;

use outport_model::cluster::{Cluster, ClusterStatus};
use outport_model::deployment::ServiceDeployment;
use outport_model::kms::KmsKey;
use outport_model::secret::Secret;
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

/// Whether a revision is in use, of all `tasks` of its family and all `services` of its account and region: by a task that is
/// not STOPPED, whatever is wanted of it, or by a deployment of a service that is not INACTIVE.
///
/// Source: "Deleting an Amazon ECS task definition revision": it stays in DELETE_IN_PROGRESS until all the associated tasks
/// and services have been terminated.
pub fn is_in_use<'a>(
    definition: &TaskDefinition,
    tasks: impl IntoIterator<Item = &'a Arc<Task>>,
    services: impl IntoIterator<Item = &'a Arc<Service>>,
) -> bool {
    let (scope, family, revision) = (&definition.scope, &definition.family, definition.revision);
    let runs = |task: &Task| {
        task.holds_resources()
            && (&task.scope, &task.family, task.revision) == (scope, family, revision)
    };
    let may_run = |service: &Service| {
        let mut deployments = service.deployments.iter();
        service.scope == *scope
            && service.status != ServiceStatus::Inactive
            && deployments.any(|one| (&one.family, one.revision) == (family, revision))
    };
    tasks.into_iter().any(|task| runs(task)) || services.into_iter().any(|one| may_run(one))
}

/// A revision in DELETE_IN_PROGRESS goes when it is not [in use](is_in_use) any more.
pub fn forgets_task_definition(definition: &TaskDefinition, is_in_use: bool) -> bool {
    definition.status == TaskDefinitionStatus::DeleteInProgress && !is_in_use
}

/// A secret goes when its recovery window is over.
pub fn forgets_secret(secret: &Secret, now: &Now) -> bool {
    secret.is_gone(now)
}

/// A key of KMS goes, with all that it opens, when the waiting period of its deletion is over.
pub fn forgets_kms_key(key: &KmsKey, now: &Now) -> bool {
    key.is_gone(now)
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
