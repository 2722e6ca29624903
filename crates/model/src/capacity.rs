//! What a node has left, and the place that a task gets on one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::container_instance::ContainerInstance;
use crate::network::{NetworkInterface, Subnet};
use crate::node::{Architecture, Node};
use crate::task::{Reservation, Task};
use crate::task_definition::TransportProtocol;
use crate::{ClusterName, NodeId, Region, Scope, SecurityGroupId, SubnetId};

/// The sum of what the live tasks of one node hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    pub cpu_units: u64,
    pub memory_mib: u64,
    pub host_ports: BTreeSet<(u16, TransportProtocol)>,
    /// Live tasks.
    pub tasks: u32,
}

impl NodeUse {
    pub fn add(&mut self, held: &Reservation) {
        self.cpu_units += u64::from(held.cpu_units);
        self.memory_mib += u64::from(held.memory_mib);
        self.host_ports.extend(held.host_ports.iter().copied());
        self.tasks += 1;
    }

    /// Takes back what `add` added.
    pub fn subtract(&mut self, held: &Reservation) {
        self.cpu_units = self.cpu_units.saturating_sub(u64::from(held.cpu_units));
        self.memory_mib = self.memory_mib.saturating_sub(u64::from(held.memory_mib));
        for port in &held.host_ports {
            self.host_ports.remove(port);
        }
        self.tasks = self.tasks.saturating_sub(1);
    }
}

/// The nodes among which a task is placed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Every node that takes tasks of this region; of a node: `None` when it takes those of every region.
    Fargate(Option<Region>),
    /// The ACTIVE container instances of a cluster, for launch types EC2 and EXTERNAL.
    ContainerInstances(Scope, ClusterName),
}

/// What sort of task a node of a pool takes, however much room it has. A search walks over the nodes of the kinds that
/// will do, and over no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeKind {
    pub architecture: Architecture,
    /// Its operator gives containers power over the host.
    pub allows_privileged: bool,
}

impl NodeKind {
    pub const ALL: [Self; 4] = [
        Self { architecture: Architecture::X86_64, allows_privileged: false },
        Self { architecture: Architecture::X86_64, allows_privileged: true },
        Self { architecture: Architecture::Arm64, allows_privileged: false },
        Self { architecture: Architecture::Arm64, allows_privileged: true },
    ];
}

/// The room that a task looks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub pool: &'a Pool,
    /// Any will do when there is none.
    pub architecture: Option<Architecture>,
    /// Only a node that allows privileged containers will do.
    pub privileged: bool,
    pub cpu_units: u32,
    pub memory_mib: u32,
}

impl Wanted<'_> {
    pub fn takes(&self, kind: NodeKind) -> bool {
        self.architecture.is_none_or(|wanted| wanted == kind.architecture)
            && (!self.privileged || kind.allows_privileged)
    }
}

/// A node as placement looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub node: &'a Arc<Node>,
    /// The node's container instance in the cluster that is asked for, if it has one.
    pub container_instance: Option<&'a Arc<ContainerInstance>>,
    pub used: &'a NodeUse,
}

impl Candidate<'_> {
    pub fn free_memory_mib(&self) -> u64 {
        u64::from(self.node.capacity.memory_mib).saturating_sub(self.used.memory_mib)
    }

    pub fn free_cpu_units(&self) -> u64 {
        u64::from(self.node.capacity.cpu_units).saturating_sub(self.used.cpu_units)
    }

    pub fn kind(&self) -> NodeKind {
        let instance = self.container_instance;
        let allows_privileged = instance.is_some_and(|instance| instance.allows_privileged());
        NodeKind { architecture: self.node.architecture, allows_privileged }
    }
}

/// What nodes have left, as placement reads it. A clone is free, and a scratch state to place on.
pub trait Capacity: Clone {
    /// The nodes of the pool that take tasks now, are of a kind that will do and have at least this much left: the one
    /// with the most free memory first, then the one with the most free CPU, then the first by id.
    fn with_room<'a>(&'a self, wanted: Wanted<'a>) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a>;

