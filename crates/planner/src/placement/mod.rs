//! Chooses a node for a task. RunTask answers with its verdict; the service controller tries again.
//!
//! A node must fit (room, ports, architecture), then satisfy the constraints; of those that do the strategies choose, and
//! what they leave open goes to the most free memory, then the most free CPU, then the first by id. A node on which tasks
//! like this one did not start lately comes after all others: it is always the one with the most room.

mod batch;
mod rules;

use std::collections::BTreeSet;
use std::fmt;

use outport_model::capacity::{Candidate, Capacity, NoPlacedTasks, PlacedTasks, Pool};
use outport_model::container_instance::ContainerInstanceStatus;
use outport_model::linux_capability::PRIVILEGED_ATTRIBUTE;
use outport_model::node::Architecture;
use outport_model::task_definition::LaunchType;
use outport_model::{ClusterName, ContainerInstanceId, Scope};

pub(crate) use batch::{Batch, Scene};
pub use rules::Rules;

use crate::cluster_query::Instance;
use crate::ports::HostPort;
use crate::settings::Settings;
use crate::shortage::{Lack, Shortage};

/// What a task needs of its node.
#[derive(Clone, Debug)]
pub struct Requirements {
    pub launch_type: LaunchType,
    pub architecture: Option<Architecture>,
    /// Only a node whose operator gives containers power over the host will do.
    pub privileged: bool,
    pub cpu_units: u32,
    pub memory_mib: u32,
    pub host_ports: Vec<HostPort>,
    /// Host ports that may be any of the dynamic range.
    pub open_ports: usize,
}

/// Why a node does not fit, in the order in which it is asked: the later, the closer the match.
/// `Display` gives the words that ECS uses in `failures[].reason`.
/// Source: "API failure reasons" in the Amazon ECS Developer Guide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unplaceable {
    /// Fargate: no node takes tasks now, or none has room.
    NoCapacity,
    /// EC2 and EXTERNAL: the cluster has no container instance.
    NoContainerInstances,
    /// The node is silent or going away, or its container instance is draining.
    Agent,
    /// The processor is of another architecture.
    Attribute,
    /// The task asks for power over the host, and the node gives that to no container.
    Privileged,
    Cpu,
    Memory,
    /// A host port is taken.
    Ports,
    /// The instance is none that a `memberOf` constraint means.
    MemberOf,
    /// A task of the group is there, and `distinctInstance` is asked for.
    DistinctInstance,
    /// No subnet that was named has a free address.
    Addresses,
    /// The role of the task does not let ECS have it.
    TaskRole,
    /// The task definition asks for what this version does not run: another one registered it, or started its service.
    Unsupported,
}

impl fmt::Display for Unplaceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCapacity => {
                "Capacity is unavailable at this time. Please try again later or in a different \
                 availability zone"
            }
            Self::NoContainerInstances => "No Container Instances were found in your cluster.",
            Self::Agent => "AGENT",
            Self::Attribute | Self::Privileged => "ATTRIBUTE",
            Self::Cpu => "RESOURCE:CPU",
            Self::Memory => "RESOURCE:MEMORY",
            Self::Ports => "RESOURCE:PORTS",
            // As callers report them.
            Self::MemberOf => "MemberOf placement constraint unsatisfied.",
            Self::DistinctInstance => "DistinctInstance placement constraint unsatisfied.",
            Self::Addresses => "RESOURCE:ENI",
            Self::TaskRole => "ECS was unable to assume the role that was provided for this task",
            Self::Unsupported => {
                "The task definition uses what this version of Outport does not run"
            }
        })
    }
}

impl Unplaceable {
    /// What `failures[].detail` adds where the reason alone does not say what to do. AWS leaves it
    /// out.
    pub fn detail(self) -> Option<String> {
        (self == Self::Privileged).then(|| {
            format!(
                "The container instance lacks {PRIVILEGED_ATTRIBUTE}: the task asks for power over \
                 the host (privileged, or a Linux capability that is not a container's own), which \
                 a node gives only with --allow-privileged."
            )
        })
    }
}

/// A container instance that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    pub id: ContainerInstanceId,
    pub reason: Unplaceable,
    /// In numbers, where it is room or ports.
    pub lack: Option<Lack>,
}

impl PassedOver {
    /// What `failures[].detail` adds.
    pub fn detail(&self) -> Option<String> {
        self.lack.as_ref().map(ToString::to_string).or_else(|| self.reason.detail())
    }
}

/// No node fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Of the closest match.
    pub reason: Unplaceable,
    /// EC2 and EXTERNAL: why each container instance was passed over, the closest match first. RunTask
    /// lists them all in `failures[]`. Empty for Fargate, whose machines nobody sees.
    pub instances: Vec<PassedOver>,
    /// What of the task definition is not run, of `Unplaceable::Unsupported`; the ARN of the role, of `Unplaceable::TaskRole`.
    pub named: Vec<String>,
    /// Where room is what is missing.
    pub shortage: Option<Shortage>,
}

impl Rejection {
    pub fn of(reason: Unplaceable) -> Self {
        Self { reason, instances: Vec::new(), named: Vec::new(), shortage: None }
    }

    /// Of a task whose role is not there, or does not trust ECS.
    pub fn of_task_role(role_arn: String) -> Self {
        Self { named: vec![role_arn], ..Self::of(Unplaceable::TaskRole) }
    }

    /// Of a task of this version's, which would lack something.
    pub fn of_unsupported(members: &[String]) -> Self {
        Self { named: members.to_vec(), ..Self::of(Unplaceable::Unsupported) }
    }
}

