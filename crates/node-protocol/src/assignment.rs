//! What a node should have, in sections: today the tasks that it should run. What a whole node has of its networks, load
//! balancers and names will be sections, too.
//!
//! **Invariant:** a section has a generation of its own that only grows. A node asks with the generations that it knows and
//! is told the sections that are newer: whole, or as what changed since the very generation that it knows.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use outport_model::task_definition::{ContainerDefinition, LaunchType, TransportProtocol};
use outport_model::{
    AccountId, ClusterName, ContainerId, DesiredStatus, Family, NetworkInterfaceId, Region,
    Revision, Scope, SecurityGroupId, ServiceName, TaskId,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::one_by_one::{self, UnreadableTask};

/// The generations of the sections that a node knows; 0 of one that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGenerations {
    #[serde(default)]
    pub tasks: u64,
}

/// The sections that are news to a node. One that is absent is as the node knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Arc<TaskSection>>,
}

/// The tasks that a node should run. One that is not among them is none of the node's business any more: it stops and
/// forgets it. Version 1 of the protocol has no other section, and only whole: this is its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskSection {
    /// Grows with every change; a node refuses one that is older than what it has.
    pub generation: u64,
    /// `None`: it is whole. Else what changed since this generation, which the node said that it knows: the tasks that are
    /// new or other, and those that are `gone`.
    pub since: Option<u64>,
    /// None of the node's any more; empty in a whole section.
    pub gone: Vec<TaskId>,
    pub tasks: Vec<Arc<TaskAssignment>>,
    /// Tasks of a newer control plane that this version cannot read, and those of which the control plane itself cannot
    /// say more, such as one whose task definition a newer version wrote. They are the node's all the same: in a message
    /// they stand among the others, with no more than what is known.
    pub unreadable: Vec<UnreadableTask>,
}

impl TaskSection {
    /// The tasks that the node is to stop.
    pub fn stopping(&self) -> impl Iterator<Item = &TaskId> {
        let whole = self.tasks.iter().map(|task| (Some(&task.task), Some(task.desired)));
        let named = self.unreadable.iter().map(|task| (task.task.as_ref(), task.desired));
        let stopping = |desired| desired == Some(DesiredStatus::Stopped);
        whole.chain(named).filter_map(move |(task, desired)| task.filter(|_| stopping(desired)))
    }

    /// What of this whole section is other than in `before`, another whole one.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Self {
        let (now, before_by_task) = (self.by_task(), before.by_task());
        let gone = before_by_task.keys().filter(|task| !now.contains_key(*task));
        let gone = gone.filter_map(|task| (*task).cloned()).collect();
        let changed = now.iter().filter(|(task, entry)| before_by_task.get(*task) != Some(*entry));
        let mut changes = Self { generation: self.generation, gone, ..Self::default() };
        changes.since = Some(before.generation);
        changed.for_each(|(_, entry)| changes.push(*entry));
        changes
    }

    /// The whole section that `news` makes of this one. `None`: they are changes to another generation.
    #[must_use]
    pub fn with(&self, news: Self) -> Option<Self> {
        if news.since.is_none() {
            return Some(news);
        }
        if news.since != Some(self.generation) {
            return None;
        }
        let mut entries = self.by_task();
        for task in &news.gone {
            entries.remove(&Some(task));
        }
        entries.extend(news.by_task());
        let mut whole = Self { generation: news.generation, ..Self::default() };
        entries.values().for_each(|entry| whole.push(*entry));
        Some(whole)
    }

    /// Whether it says nothing.
    pub fn has_no_changes(&self) -> bool {
        self.tasks.is_empty() && self.gone.is_empty() && self.unreadable.is_empty()
    }

    /// Those without a name are one: nothing can be done about them but to say so.
    fn by_task(&self) -> BTreeMap<Option<&TaskId>, Entry<'_>> {
        let whole = self.tasks.iter().map(|task| (Some(&task.task), Entry::Whole(task)));
        let named = self.unreadable.iter().map(|task| (task.task.as_ref(), Entry::Named(task)));
        whole.chain(named).collect()
    }

    fn push(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Whole(task) => self.tasks.push(Arc::clone(task)),
            Entry::Named(task) => self.unreadable.push(task.clone()),
        }
    }
}

/// What a section says of one task.
#[derive(Clone, Copy)]
enum Entry<'a> {
    Whole(&'a Arc<TaskAssignment>),
    Named(&'a UnreadableTask),
}

impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // Most are the very same.
            (Self::Whole(one), Self::Whole(other)) => Arc::ptr_eq(one, other) || one == other,
            (Self::Named(one), Self::Named(other)) => one == other,
            _ => false,
        }
    }
}

