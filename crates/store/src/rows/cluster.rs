//! A cluster.

use outport_model::cluster::Cluster;
use outport_model::{ClusterName, Scope};

use crate::row::Row;
use crate::rows::key::key;
use crate::tables::Related;

key!(ClusterKey { cluster: ClusterName });

impl Row for Cluster {
    type Key = ClusterKey;
    type Index = ();
    const TABLE: &'static str = "cluster";
    fn key(&self) -> ClusterKey {
        ClusterKey::new(&self.scope, self.name.clone())
    }
}

impl Related for Cluster {}

pub(super) fn cluster_of(scope: &Scope, cluster: &ClusterName) -> ClusterKey {
    ClusterKey::new(scope, cluster.clone())
}
