//! A task, by what it belongs to and by what it holds.

use std::sync::Arc;

use imbl::OrdMap;
use outport_model::capacity::NodeUse;
use outport_model::task::{Reservation, Task};
use outport_model::{ClusterName, DesiredStatus, Family, NodeId, TaskId, TaskStatus, TimestampMs};

use crate::row::Row;
use crate::rows::cluster::ClusterKey;
use crate::rows::cluster::cluster_of;
use crate::rows::key::key;
use crate::rows::service::ServiceKey;
use crate::table::{Grouping, Index, Rows, Table};
use crate::tables::{Related, Tables, Touched};

key!(TaskKey { cluster: ClusterName, task: TaskId });

impl TaskKey {
    pub fn cluster_key(&self) -> ClusterKey {
        ClusterKey::new(&self.scope, self.cluster.clone())
    }
}

impl Row for Task {
    type Key = TaskKey;
    type Index = TaskIndex;
    const TABLE: &'static str = "task";
    fn key(&self) -> TaskKey {
        TaskKey::new(&self.scope, self.cluster.clone(), self.id.clone())
    }
}

impl Related for Task {
    /// Its service hears of every change; its node, which reports most of them, of what it does not know: what it is to
    /// run, and what it need not remember any more.
    fn relate(tables: &mut Tables, old: Option<&Self>, new: Option<&Self>, touched: &mut Touched) {
        for row in [old, new].into_iter().flatten() {
            touched.services.extend(service_of(row));
        }
        let nodes = || [old, new].into_iter().flatten().filter_map(|row| row.node.as_ref());
        if told(old) != told(new) {
            touched.nodes.extend(nodes().cloned());
        }
        if held(old) != held(new) {
            nodes().for_each(|node| tables.refresh_room(node));
        }
    }
}

/// What of a task its node is told and the task was not made with.
fn told(row: Option<&Task>) -> Option<(&Option<NodeId>, DesiredStatus, bool)> {
    row.map(|row| (&row.node, row.desired_status, row.holds_resources()))
}

/// What a task takes of which node.
fn held(row: Option<&Task>) -> Option<(&NodeId, &Reservation)> {
    let row = row.filter(|row| row.holds_resources())?;
    Some((row.node.as_ref()?, &row.reserved))
}

fn service_of(row: &Task) -> Option<ServiceKey> {
    let member = row.service.as_ref()?;
    Some(ServiceKey::new(&row.scope, row.cluster.clone(), member.service.clone()))
}

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
        if let Some(service) = service_of(row) {
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
        if let Some(service) = service_of(row) {
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