/// Where a task is placed.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub pool: &'a Pool,
    pub scope: &'a Scope,
    pub cluster: &'a ClusterName,
    /// Fargate has none.
    pub rules: &'a Rules,
}

/// Why a task finds no place after those of a batch.
pub(crate) fn rejection<C: Capacity>(batch: &Batch<'_, C>) -> Rejection {
    let Scene { needs, place, settings, .. } = batch.scene;
    let left = batch.left();
    let rejection = match place.pool {
        Pool::Fargate(_) => Rejection::of(Unplaceable::NoCapacity),
        Pool::ContainerInstances(..) => {
            let members = left.members(place.scope, place.cluster);
            reject(needs, place.rules, members, &batch.tasks(), settings)
        }
    };
    let lacks_room = matches!(
        rejection.reason,
        Unplaceable::NoCapacity | Unplaceable::Cpu | Unplaceable::Memory
    );
    let shortage = lacks_room.then(|| Shortage::of(needs, place.pool, &left));
    Rejection { shortage, ..rejection }
}

/// Where tasks of this launch type are placed.
pub fn pool(launch_type: LaunchType, scope: &Scope, cluster: &ClusterName) -> Pool {
    match launch_type {
        LaunchType::Fargate => Pool::Fargate(Some(scope.region.clone())),
        LaunchType::Ec2 | LaunchType::External => {
            Pool::ContainerInstances(scope.clone(), cluster.clone())
        }
    }
}

/// Whether a container instance takes a task, strategies and constraints aside.
pub(crate) fn check(
    needs: &Requirements,
    candidate: &Candidate<'_>,
    settings: &Settings,
) -> Result<(), Rejection> {
    let rules = Rules::default();
    let candidates = std::iter::once(*candidate);
    let rejection = reject(needs, &rules, candidates, &NoPlacedTasks, settings);
    if rejection.instances.is_empty() { Ok(()) } else { Err(rejection) }
}

/// Why a container instance does not fit, in the order of [`Unplaceable`].
fn reason(
    needs: &Requirements,
    rules: &Rules,
    candidate: &Candidate<'_>,
    tasks: &dyn PlacedTasks,
    settings: &Settings,
) -> Option<Unplaceable> {
    let status = candidate.container_instance?.status;
    let node = candidate.node;
    if status != ContainerInstanceStatus::Active || !node.connected || !node.accepts_tasks {
        return Some(Unplaceable::Agent);
    }
    let kind = candidate.kind();
    if needs.architecture.is_some_and(|wanted| wanted != kind.architecture) {
        return Some(Unplaceable::Attribute);
    }
    if needs.privileged && !kind.allows_privileged {
        return Some(Unplaceable::Privileged);
    }
    if candidate.free_cpu_units() < u64::from(needs.cpu_units) {
        return Some(Unplaceable::Cpu);
    }
    if candidate.free_memory_mib() < u64::from(needs.memory_mib) {
        return Some(Unplaceable::Memory);
    }
    if !has_ports(needs, candidate, settings) {
        return Some(Unplaceable::Ports);
    }
    let row = candidate.container_instance?;
    if !rules.is_member(&Instance { row, node: Some(node), tasks }) {
        return Some(Unplaceable::MemberOf);
    }
    let is_taken = rules.is_distinct && tasks.count(&rules.group, &node.id) > 0;
    is_taken.then_some(Unplaceable::DistinctInstance)
}

fn has_ports(needs: &Requirements, candidate: &Candidate<'_>, settings: &Settings) -> bool {
    if needs.host_ports.is_empty() && needs.open_ports == 0 {
        return true;
    }
    let reserved = &candidate.node.capacity.reserved_ports;
    let mut own = BTreeSet::new();
    let fixed_are_free = needs.host_ports.iter().all(|port| {
        !candidate.used.host_ports.contains(port)
            && !reserved.contains(&port.0)
            && own.insert(*port)
    });
    let range = &settings.dynamic_ports;
    let in_range =
        |ports: &BTreeSet<HostPort>| ports.iter().filter(|(port, _)| range.contains(port)).count();
    let reserved_in_range = reserved.iter().filter(|port| range.contains(port)).count();
    // Counts tcp and udp together: with a range of 28,000 ports a finer answer is never needed.
    let free_in_range = range
        .len()
        .saturating_sub(in_range(&candidate.used.host_ports) + in_range(&own) + reserved_in_range);
    fixed_are_free && needs.open_ports <= free_in_range
}

fn reject<'c>(
    needs: &Requirements,
    rules: &Rules,
    members: impl Iterator<Item = Candidate<'c>>,
    tasks: &dyn PlacedTasks,
    settings: &Settings,
) -> Rejection {
    let mut instances: Vec<PassedOver> = members
        .filter_map(|candidate| {
            let reason = reason(needs, rules, &candidate, tasks, settings)?;
            let lack = match reason {
                Unplaceable::Cpu | Unplaceable::Memory => Some(Lack::of_room(needs, &candidate)),
                Unplaceable::Ports => Some(Lack::of_ports(needs, &candidate)),
                _ => None,
            };
            Some(PassedOver { id: candidate.container_instance?.id.clone(), reason, lack })
        })
        .collect();
    instances.sort_by(|one, other| other.reason.cmp(&one.reason).then(one.id.cmp(&other.id)));
    let reason = instances.first().map_or(Unplaceable::NoContainerInstances, |first| first.reason);
    Rejection { instances, ..Rejection::of(reason) }
}

#[cfg(test)]
mod tests;
