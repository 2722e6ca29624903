//! A service.

use std::sync::Arc;

use imbl::OrdMap;
use outport_model::event::EcsChange;
use outport_model::service::{Service, ServiceStatus};
use outport_model::task_definition::LaunchType;
use outport_model::{ClusterName, ServiceName};

use crate::row::Row;
use crate::rows::cluster::ClusterKey;
use crate::rows::cluster::cluster_of;
use crate::rows::event;
use crate::rows::key::key;
use crate::table::{Grouping, Index, Rows, Table};
use crate::tables::{Related, Tables};

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

impl Related for Service {
    fn events(tables: &Tables, old: Option<&Self>, new: Option<&Self>) -> Vec<EcsChange> {
        event::of_service(tables, old, new)
    }
}

/// The services of a cluster and launch type, as DescribeClusters counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceCounts {
    pub active: usize,
    pub draining: usize,
}

#[derive(Clone, Debug, Default)]
pub struct ServiceIndex {
    by_cluster: Grouping<ClusterKey, ServiceName, Service>,
    counts: OrdMap<(ClusterKey, LaunchType), ServiceCounts>,
}

impl ServiceIndex {
    fn count(&mut self, row: &Service, step: isize) {
        let key = (cluster_of(&row.scope, &row.cluster), row.launch_type);
        let mut counts = self.counts.get(&key).copied().unwrap_or_default();
        let count = match row.status {
            ServiceStatus::Active => &mut counts.active,
            ServiceStatus::Draining => &mut counts.draining,
            ServiceStatus::Inactive => return,
        };
        *count = count.saturating_add_signed(step);
        if counts == ServiceCounts::default() {
            self.counts.remove(&key);
        } else {
            self.counts.insert(key, counts);
        }
    }
}

impl Index<Service> for ServiceIndex {
    fn add(&mut self, row: &Arc<Service>) {
        self.by_cluster.add(cluster_of(&row.scope, &row.cluster), row.name.clone(), row);
        self.count(row, 1);
    }
    fn remove(&mut self, row: &Service) {
        self.by_cluster.remove(&cluster_of(&row.scope, &row.cluster), &row.name);
        self.count(row, -1);
    }
}

impl Table<Service> {
    pub fn in_cluster(&self, cluster: &ClusterKey) -> &Rows<ServiceName, Service> {
        self.index.by_cluster.get(cluster)
    }
    /// How many services of the cluster are ACTIVE and DRAINING.
    pub fn counts(&self, cluster: &ClusterKey, launch_type: LaunchType) -> ServiceCounts {
        self.index.counts.get(&(cluster.clone(), launch_type)).copied().unwrap_or_default()
    }
}
