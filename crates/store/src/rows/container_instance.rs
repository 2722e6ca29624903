//! A node as a container instance of a cluster.

use std::sync::Arc;

use imbl::OrdMap;
use outport_model::container_instance::{ContainerInstance, ContainerInstanceStatus};
use outport_model::event::EcsChange;
use outport_model::{ClusterName, ContainerInstanceId, NodeId};

use crate::row::Row;
use crate::rows::cluster::ClusterKey;
use crate::rows::cluster::cluster_of;
use crate::rows::event;
use crate::rows::key::key;
use crate::rows::task::service_of;
use crate::table::{Grouping, Index, Rows, Table};
use crate::tables::{Related, Tables, Touched};

key!(ContainerInstanceKey { cluster: ClusterName, id: ContainerInstanceId });

impl Row for ContainerInstance {
    type Key = ContainerInstanceKey;
    type Index = ContainerInstanceIndex;
    const TABLE: &'static str = "container_instance";
    fn key(&self) -> ContainerInstanceKey {
        ContainerInstanceKey::new(&self.scope, self.cluster.clone(), self.id.clone())
    }
}

impl Related for ContainerInstance {
    fn relate(tables: &mut Tables, old: Option<&Self>, new: Option<&Self>, touched: &mut Touched) {
        for row in [old, new].into_iter().flatten() {
            touched.nodes.insert(row.node.clone());
            tables.refresh_room(&row.node);
        }
        // Services replace their tasks on an instance that drains.
        if let (Some(old), Some(new)) = (old, new)
            && old.status != new.status
        {
            let tasks = tables.tasks.live_on_node(&new.node).values();
            touched.services.extend(tasks.filter_map(|task| service_of(task)));
        }
    }

    fn events(tables: &Tables, old: Option<&Self>, new: Option<&Self>) -> Vec<EcsChange> {
        event::of_container_instance(tables, old, new)
    }
}

#[derive(Clone, Debug, Default)]
pub struct ContainerInstanceIndex {
    by_cluster: Grouping<ClusterKey, ContainerInstanceId, ContainerInstance>,
    by_node: Grouping<NodeId, ClusterKey, ContainerInstance>,
    /// Of clusters that have some.
    registered: OrdMap<ClusterKey, usize>,
    /// The same of those that are DRAINING.
    draining: OrdMap<ClusterKey, usize>,
}

impl ContainerInstanceIndex {
    fn count(&mut self, cluster: &ClusterKey, row: &ContainerInstance, step: isize) {
        if row.status != ContainerInstanceStatus::Inactive {
            add(&mut self.registered, cluster, step);
        }
        if row.status == ContainerInstanceStatus::Draining {
            add(&mut self.draining, cluster, step);
        }
    }
}

fn add(counts: &mut OrdMap<ClusterKey, usize>, cluster: &ClusterKey, step: isize) {
    let count = counts.get(cluster).copied().unwrap_or_default().saturating_add_signed(step);
    if count == 0 {
        counts.remove(cluster);
    } else {
        counts.insert(cluster.clone(), count);
    }
}

impl Index<ContainerInstance> for ContainerInstanceIndex {
    fn add(&mut self, row: &Arc<ContainerInstance>) {
        let cluster = cluster_of(&row.scope, &row.cluster);
        self.by_node.add(row.node.clone(), cluster.clone(), row);
        self.count(&cluster, row, 1);
        self.by_cluster.add(cluster, row.id.clone(), row);
    }
    fn remove(&mut self, row: &ContainerInstance) {
        let cluster = cluster_of(&row.scope, &row.cluster);
        self.by_node.remove(&row.node, &cluster);
        self.count(&cluster, row, -1);
        self.by_cluster.remove(&cluster, &row.id);
    }
}

impl Table<ContainerInstance> {
    pub fn in_cluster(
        &self,
        cluster: &ClusterKey,
    ) -> &Rows<ContainerInstanceId, ContainerInstance> {
        self.index.by_cluster.get(cluster)
    }
    /// How many container instances of the cluster are registered: all but those that are INACTIVE.
    pub fn registered(&self, cluster: &ClusterKey) -> usize {
        self.index.registered.get(cluster).copied().unwrap_or_default()
    }
    /// Whether some container instance of the cluster is DRAINING.
    pub fn drains(&self, cluster: &ClusterKey) -> bool {
        self.index.draining.contains_key(cluster)
    }
    /// The container instances of a node, at most one in each cluster.
    pub fn of_node(&self, node: &NodeId) -> &Rows<ClusterKey, ContainerInstance> {
        self.index.by_node.get(node)
    }
}
