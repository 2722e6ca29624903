//! The cluster that requests mean when they name none.
//!
//! AWS makes it with the first instance that registers, or on the console; an installation of ours has it from the
//! start, so that the first RunTask works.

use outport_model::cluster::{Cluster, ClusterSetting, ClusterStatus};
use outport_model::{ClusterName, Scope, Tags};
use outport_store::Transaction;
use outport_store::keys::ClusterKey;

use crate::names::DEFAULT_CLUSTER;

/// Makes the cluster `default` in a scope that has never had one.
pub fn ensure(tx: &mut Transaction<'_>, scope: &Scope) {
    let name = ClusterName::new(DEFAULT_CLUSTER);
    if !tx.clusters.contains(&ClusterKey::new(scope, name.clone())) {
        let cluster = new_cluster(scope, name, tx.now_ms());
        tx.put(cluster);
    }
}

/// A cluster with nothing but its name.
pub(crate) fn new_cluster(
    scope: &Scope,
    name: ClusterName,
    created_at_ms: outport_model::TimestampMs,
) -> Cluster {
    Cluster {
        scope: scope.clone(),
        name,
        status: ClusterStatus::Active,
        settings: vec![ClusterSetting {
            name: "containerInsights".to_owned(),
            value: "disabled".to_owned(),
        }],
        configuration: None,
        service_connect_defaults: None,
        capacity_providers: Vec::new(),
        default_strategy: None,
        tags: Tags::new(),
        created_at_ms,
        deleted_at_ms: None,
    }
}