    /// Every container instance of the cluster, whether it takes tasks or not: for saying why none does.
    fn members<'a>(
        &'a self,
        scope: &'a Scope,
        cluster: &'a ClusterName,
    ) -> Box<dyn Iterator<Item = Candidate<'a>> + 'a>;

    /// One node, as `members` shows it.
    fn member<'a>(
        &'a self,
        scope: &Scope,
        cluster: &ClusterName,
        node: &NodeId,
    ) -> Option<Candidate<'a>>;

    /// As what an operator knows a node, whatever its cluster; `None` for one that was deregistered.
    fn instance_of(&self, node: &NodeId) -> Option<&Arc<ContainerInstance>>;

    /// Takes room of a node for a task.
    fn reserve(&mut self, node: &NodeId, held: &Reservation);
}

/// The tasks of a cluster that are on its container instances, as placement and cluster queries look at them. One that is to
/// stop counts no more, though it may run still: ECS looks at the desired status.
/// Source: "Define which container instances Amazon ECS uses for tasks", distinctInstance.
pub trait PlacedTasks: std::fmt::Debug {
    /// How many tasks of a group are on a node as the cluster's container instance.
    fn count(&self, group: &str, node: &NodeId) -> u32;

    /// Where the tasks of a group are, and how many of them.
    fn of_group<'a>(&'a self, group: &'a str) -> Box<dyn Iterator<Item = (&'a NodeId, u32)> + 'a>;

    /// Whether a container instance has a task of a group that will do.
    fn any_group_on(&self, instance: &ContainerInstance, will_do: &dyn Fn(&str) -> bool) -> bool;

    /// The tasks of a container instance that are RUNNING: its `runningTasksCount`.
    fn running_on(&self, instance: &ContainerInstance) -> u32;
}

/// For who looks at no tasks: Fargate, whose machines nobody chooses.
#[derive(Clone, Copy, Debug)]
pub struct NoPlacedTasks;

impl PlacedTasks for NoPlacedTasks {
    fn count(&self, _group: &str, _node: &NodeId) -> u32 {
        0
    }
    fn of_group<'a>(&'a self, _group: &'a str) -> Box<dyn Iterator<Item = (&'a NodeId, u32)> + 'a> {
        Box::new(std::iter::empty())
    }
    fn any_group_on(&self, _: &ContainerInstance, _will_do: &dyn Fn(&str) -> bool) -> bool {
        false
    }
    fn running_on(&self, _instance: &ContainerInstance) -> u32 {
        0
    }
}

/// The rows of a task that was placed.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedTask {
    pub task: Task,
    /// Of a task in `awsvpc` mode.
    pub interface: Option<NetworkInterface>,
    pub cursor: Option<AddressCursor>,
}

/// A subnet as the choice of an address looks at it.
pub struct SubnetSpace<'a> {
    pub subnet: Arc<Subnet>,
    /// The security group of a task that names none: the one called `default` of the VPC.
    pub default_security_group: Option<SecurityGroupId>,
    /// How many of its addresses are taken.
    pub taken: usize,
    pub is_taken: Box<dyn Fn(Ipv4Addr) -> bool + 'a>,
    /// Addresses that were given out since, to tasks that have no rows yet.
    pub given: BTreeSet<Ipv4Addr>,
    /// The address that was given out last.
    pub last: Option<Ipv4Addr>,
}

impl SubnetSpace<'_> {
    /// Takes an address for a task.
    pub fn give(&mut self, address: Ipv4Addr) {
        self.given.insert(address);
        self.taken += 1;
        self.last = Some(address);
    }
}

impl std::fmt::Debug for SubnetSpace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubnetSpace")
            .field("subnet", &self.subnet.id)
            .field("taken", &self.taken)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// The address that a subnet gave out last. The next task gets the one behind it, so that an address
/// rests for as long as possible before it means another task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressCursor {
    pub scope: Scope,
    pub subnet_id: SubnetId,
    pub last: Ipv4Addr,
}
