//! The node agent: turns an assignment into running containers and reports what it sees.
//!
//! It may die at any time. Containers are kept by their shims; what they write and how they end
//! waits on disk; the next agent takes all of it over.
//!
//! What keeps faults of each kind out:
//!
//! - *a task that never gets STOPPED*: every step on the way has a bound and none needs the disk, a shim's
//!   answer or the network, see `task::runner`; what could not be removed is tried again until it is;
//! - *a task that runs twice*: a trace of a task that was here outlives its record, see `task_record`;
//! - *a launch that fails without a word*: every failure goes through `failed_launch`, which sees to it that
//!   a container says why;
//! - *root in a container that gets out of it*: it is nobody on the host, and nobody of another task, see
//!   `machine::user_namespaces`;
//! - *a log that its receiver refuses*: it is offered again, from where it was taken, see `log_shipper`;
//! - *a flood of lines*: only so many batches are in memory at a time, whatever the number of logs;
//! - *a stand-in for the control plane*: a node does what it is told, as root, so it believes nobody but the
//!   authority that its join token pins, see `control_plane`.
//!
//! **Invariant:** a node knows its assignment, not the cluster. It asks for nothing but the next
//! assignment, decides nothing about other tasks, and tells everything that it sees.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "what a test makes is no secret"))]

mod agent;
mod container_spec;
mod control_plane;
#[cfg(test)]
mod control_plane_test;
mod host;
mod identity;
mod in_span;
mod instances;
mod link_error;
mod log_damage;
mod log_lag;
mod log_shipper;
mod log_wakeups;
mod machine;
mod pending_log;
mod published_ports;
mod readable;
mod reporter;
mod retry;
mod room;
mod run_dir;
mod task;
mod task_endpoint;
mod task_record;
mod task_reports;

pub use outport_task_network::{HostAccess, PublishScope, TransportProtocol};
pub use outport_user_namespace::SubordinateIds;

pub use agent::{
    Agent, AgentError, AgentSettings, STOP_ALL_PATIENCE, check_addresses, forget_identity,
    remove_everything,
};
pub use container_spec::OpenFiles;
pub use host::{capacity, memory_mib_of_machine};
pub use instances::instances_on_host;
pub use link_error::LinkError;
pub use machine::host_name_servers;
pub use published_ports::{PublishedPort, published_ports};

/// What works on tasks, for a machine of another kind: the simulation has one.
pub mod parts {
    pub use crate::agent::tasks::{NotNext, Tasks};
    pub use crate::task::host::{NodeHost, PulledImage};
    pub use crate::task::{Adopted, ContainerExit, StartError, TaskHost};
    pub use crate::task_record::{Loaded, TaskRecord, TaskRecords};
    pub use crate::task_reports::{Change, TaskReports};
}
