//! Why a task fits nowhere, in numbers: what it wants, and what the node with the most room has left.
//!
//! AWS does not say it, whose machines are somebody else's. Here they are the reader's own, and a task that is larger than
//! all of them will never fit, however often it is tried.

use std::fmt;

use outport_model::capacity::{Candidate, Capacity, Pool, Wanted};
use outport_model::node::Architecture;

use crate::placement::Requirements;
use crate::ports::HostPort;

/// The node that has the most memory left, of those that would take the task if it were small.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Roomiest {
    /// As its operator knows it: the id of its container instance, which `outport status` shows; its host's name where it
    /// has none.
    name: String,
    cpu_units: u64,
    memory_mib: u64,
}

impl Roomiest {
    fn of(candidate: &Candidate<'_>, capacity: &impl Capacity) -> Self {
        let node = candidate.node;
        let instance = capacity.instance_of(&node.id).map(|instance| instance.id.to_string());
        Self {
            name: instance.unwrap_or_else(|| node.host_name.clone()),
            cpu_units: candidate.free_cpu_units(),
            memory_mib: candidate.free_memory_mib(),
        }
    }
}

/// What a task wants, and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    cpu_units: u32,
    memory_mib: u32,
    architecture: Option<Architecture>,
    roomiest: Option<Roomiest>,
    /// No machine would have room for it if nothing else ran there.
    is_larger_than_any: bool,
}

impl Shortage {
    /// Of so many CPU units and MiB, where so many are free on one host.
    #[cfg(test)]
    pub(crate) fn for_tests((cpu_units, memory_mib): (u32, u32), free: (u64, u64)) -> Self {
        let roomiest = Roomiest { name: "host".to_owned(), cpu_units: free.0, memory_mib: free.1 };
        Self {
            cpu_units,
            memory_mib,
            architecture: None,
            roomiest: Some(roomiest),
            is_larger_than_any: false,
        }
    }

    /// Looks at the node with the most room, and at further ones until one is large enough.
    pub(crate) fn of(needs: &Requirements, pool: &Pool, capacity: &impl Capacity) -> Self {
        let small = Wanted {
            pool,
            architecture: needs.architecture,
            privileged: needs.privileged,
            cpu_units: 0,
            memory_mib: 0,
        };
        let roomiest = capacity.with_room(small).next();
        let (cpu_units, memory_mib) = (needs.cpu_units, needs.memory_mib);
        let is_as_large = |candidate: Candidate<'_>| {
            let total = &candidate.node.capacity;
            total.cpu_units >= cpu_units && total.memory_mib >= memory_mib
        };
        Self {
            cpu_units,
            memory_mib,
            architecture: needs.architecture,
            is_larger_than_any: roomiest.is_some() && !capacity.with_room(small).any(is_as_large),
            roomiest: roomiest.map(|candidate| Roomiest::of(&candidate, capacity)),
        }
    }
}

/// `wanted: … CPU units, … MiB; free: …`, for whoever runs the machines.
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wanted: {}", Room::of(self.cpu_units, self.memory_mib))?;
        match &self.roomiest {
            Some(Roomiest { name, cpu_units, memory_mib }) => {
                let room = Room { cpu_units: *cpu_units, memory_mib: *memory_mib };
                write!(f, "; free on the machine with the most memory left ({name}): {room}")?;
                match self.is_larger_than_any {
                    true => f.write_str("; larger than any machine that takes tasks: it fits on none of them, however empty"),
                    false => Ok(()),
                }
            }
            None => {
                let of = match self.architecture {
                    Some(architecture) => format!(" of architecture {}", architecture.as_str()),
                    None => String::new(),
                };
                write!(f, "; no machine{of} takes such tasks now")
            }
        }
    }
}

/// What one container instance lacks that a task wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    Room {
        wanted: Room,
        free: Room,
        /// It would not have room if nothing else ran there.
        is_larger: bool,
    },
    /// Host ports that the task names, and those of them that somebody has; none of these when it is one of the dynamic
    /// range that is missing.
    Ports { wanted: Vec<HostPort>, taken: Vec<HostPort> },
}

/// CPU units, 1,024 a core, and MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    cpu_units: u64,
    memory_mib: u64,
}

impl Room {
    fn of(cpu_units: u32, memory_mib: u32) -> Self {
        Self { cpu_units: u64::from(cpu_units), memory_mib: u64::from(memory_mib) }
    }
}

impl Lack {
    pub(crate) fn of_room(needs: &Requirements, candidate: &Candidate<'_>) -> Self {
        let total = &candidate.node.capacity;
        Self::Room {
            wanted: Room::of(needs.cpu_units, needs.memory_mib),
            free: Room {
                cpu_units: candidate.free_cpu_units(),
                memory_mib: candidate.free_memory_mib(),
            },
            is_larger: total.cpu_units < needs.cpu_units || total.memory_mib < needs.memory_mib,
        }
    }

    pub(crate) fn of_ports(needs: &Requirements, candidate: &Candidate<'_>) -> Self {
        let is_taken = |port: &&HostPort| {
            candidate.used.host_ports.contains(port)
                || candidate.node.capacity.reserved_ports.contains(&port.0)
        };
        let taken = needs.host_ports.iter().filter(is_taken).copied().collect();
        Self::Ports { wanted: needs.host_ports.clone(), taken }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPU units, {} MiB", self.cpu_units, self.memory_mib)
    }
}

/// `wanted: …; free on it: …`
impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room { wanted, free, is_larger } => {
                write!(f, "wanted: {wanted}; free on it: {free}")?;
                match is_larger {
                    true => f.write_str(
                        "; larger than the machine: it does not fit there, however empty",
                    ),
                    false => Ok(()),
                }
            }
            Self::Ports { wanted, taken } if taken.is_empty() => {
                let wanted = match wanted.is_empty() {
                    true => "host ports of the dynamic range".to_owned(),
                    false => format!("host ports {}", listed(wanted)),
                };
                write!(f, "wanted: {wanted}; free on it: too few, or one is wanted twice")
            }
            Self::Ports { wanted, taken } => {
                write!(f, "wanted: host ports {}; taken on it: {}", listed(wanted), listed(taken))
            }
        }
    }
}

fn listed(ports: &[HostPort]) -> String {
    let ports = ports.iter().map(|(port, protocol)| format!("{port}/{}", protocol.as_str()));
    ports.collect::<Vec<_>>().join(", ")
}
