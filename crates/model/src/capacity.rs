//! What a node has left, and the place that a task gets on one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Scope;
use crate::container_instance::ContainerInstance;
use crate::network::Subnet;
use crate::node::Node;
use crate::task::Reservation;
use crate::task_definition::TransportProtocol;

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

/// A node as placement looks at it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub node: Arc<Node>,
    /// The node's container instance in the cluster that is asked for, if it has one.
    pub container_instance: Option<Arc<ContainerInstance>>,
    pub used: NodeUse,
    /// Tasks like the one that is to be placed did not start there lately: other nodes come first.
    pub is_troubled: bool,
}

/// A subnet as the choice of an address looks at it.
pub struct SubnetSpace<'a> {
    pub subnet: Arc<Subnet>,
    /// The security group of a task that names none: the one called `default` of the VPC.
    pub default_security_group: Option<String>,
    /// How many of its addresses are taken.
    pub taken: usize,
    pub is_taken: Box<dyn Fn(Ipv4Addr) -> bool + 'a>,
    /// The address that was given out last.
    pub last: Option<Ipv4Addr>,
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
    pub subnet_id: String,
    pub last: Ipv4Addr,
}
