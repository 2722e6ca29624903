//! The secondary indexes, each with the method that answers from it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use imbl::OrdMap;
use outport_model::capacity::NodeUse;
use outport_model::container_instance::ContainerInstance;
use outport_model::deployment::{ServiceDeployment, ServiceRevision};
use outport_model::network::NetworkInterface;
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::task_definition::TaskDefinition;
use outport_model::{
    ClusterName, ContainerInstanceId, DeploymentId, DesiredStatus, Family, NodeId, Revision, Scope,
    ServiceName, TaskId, TaskStatus, TimestampMs,
};

use crate::keys::{ClusterKey, FamilyKey, ServiceKey, SubnetKey, TaskKey};
use crate::row::Row;
use crate::table::{Grouping, Index, Rows, Table};

#[derive(Clone, Debug, Default)]
pub struct TaskIndex {
    by_id: Rows<TaskId, Task>,
    by_service: Grouping<ServiceKey, TaskId, Task>,
    by_desired_status: Grouping<(ClusterKey, DesiredStatus), TaskId, Task>,
    by_family: Grouping<(ClusterKey, Family), TaskId, Task>,
    by_started_by: Grouping<(ClusterKey, String), TaskId, Task>,
    live_by_node: Grouping<NodeId, TaskKey, Task>,
    use_by_node: OrdMap<NodeId, NodeUse>,
    unplaced: Rows<TaskKey, Task>,
    stopped: Rows<(TimestampMs, TaskKey), Task>,
}

impl Index<Task> for TaskIndex {
    fn add(&mut self, row: &Arc<Task>) {
        self.by_id.insert(row.id.clone(), Arc::clone(row));
        let cluster = cluster_of(&row.scope, &row.cluster);
        if let Some(member) = &row.service {
            let service = ServiceKey::new(&row.scope, row.cluster.clone(), member.service.clone());
            self.by_service.add(service, row.id.clone(), row);
        }
        if let Some(started_by) = &row.started_by {
            self.by_started_by.add((cluster.clone(), started_by.clone()), row.id.clone(), row);
        }
        self.by_family.add((cluster.clone(), row.family.clone()), row.id.clone(), row);
        self.by_desired_status.add((cluster, row.desired_status), row.id.clone(), row);
        match &row.node {
            Some(node) if row.holds_resources() => {
                self.live_by_node.add(node.clone(), row.key(), row);
                self.use_by_node.entry(node.clone()).or_default().add(&row.reserved);
            }
            None if row.holds_resources() => {
                self.unplaced.insert(row.key(), Arc::clone(row));
            }
            _ => {}
        }
        if row.last_status >= TaskStatus::Stopped {
            self.stopped.insert(stopped_key(row), Arc::clone(row));
        }
    }

    fn remove(&mut self, row: &Task) {
        self.by_id.remove(&row.id);
        let cluster = cluster_of(&row.scope, &row.cluster);
        if let Some(member) = &row.service {
            let service = ServiceKey::new(&row.scope, row.cluster.clone(), member.service.clone());
            self.by_service.remove(&service, &row.id);
        }
        if let Some(started_by) = &row.started_by {
            self.by_started_by.remove(&(cluster.clone(), started_by.clone()), &row.id);
        }
        self.by_family.remove(&(cluster.clone(), row.family.clone()), &row.id);
        self.by_desired_status.remove(&(cluster, row.desired_status), &row.id);
        match &row.node {
            Some(node) if row.holds_resources() => {
                self.live_by_node.remove(node, &row.key());
                if let Some(used) = self.use_by_node.get_mut(node) {
                    used.subtract(&row.reserved);
                    if used.tasks == 0 {
                        self.use_by_node.remove(node);
                    }
                }
            }
            None if row.holds_resources() => {
                self.unplaced.remove(&row.key());
            }
            _ => {}
        }
        if row.last_status >= TaskStatus::Stopped {
            self.stopped.remove(&stopped_key(row));
        }
    }
}

fn stopped_key(row: &Task) -> (TimestampMs, TaskKey) {
    (row.stopped_at_ms.unwrap_or(row.created_at_ms), row.key())
}

fn cluster_of(scope: &Scope, cluster: &ClusterName) -> ClusterKey {
    ClusterKey::new(scope, cluster.clone())
}

impl Table<Task> {
    /// A task by its id alone, which is unique in an installation.
    pub fn by_id(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.index.by_id.get(id)
    }
    /// All tasks of a service that are kept, the stopped ones included.
    pub fn of_service(&self, service: &ServiceKey) -> &Rows<TaskId, Task> {
        self.index.by_service.get(service)
    }
    /// The tasks of a cluster by what is wanted of them, as ListTasks filters.
    pub fn in_cluster(&self, cluster: &ClusterKey, desired: DesiredStatus) -> &Rows<TaskId, Task> {
        self.index.by_desired_status.get(&(cluster.clone(), desired))
    }
    pub fn of_family(&self, cluster: &ClusterKey, family: &Family) -> &Rows<TaskId, Task> {
        self.index.by_family.get(&(cluster.clone(), family.clone()))
    }
    pub fn started_by(&self, cluster: &ClusterKey, started_by: &str) -> &Rows<TaskId, Task> {
        self.index.by_started_by.get(&(cluster.clone(), started_by.to_owned()))
    }
    /// The tasks that hold something of a node: placed on it and not STOPPED yet.
    pub fn live_on_node(&self, node: &NodeId) -> &Rows<TaskKey, Task> {
        self.index.live_by_node.get(node)
    }
    /// The sum of what `live_on_node` holds.
    pub fn use_of_node(&self, node: &NodeId) -> NodeUse {
        self.index.use_by_node.get(node).cloned().unwrap_or_default()
    }
    /// Live tasks without a node.
    pub fn unplaced(&self) -> &Rows<TaskKey, Task> {
        &self.index.unplaced
    }
    /// STOPPED tasks, the longest stopped first.
    pub fn stopped(&self) -> &Rows<(TimestampMs, TaskKey), Task> {
        &self.index.stopped
    }
}

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