impl Serialize for TaskSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Task<'a> {
            Whole(&'a TaskAssignment),
            Named(&'a UnreadableTask),
        }
        #[derive(Serialize)]
        struct Message<'a> {
            generation: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            since: Option<u64>,
            #[serde(skip_serializing_if = "<[TaskId]>::is_empty")]
            gone: &'a [TaskId],
            tasks: Vec<Task<'a>>,
        }
        let whole = self.tasks.iter().map(|task| Task::Whole(task));
        let tasks = whole.chain(self.unreadable.iter().map(Task::Named)).collect();
        let Self { generation, since, gone, .. } = self;
        Message { generation: *generation, since: *since, gone, tasks }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TaskSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Message {
            generation: u64,
            #[serde(default)]
            since: Option<u64>,
            #[serde(default)]
            gone: Vec<TaskId>,
            /// Required: an assignment without tasks says so.
            tasks: Vec<Box<RawValue>>,
        }
        let Message { generation, since, gone, tasks } = Message::deserialize(deserializer)?;
        let (tasks, unreadable) = one_by_one::read(&tasks);
        Ok(Self { generation, since, gone, tasks, unreadable })
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// All that a node needs to run one task. Only `desired` changes while it lives, and `was_started` where it is said anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskAssignment {
    pub task: TaskId,
    pub desired: DesiredStatus,
    /// The node has said that it started it. Where it has no record of the task, it is not to start it another time: its
    /// own disk or the control plane's rows are those of an earlier time.
    #[serde(default, skip_serializing_if = "is_false")]
    pub was_started: bool,
    pub account: AccountId,
    pub region: Region,
    pub cluster: ClusterName,
    pub task_arn: String,
    pub family: Family,
    pub revision: Revision,
    pub launch_type: LaunchType,
    #[serde(default)]
    pub availability_zone: Option<String>,
    #[serde(default)]
    pub service: Option<ServiceName>,
    /// The ARN of the role whose credentials its containers get, by the node's call for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_role_arn: Option<String>,
    /// The ARN of the role with whose permissions its images are pulled, its secrets read and its logs taken in. The node learns
    /// what comes of it by its calls for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_role_arn: Option<String>,
    pub network: TaskNetwork,
    #[serde(default)]
    pub limits: TaskLimits,
    /// In the order of the task definition; the node starts them in dependency order.
    pub containers: Vec<ContainerAssignment>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskNetwork {
    Awsvpc(AwsvpcAttachment),
    Bridge,
    Host,
    None,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AwsvpcAttachment {
    pub network_interface_id: NetworkInterfaceId,
    pub mac_address: String,
    pub address: Ipv4Addr,
    /// Bits of the subnet's range.
    pub prefix: u8,
    /// The subnet's router.
    pub gateway: Ipv4Addr,
    pub vpc_cidr: String,
    pub subnet_cidr: String,
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupId>,
    pub private_dns_name: String,
}

impl TaskAssignment {
    /// Whether its containers get something that the node has to ask for: [`crate::TaskSecrets`].
    pub fn needs_secrets(&self) -> bool {
        self.containers.iter().any(|container| container.definition.needs_secrets())
    }
}

/// Of the task as a whole: they bite on the parent control group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLimits {
    /// 1,024 are one core; a hard ceiling on Fargate and where the task definition says so.
    #[serde(default)]
    pub cpu_units: Option<u32>,
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// Processes and threads of the whole task.
    #[serde(default = "pids_max_default")]
    pub pids_max: u32,
    /// GiB that its containers may write beside their volumes; `None`: what the node gives each task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
}

/// A container: its definition, who it is, and what placement made of the definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerAssignment {
    pub id: ContainerId,
    pub arn: String,
    /// The digest that the service's deployment resolved the tag to; pulled instead of the tag.
    #[serde(default)]
    pub image_digest: Option<String>,
    /// The account and region of this installation whose registry the image is in, where its host names another one than the
    /// task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Scope>,
    /// Of the definition's port mappings.
    #[serde(default)]
    pub ports: Vec<PortBinding>,
    /// Of the definition's log configuration; `None`: its logs stay on the node.
    #[serde(default)]
    pub log: Option<LogDestination>,
    /// After the overrides of the task, with the environment and the labels that ECS adds. Its fields stand beside the ones
    /// above.
    #[serde(flatten)]
    pub definition: ContainerDefinition,
}

/// In bridge mode the host port is chosen by the control plane at placement, never 0 here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    pub container_port: u16,
    pub host_port: u16,
    pub protocol: TransportProtocol,
}

/// A stream of CloudWatch Logs on this control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogDestination {
    pub group: String,
    /// Where it is not the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Complete: prefix/container/task-id.
    pub stream: String,
    #[serde(default)]
    pub create_group: bool,
    #[serde(default)]
    pub non_blocking: bool,
    #[serde(default = "max_buffer_bytes_default")]
    pub max_buffer_bytes: u64,
}

impl Default for TaskLimits {
    fn default() -> Self {
        let (cpu_units, memory_mib, storage_gib) = Default::default();
        Self { cpu_units, memory_mib, pids_max: pids_max_default(), storage_gib }
    }
}

/// Far above what services need, far below what hurts a host.
fn pids_max_default() -> u32 {
    4_096
}

/// Source: `max-buffer-size` of the awslogs driver.
fn max_buffer_bytes_default() -> u64 {
    10 << 20
}
