//! The clusters that are there without a call of CreateCluster.
//!
//! AWS makes the cluster `default` with the first instance that registers, or on the console; an installation of ours
//! has it from the start, so that the first RunTask works. A machine that runs everything has its own cluster as well.

use outport_model::cluster::{Cluster, ClusterSetting, ClusterStatus};
use outport_model::{ClusterName, Scope, Tags};
use outport_store::Transaction;
use outport_store::keys::ClusterKey;

use crate::Rejection;
use crate::names::{self, DEFAULT_CLUSTER};

/// Makes the cluster `default` in a scope that has never had one.
pub fn ensure(tx: &mut Transaction<'_>, scope: &Scope) {
    let name = ClusterName::new(DEFAULT_CLUSTER);
    if !tx.clusters.contains(&ClusterKey::new(scope, name.clone())) {
        let cluster = new_cluster(scope, name, tx.now_ms());
        tx.put(cluster);
    }
}

/// Makes the cluster that the control plane's own machine joins, if it is not there or was deleted: nobody could call
/// CreateCluster before the machine is up.
///
/// # Errors
/// `InvalidParameterException` for a name that cannot be one.
pub fn ensure_active(tx: &mut Transaction<'_>, scope: &Scope, name: &str) -> Result<(), Rejection> {
    let name = names::cluster_name(name)?;
    let row = tx.clusters.get(&ClusterKey::new(scope, name.clone()));
    if row.is_none_or(|row| row.status != ClusterStatus::Active) {
        let cluster = new_cluster(scope, name, tx.now_ms());
        tx.put(cluster);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::World;

    #[tokio::test]
    async fn the_own_machines_cluster_is_made_unless_it_is_there() {
        let world = World::new();
        let check = async |created_at_s| {
            world.put(|tx| ensure_active(tx, &world.scope, "edge").unwrap());
            let expected = json!({"clusters": [{"status": "ACTIVE", "clusterName": "edge"}]});
            world.check("DescribeClusters", json!({"clusters": ["edge"]}), expected).await;
            let key = ClusterKey::new(&world.scope, ClusterName::new("edge"));
            let row = world.store.snapshot().clusters.get(&key).cloned().unwrap();
            assert_eq!(json!(row.created_at_ms / 1000), created_at_s);
        };
        let first_s = world.now_s();
        check(first_s.clone()).await;
        world.clock.advance(1000);
        check(first_s).await;
        world.call("DeleteCluster", json!({"cluster": "edge"})).await;
        check(world.now_s()).await;
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_one_is_refused() {
        let world = World::new();
        for name in ["", "a b", "arn:aws:ecs:us-east-1:000000000000:cluster/edge"] {
            world.put(|tx| assert!(ensure_active(tx, &world.scope, name).is_err(), "{name}"));
        }
    }
}
