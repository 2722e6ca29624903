//! A service.

use std::sync::Arc;

use outport_model::service::Service;
use outport_model::{ClusterName, ServiceName};

use crate::row::Row;
use crate::rows::cluster::ClusterKey;
use crate::rows::cluster::cluster_of;
use crate::rows::key::key;
use crate::table::{Grouping, Index, Rows, Table};
use crate::tables::Related;

key!(ServiceKey { cluster: ClusterName, service: ServiceName });

impl ServiceKey {
    pub fn cluster_key(&self) -> ClusterKey {
        ClusterKey::new(&self.scope, self.cluster.clone())
    }
}

impl Row for Service {
    type Key = ServiceKey;
    type Index = ServiceIndex;
    const TABLE: &'static str = "service";
    fn key(&self) -> ServiceKey {
        ServiceKey::new(&self.scope, self.cluster.clone(), self.name.clone())
    }
}

impl Related for Service {}

#[derive(Clone, Debug, Default)]
pub struct ServiceIndex {
    by_cluster: Grouping<ClusterKey, ServiceName, Service>,
}

impl Index<Service> for ServiceIndex {
    fn add(&mut self, row: &Arc<Service>) {
        self.by_cluster.add(cluster_of(&row.scope, &row.cluster), row.name.clone(), row);
    }
    fn remove(&mut self, row: &Service) {
        self.by_cluster.remove(&cluster_of(&row.scope, &row.cluster), &row.name);
    }
}

impl Table<Service> {
    pub fn in_cluster(&self, cluster: &ClusterKey) -> &Rows<ServiceName, Service> {
        self.index.by_cluster.get(cluster)
    }
}
