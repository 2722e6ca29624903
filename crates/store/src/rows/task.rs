//! A task, by what it belongs to and by what it holds.

use std::collections::HashMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use outport_model::capacity::NodeUse;
use outport_model::event::EcsChange;
use outport_model::task::{Reservation, Task};
use outport_model::task_definition::LaunchType;
use outport_model::{
    ClusterName, ContainerInstanceId, DeploymentId, DesiredStatus, Family, NodeId, Scope,
    ServiceName, TaskId, TaskStatus, TimestampMs,
};

use crate::load::both;
use crate::row::Row;
use crate::rows::cluster::ClusterKey;
use crate::rows::event;
use crate::rows::key::key;
use crate::rows::placed_tasks::{PlacedInCluster, PlacedIndex};
use crate::rows::service::ServiceKey;
use crate::table::{Grouping, Index, Members, Rows, Table};
use crate::tables::{Related, Tables, Touched};

key!(TaskKey { cluster: ClusterName, task: TaskId });

impl TaskKey {
    pub fn in_cluster(cluster: &ClusterKey, task: TaskId) -> Self {
        Self { scope: cluster.scope.clone(), cluster: cluster.cluster.clone(), task }
    }
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
    fn share(&mut self, beside: &TaskKey) {
        if self.scope == beside.scope {
            self.scope = beside.scope.clone();
        }
        if self.cluster == beside.cluster {
            self.cluster = beside.cluster.clone();
        }
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

    fn events(tables: &Tables, old: Option<&Self>, new: Option<&Self>) -> Vec<EcsChange> {
        event::of_task(tables, old, new)
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

pub(super) fn service_of(row: &Task) -> Option<ServiceKey> {
    let member = row.service.as_ref()?;
    Some(ServiceKey::new(&row.scope, row.cluster.clone(), member.service.clone()))
}

/// What ListTasks filters by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskFacet {
    /// Every task has it.
    Any,
    Family(Family),
    Service(ServiceName),
    StartedBy(String),
    ContainerInstance(ContainerInstanceId),
    LaunchType(LaunchType),
}

impl TaskFacet {
    /// All facets of a task.
    fn of(row: &Task) -> impl Iterator<Item = Self> {
        let service = row.service.as_ref().map(|member| Self::Service(member.service.clone()));
        let started_by = row.started_by.clone().map(Self::StartedBy);
        let instance = row.container_instance.clone().map(Self::ContainerInstance);
        [Self::Any, Self::Family(row.family.clone()), Self::LaunchType(row.launch_type)]
            .into_iter()
            .chain(service)
            .chain(started_by)
            .chain(instance)
    }
}

/// The tasks of a cluster and launch type, as DescribeClusters counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    pub running: usize,
    /// PROVISIONING, PENDING or ACTIVATING.
    pub pending: usize,
}

/// The tasks of one deployment of a service, as DescribeServices counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentCounts {
    /// `runningCount`: tasks in RUNNING.
    pub running: usize,
    /// `pendingCount`: wanted tasks that are not RUNNING yet.
    pub pending: usize,
    /// Tasks that nobody asked to stop and that did not stop by themselves.
    pub wanted: usize,
}

impl DeploymentCounts {
    fn of(row: &Task) -> Self {
        let (is_running, is_wanted) = (row.last_status == TaskStatus::Running, row.is_wanted());
        Self {
            running: usize::from(is_running),
            pending: usize::from(is_wanted && !is_running),
            wanted: usize::from(is_wanted),
        }
    }

    fn add(&mut self, other: Self) {
        self.running += other.running;
        self.pending += other.pending;
        self.wanted += other.wanted;
    }

    fn subtract(&mut self, other: Self) {
        self.running = self.running.saturating_sub(other.running);
        self.pending = self.pending.saturating_sub(other.pending);
        self.wanted = self.wanted.saturating_sub(other.wanted);
    }
}

type Facet = (TaskFacet, DesiredStatus, ClusterKey);

/// Groups of tasks that change with every report hold rows, of which each is small; groups that may have every task of a
/// cluster hold ids, and do not notice a report.
#[derive(Clone, Debug, Default)]
pub struct TaskIndex {
    by_id: OrdMap<TaskId, TaskKey>,
    /// The facet first: it tells most of two keys apart.
    by_facet: Members<Facet, TaskId>,
    by_service: Grouping<ServiceKey, TaskId, Task>,
    live_by_node: Grouping<NodeId, TaskId, Task>,
    use_by_node: OrdMap<NodeId, NodeUse>,
    counts: OrdMap<(ClusterKey, LaunchType), TaskCounts>,
    /// Of services with a task that runs or is wanted.
    by_deployment: OrdMap<ServiceKey, OrdMap<DeploymentId, DeploymentCounts>>,
    stopped: OrdSet<(TimestampMs, TaskKey)>,
    placed: PlacedIndex,
}

