//! Why a task fits nowhere, in numbers: what it wants, and what the node with the most room has left.
//!
//! AWS does not say it, whose machines are somebody else's. Here they are the reader's own, and a task that is larger than
//! all of them will never fit, however often it is tried.

use std::fmt;

use outport_model::NodeId;
use outport_model::capacity::{Capacity, Pool, Wanted};
use outport_model::node::Architecture;

use crate::placement::Requirements;

/// The node that has the most memory left, of those that would take the task if it were small.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Roomiest {
    node: NodeId,
    cpu_units: u64,
    memory_mib: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    cpu_units: u32,
    memory_mib: u32,
    architecture: Option<Architecture>,
    roomiest: Option<Roomiest>,
}

impl Shortage {
    /// Looks at one node.
    pub(crate) fn of(needs: &Requirements, pool: &Pool, capacity: &impl Capacity) -> Self {
        let small = Wanted {
            pool,
            architecture: needs.architecture,
            privileged: needs.privileged,
            cpu_units: 0,
            memory_mib: 0,
        };
        let roomiest = capacity.with_room(small).next().map(|candidate| Roomiest {
            node: candidate.node.id.clone(),
            cpu_units: candidate.free_cpu_units(),
            memory_mib: candidate.free_memory_mib(),
        });
        let (cpu_units, memory_mib) = (needs.cpu_units, needs.memory_mib);
        Self { cpu_units, memory_mib, architecture: needs.architecture, roomiest }
    }
}

/// `wanted: … CPU units, … MiB; free: …`, for whoever runs the machines.
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wanted: {} CPU units, {} MiB", self.cpu_units, self.memory_mib)?;
        match &self.roomiest {
            Some(Roomiest { node, cpu_units, memory_mib }) => write!(
                f,
                "; free on the machine with the most memory left ({node}): {cpu_units} CPU units, {memory_mib} MiB"
            ),
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
