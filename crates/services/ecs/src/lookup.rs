//! Rows by what a request names, with AWS's answer when they are not there.

use std::sync::Arc;

use outport_model::cluster::{Cluster, ClusterStatus};
use outport_model::service::Service;
use outport_model::task_definition::TaskDefinition;
use outport_model::{ClusterName, Scope, ServiceName};
use outport_store::Tables;
use outport_store::keys::{ClusterKey, FamilyKey, ServiceKey, TaskDefinitionKey};

use crate::names::TaskDefinitionName;
use crate::rejection::Rejection;

/// A cluster that takes requests.
///
/// # Errors
/// `ClusterNotFoundException`, with other words for one that was deleted.
pub fn active_cluster<'a>(
    tables: &'a Tables,
    scope: &Scope,
    name: &ClusterName,
) -> Result<&'a Arc<Cluster>, Rejection> {
    let cluster = tables
        .clusters
        .get(&ClusterKey::new(scope, name.clone()))
        .ok_or(Rejection::ClusterNotFound)?;
    match cluster.status {
        ClusterStatus::Active => Ok(cluster),
        ClusterStatus::Inactive => Err(Rejection::ClusterInactive),
    }
}

/// A service in any status.
pub fn service<'a>(
    tables: &'a Tables,
    scope: &Scope,
    cluster: &ClusterName,
    name: &ServiceName,
) -> Option<&'a Arc<Service>> {
    tables.services.get(&ServiceKey::new(scope, cluster.clone(), name.clone()))
}

/// The revision that a name means: the one it names, or else the newest ACTIVE one.
pub fn task_definition(
    tables: &Tables,
    scope: &Scope,
    name: &TaskDefinitionName,
) -> Option<Arc<TaskDefinition>> {
    let definitions = &tables.task_definitions;
    let newest = || definitions.newest_active(&FamilyKey::new(scope, name.family.clone()));
    let revision = name.revision.or_else(newest)?;
    definitions.get(&TaskDefinitionKey::new(scope, name.family.clone(), revision))
}