impl Index<Task> for TaskIndex {
    fn add(&mut self, row: &Arc<Task>) {
        self.list(row);
        self.add_unlisted(row);
    }

    /// A start waits for it.
    fn of(rows: &[Arc<Task>]) -> Self {
        let (mut index, by_facet) = both(
            || {
                let mut index = Self::default();
                rows.iter().for_each(|row| index.add_unlisted(row));
                index
            },
            || by_facet(rows),
        );
        index.by_facet = by_facet;
        index
    }

    fn remove(&mut self, row: &Task) {
        self.by_id.remove(&row.id);
        self.unlist(row);
        if let Some(service) = service_of(row) {
            self.by_service.remove(&service, &row.id);
        }
        self.let_go(row);
        self.placed.remove(row);
        self.count(row, -1);
        self.count_out(row);
        if let Some(key) = stopped_key(row) {
            self.stopped.remove(&key);
        }
    }

    fn replace(&mut self, old: &Task, new: &Arc<Task>) {
        if old.service != new.service
            || old.family != new.family
            || old.started_by != new.started_by
            || old.container_instance != new.container_instance
            || old.launch_type != new.launch_type
        {
            // Nobody changes these; whoever does gets it right.
            self.remove(old);
            self.add(new);
            return;
        }
        if old.desired_status != new.desired_status {
            self.unlist(old);
            self.list(new);
        }
        self.put_row(new);
        if old.last_status != new.last_status {
            self.count(old, -1);
            self.count(new, 1);
        }
        if DeploymentCounts::of(old) != DeploymentCounts::of(new) {
            self.count_out(old);
            self.count_in(new);
        }
        self.placed.replace(old, new);
        if held(Some(old)) == held(Some(new)) {
            if let Some((node, _)) = held(Some(new)) {
                self.live_by_node.add(node.clone(), new.id.clone(), new);
            }
        } else {
            self.let_go(old);
            self.hold(new);
        }
        let (before, after) = (stopped_key(old), stopped_key(new));
        if before != after {
            if let Some(key) = before {
                self.stopped.remove(&key);
            }
            self.stopped.extend(after);
        }
    }
}

/// [`TaskIndex::list`] of all tasks, of a cluster at a time: a set whose ids come in their order is made at once.
fn by_facet(rows: &[Arc<Task>]) -> Members<Facet, TaskId> {
    let is_of_one = |one: &Arc<Task>, other: &Arc<Task>| {
        one.cluster == other.cluster && one.scope == other.scope
    };
    let mut all = Members::default();
    for tasks in rows.chunk_by(is_of_one) {
        let mut members: HashMap<(TaskFacet, DesiredStatus), Vec<TaskId>> = HashMap::new();
        for row in tasks {
            for facet in TaskFacet::of(row) {
                members.entry((facet, row.desired_status)).or_default().push(row.id.clone());
            }
        }
        for ((facet, status), ids) in members {
            all.put((facet, status, cluster_key(&tasks[0])), ids);
        }
    }
    all
}

impl TaskIndex {
    /// All but by facet.
    fn add_unlisted(&mut self, row: &Arc<Task>) {
        self.by_id.insert(row.id.clone(), row.key());
        self.put_row(row);
        self.hold(row);
        self.placed.add(row);
        self.count(row, 1);
        self.count_in(row);
        self.stopped.extend(stopped_key(row));
    }

    fn list(&mut self, row: &Task) {
        for facet in TaskFacet::of(row) {
            self.by_facet.add((facet, row.desired_status, cluster_key(row)), row.id.clone());
        }
    }

    fn unlist(&mut self, row: &Task) {
        for facet in TaskFacet::of(row) {
            self.by_facet.remove(&(facet, row.desired_status, cluster_key(row)), &row.id);
        }
    }

    fn put_row(&mut self, row: &Arc<Task>) {
        if let Some(service) = service_of(row) {
            self.by_service.add(service, row.id.clone(), row);
        }
    }

    fn count(&mut self, row: &Task, step: isize) {
        let is_pending = row.last_status < TaskStatus::Running;
        if row.last_status > TaskStatus::Running {
            return;
        }
        let counts = self.counts.entry((cluster_key(row), row.launch_type)).or_default();
        let count = if is_pending { &mut counts.pending } else { &mut counts.running };
        *count = count.saturating_add_signed(step);
        if *counts == TaskCounts::default() {
            self.counts.remove(&(cluster_key(row), row.launch_type));
        }
    }

    fn count_in(&mut self, row: &Task) {
        let counted = DeploymentCounts::of(row);
        let (Some(member), Some(service)) = (&row.service, service_of(row)) else { return };
        if counted != DeploymentCounts::default() {
            let deployments = self.by_deployment.entry(service).or_default();
            deployments.entry(member.deployment.clone()).or_default().add(counted);
        }
    }

