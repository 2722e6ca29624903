//! Why a task fits nowhere, in numbers: what it wants, and what the node with the most room has left.
//!
//! AWS does not say it, whose machines are somebody else's. Here they are the reader's own, and a task that is larger than
//! all of them will never fit, however often it is tried.

use std::fmt;

use outport_model::capacity::{Candidate, Capacity, Pool, Wanted};
use outport_model::node::Architecture;

use crate::placement::Requirements;

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
        write!(f, "wanted: {} CPU units, {} MiB", self.cpu_units, self.memory_mib)?;
        match &self.roomiest {
            Some(Roomiest { name, cpu_units, memory_mib }) => {
                write!(
                    f,
                    "; free on the machine with the most memory left ({name}): {cpu_units} CPU units, {memory_mib} MiB"
                )?;
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