#[derive(Clone, Debug, Default)]
pub struct TaskDefinitionIndex {
    by_family: Grouping<FamilyKey, Revision, TaskDefinition>,
}

impl Index<TaskDefinition> for TaskDefinitionIndex {
    fn add(&mut self, row: &Arc<TaskDefinition>) {
        self.by_family.add(FamilyKey::new(&row.scope, row.family.clone()), row.revision, row);
    }
    fn remove(&mut self, row: &TaskDefinition) {
        self.by_family.remove(&FamilyKey::new(&row.scope, row.family.clone()), &row.revision);
    }
}

impl Table<TaskDefinition> {
    /// Every revision of a family that is kept, in any status.
    pub fn of_family(&self, family: &FamilyKey) -> &Rows<Revision, TaskDefinition> {
        self.index.by_family.get(family)
    }
}

#[derive(Clone, Debug, Default)]
pub struct ServiceDeploymentIndex {
    by_service: Grouping<ServiceKey, String, ServiceDeployment>,
}

impl Index<ServiceDeployment> for ServiceDeploymentIndex {
    fn add(&mut self, row: &Arc<ServiceDeployment>) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.add(service, row.id.clone(), row);
    }
    fn remove(&mut self, row: &ServiceDeployment) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.remove(&service, &row.id);
    }
}

impl Table<ServiceDeployment> {
    pub fn of_service(&self, service: &ServiceKey) -> &Rows<String, ServiceDeployment> {
        self.index.by_service.get(service)
    }
}

#[derive(Clone, Debug, Default)]
pub struct ServiceRevisionIndex {
    by_service: Grouping<ServiceKey, DeploymentId, ServiceRevision>,
}

impl Index<ServiceRevision> for ServiceRevisionIndex {
    fn add(&mut self, row: &Arc<ServiceRevision>) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.add(service, row.id.clone(), row);
    }
    fn remove(&mut self, row: &ServiceRevision) {
        let service = ServiceKey::new(&row.scope, row.cluster.clone(), row.service.clone());
        self.by_service.remove(&service, &row.id);
    }
}

impl Table<ServiceRevision> {
    pub fn of_service(&self, service: &ServiceKey) -> &Rows<DeploymentId, ServiceRevision> {
        self.index.by_service.get(service)
    }
}

#[derive(Clone, Debug, Default)]
pub struct ContainerInstanceIndex {
    by_cluster: Grouping<ClusterKey, ContainerInstanceId, ContainerInstance>,
    by_node: Grouping<NodeId, ClusterKey, ContainerInstance>,
}

impl Index<ContainerInstance> for ContainerInstanceIndex {
    fn add(&mut self, row: &Arc<ContainerInstance>) {
        let cluster = cluster_of(&row.scope, &row.cluster);
        self.by_node.add(row.node.clone(), cluster.clone(), row);
        self.by_cluster.add(cluster, row.id.clone(), row);
    }
    fn remove(&mut self, row: &ContainerInstance) {
        let cluster = cluster_of(&row.scope, &row.cluster);
        self.by_node.remove(&row.node, &cluster);
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
    /// The container instances of a node, at most one in each cluster.
    pub fn of_node(&self, node: &NodeId) -> &Rows<ClusterKey, ContainerInstance> {
        self.index.by_node.get(node)
    }
}

#[derive(Clone, Debug, Default)]
pub struct NetworkInterfaceIndex {
    by_subnet: Grouping<SubnetKey, Ipv4Addr, NetworkInterface>,
    by_task: Grouping<TaskId, String, NetworkInterface>,
}

impl Index<NetworkInterface> for NetworkInterfaceIndex {
    fn add(&mut self, row: &Arc<NetworkInterface>) {
        let subnet = SubnetKey::new(&row.scope, row.subnet_id.clone());
        self.by_subnet.add(subnet, row.private_ip, row);
        self.by_task.add(row.task.clone(), row.id.clone(), row);
    }
    fn remove(&mut self, row: &NetworkInterface) {
        let subnet = SubnetKey::new(&row.scope, row.subnet_id.clone());
        self.by_subnet.remove(&subnet, &row.private_ip);
        self.by_task.remove(&row.task, &row.id);
    }
}

impl Table<NetworkInterface> {
    /// The interfaces of a subnet by their address.
    pub fn in_subnet(&self, subnet: &SubnetKey) -> &Rows<Ipv4Addr, NetworkInterface> {
        self.index.by_subnet.get(subnet)
    }
    pub fn of_task(&self, task: &TaskId) -> &Rows<String, NetworkInterface> {
        self.index.by_task.get(task)
    }
}