    fn count_out(&mut self, row: &Task) {
        let (Some(member), Some(service)) = (&row.service, service_of(row)) else { return };
        let Some(deployments) = self.by_deployment.get_mut(&service) else { return };
        let Some(counts) = deployments.get_mut(&member.deployment) else { return };
        counts.subtract(DeploymentCounts::of(row));
        if *counts == DeploymentCounts::default() {
            deployments.remove(&member.deployment);
        }
        if deployments.is_empty() {
            self.by_deployment.remove(&service);
        }
    }

    fn hold(&mut self, row: &Arc<Task>) {
        let Some((node, reserved)) = held(Some(row)) else { return };
        self.live_by_node.add(node.clone(), row.id.clone(), row);
        self.use_by_node.entry(node.clone()).or_default().add(reserved);
    }

    fn let_go(&mut self, row: &Task) {
        let Some((node, reserved)) = held(Some(row)) else { return };
        self.live_by_node.remove(node, &row.id);
        if let Some(used) = self.use_by_node.get_mut(node) {
            used.subtract(reserved);
            if used.tasks == 0 {
                self.use_by_node.remove(node);
            }
        }
    }
}

pub(super) fn cluster_key(row: &Task) -> ClusterKey {
    ClusterKey::new(&row.scope, row.cluster.clone())
}

fn stopped_key(row: &Task) -> Option<(TimestampMs, TaskKey)> {
    let is_stopped = row.last_status >= TaskStatus::Stopped;
    is_stopped.then(|| (row.stopped_at_ms.unwrap_or(row.created_at_ms), row.key()))
}

impl Tables {
    /// All tasks of a family, of every cluster of the account and region, the stopped ones included.
    pub fn tasks_of_family(
        &self,
        scope: &Scope,
        family: &Family,
    ) -> impl Iterator<Item = &Arc<Task>> {
        let clusters = self.clusters.iter().filter(|cluster| cluster.scope == *scope);
        let both = [DesiredStatus::Running, DesiredStatus::Stopped];
        let groups = clusters.flat_map(move |cluster| both.map(|desired| (cluster.key(), desired)));
        let ids = groups.flat_map(|(cluster, desired)| {
            self.tasks.with_facet(&cluster, desired, TaskFacet::Family(family.clone()))
        });
        ids.filter_map(|id| self.tasks.by_id(id))
    }
}

impl Table<Task> {
    /// The tasks on the container instances of a cluster, as placement looks at them.
    pub fn placed_in(&self, cluster: &ClusterKey) -> PlacedInCluster<'_> {
        PlacedInCluster::new(self, self.index.placed.in_cluster(cluster))
    }
    /// A task by its id alone, which is unique in an installation.
    pub fn by_id(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.get(self.index.by_id.get(id)?)
    }
    /// All tasks of a service that are kept, the stopped ones included.
    pub fn of_service(&self, service: &ServiceKey) -> &Rows<TaskId, Task> {
        self.index.by_service.get(service)
    }
    /// The ids of the tasks of a cluster that have the facet, by what is wanted of them, as ListTasks filters.
    pub fn with_facet(
        &self,
        cluster: &ClusterKey,
        desired: DesiredStatus,
        facet: TaskFacet,
    ) -> &OrdSet<TaskId> {
        self.index.by_facet.get(&(facet, desired, cluster.clone()))
    }
    /// How many tasks of the cluster run or are about to.
    pub fn counts(&self, cluster: &ClusterKey, launch_type: LaunchType) -> TaskCounts {
        self.index.counts.get(&(cluster.clone(), launch_type)).copied().unwrap_or_default()
    }
    /// How many tasks of one deployment of a service run, are about to, and are wanted.
    pub fn counts_of_deployment(
        &self,
        service: &ServiceKey,
        deployment: &DeploymentId,
    ) -> DeploymentCounts {
        let deployments = self.index.by_deployment.get(service);
        deployments.and_then(|all| all.get(deployment)).copied().unwrap_or_default()
    }
    /// The sum over all deployments of a service, those too that the service does not show any more.
    pub fn counts_of_service(&self, service: &ServiceKey) -> DeploymentCounts {
        let mut sum = DeploymentCounts::default();
        let deployments = self.index.by_deployment.get(service).into_iter().flatten();
        deployments.for_each(|(_, counts)| sum.add(*counts));
        sum
    }
    /// The tasks that hold something of a node: placed on it and not STOPPED yet.
    pub fn live_on_node(&self, node: &NodeId) -> &Rows<TaskId, Task> {
        self.index.live_by_node.get(node)
    }
    /// The sum of what `live_on_node` holds.
    pub fn use_of_node(&self, node: &NodeId) -> NodeUse {
        self.index.use_by_node.get(node).cloned().unwrap_or_default()
    }
    /// STOPPED tasks, the longest stopped first.
    pub fn stopped(&self) -> &OrdSet<(TimestampMs, TaskKey)> {
        &self.index.stopped
    }
}
