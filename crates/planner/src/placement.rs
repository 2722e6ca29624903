//! Chooses a node for a task. RunTask answers with its verdict; the service controller tries again.

use std::collections::BTreeSet;
use std::fmt;

use outport_model::ContainerInstanceId;
use outport_model::capacity::Candidate;
use outport_model::container_instance::ContainerInstanceStatus;
use outport_model::node::Architecture;
use outport_model::task_definition::LaunchType;

use crate::ports::HostPort;
use crate::settings::Settings;

/// What a task needs of its node.
#[derive(Clone, Debug)]
pub struct Requirements {
    pub launch_type: LaunchType,
    pub architecture: Option<Architecture>,
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
    Cpu,
    Memory,
    /// A host port is taken.
    Ports,
    /// No subnet that was named has a free address.
    Addresses,
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
            Self::Attribute => "ATTRIBUTE",
            Self::Cpu => "RESOURCE:CPU",
            Self::Memory => "RESOURCE:MEMORY",
            Self::Ports => "RESOURCE:PORTS",
            Self::Addresses => "RESOURCE:ENI",
        })
    }
}

/// No node fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Of the closest match.
    pub reason: Unplaceable,
    /// EC2 and EXTERNAL: why each container instance was passed over, the closest match first. RunTask
    /// lists them all in `failures[]`. Empty for Fargate, whose machines nobody sees.
    pub instances: Vec<(ContainerInstanceId, Unplaceable)>,
}

impl Rejection {
    pub fn of(reason: Unplaceable) -> Self {
        Self { reason, instances: Vec::new() }
    }
}

/// Spreads tasks: of the nodes that fit, the one with the most free memory, then the most free CPU;
/// the first by id of equals.
pub fn choose<'c>(
    needs: &Requirements,
    candidates: &'c [Candidate],
    settings: &Settings,
) -> Result<&'c Candidate, Rejection> {
    let mut passed_over = Vec::new();
    let mut best: Option<&Candidate> = None;
    for candidate in candidates {
        match fits(needs, candidate, settings) {
            Ok(()) => {
                if best.is_none_or(|best| room(candidate) > room(best)) {
                    best = Some(candidate);
                }
            }
            Err(reason) => passed_over.push((candidate, reason)),
        }
    }
    best.ok_or_else(|| reject(needs.launch_type, &passed_over))
}

fn room(candidate: &Candidate) -> (u64, u64) {
    let capacity = &candidate.node.capacity;
    (
        u64::from(capacity.memory_mib).saturating_sub(candidate.used.memory_mib),
        u64::from(capacity.cpu_units).saturating_sub(candidate.used.cpu_units),
    )
}

fn fits(
    needs: &Requirements,
    candidate: &Candidate,
    settings: &Settings,
) -> Result<(), Unplaceable> {
    let node = &candidate.node;
    if needs.launch_type != LaunchType::Fargate {
        let instance = candidate.container_instance.as_deref();
        let instance = instance.filter(|i| i.status != ContainerInstanceStatus::Inactive);
        let status = instance.ok_or(Unplaceable::NoContainerInstances)?.status;
        if status != ContainerInstanceStatus::Active {
            return Err(Unplaceable::Agent);
        }
    }
    if !node.connected || !node.accepts_tasks {
        return Err(Unplaceable::Agent);
    }
    if needs.architecture.is_some_and(|architecture| architecture != node.architecture) {
        return Err(Unplaceable::Attribute);
    }
    let (free_memory_mib, free_cpu_units) = room(candidate);
    if free_cpu_units < u64::from(needs.cpu_units) {
        return Err(Unplaceable::Cpu);
    }
    if free_memory_mib < u64::from(needs.memory_mib) {
        return Err(Unplaceable::Memory);
    }
    if !has_ports(needs, candidate, settings) {
        return Err(Unplaceable::Ports);
    }
    Ok(())
}

fn has_ports(needs: &Requirements, candidate: &Candidate, settings: &Settings) -> bool {
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

fn reject(launch_type: LaunchType, passed_over: &[(&Candidate, Unplaceable)]) -> Rejection {
    if launch_type == LaunchType::Fargate {
        return Rejection::of(Unplaceable::NoCapacity);
    }
    let mut instances: Vec<(ContainerInstanceId, Unplaceable)> = passed_over
        .iter()
        .filter(|(_, reason)| *reason != Unplaceable::NoContainerInstances)
        .filter_map(|(candidate, reason)| {
            Some((candidate.container_instance.as_ref()?.id.clone(), *reason))
        })
        .collect();
    instances.sort_by(|(id, reason), (other_id, other)| other.cmp(reason).then(id.cmp(other_id)));
    let reason = instances.first().map_or(Unplaceable::NoContainerInstances, |(_, reason)| *reason);
    Rejection { reason, instances }
}
