//! The whole set of tasks that a node should have.

use std::net::Ipv4Addr;

use outport_model::task_definition::{
    ContainerDependency, LinuxParameters, TransportProtocol, Ulimit,
};
use outport_model::{DesiredStatus, TaskId};
use serde::{Deserialize, Serialize};

/// Tasks that are not in it are none of the node's business any more: it stops and forgets them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// Grows with every change; a node refuses one that is older than what it has.
    pub generation: u64,
    pub tasks: Vec<TaskAssignment>,
}

/// All that a node needs to run one task. Only `desired` changes while it lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskAssignment {
    pub task: TaskId,
    pub desired: DesiredStatus,
    pub account: String,
    pub region: String,
    pub cluster: String,
    pub task_arn: String,
    pub family: String,
    pub revision: u32,
    /// `EC2`, `FARGATE` or `EXTERNAL`.
    pub launch_type: String,
    pub availability_zone: Option<String>,
    pub service: Option<String>,
    pub network: TaskNetwork,
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
    pub network_interface_id: String,
    pub mac_address: String,
    pub address: Ipv4Addr,
    /// Bits of the subnet's range.
    pub prefix: u8,
    /// The subnet's router.
    pub gateway: Ipv4Addr,
    pub vpc_cidr: String,
    pub subnet_cidr: String,
    pub security_groups: Vec<String>,
    pub private_dns_name: String,
}

/// Of the task as a whole: they bite on the parent control group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLimits {
    /// 1,024 are one core; a hard ceiling on Fargate and where the task definition says so.
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    /// Processes and threads of the whole task.
    pub pids_max: u32,
    /// GiB that its containers may write beside their volumes; `None`: what the node gives each task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerAssignment {
    /// The UUID at the end of its ARN.
    pub id: String,
    pub name: String,
    pub arn: String,
    /// As the task definition has it.
    pub image: String,
    /// The digest that the service's deployment resolved the tag to; pulled instead of the tag.
    pub image_digest: Option<String>,
    pub essential: bool,
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub working_directory: Option<String>,
    pub user: Option<String>,
    /// Overrides are already in it.
    pub environment: Vec<(String, String)>,
    /// A weight below the task's; 0: none was asked for.
    pub cpu_units: u32,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
    pub ports: Vec<PortBinding>,
    pub ulimits: Vec<Ulimit>,
    pub readonly_root_filesystem: bool,
    pub privileged: bool,
    pub hostname: Option<String>,
    pub interactive: bool,
    pub pseudo_terminal: bool,
    pub extra_hosts: Vec<(String, String)>,
    pub dns_servers: Vec<String>,
    pub dns_search_domains: Vec<String>,
    pub docker_labels: Vec<(String, String)>,
    pub linux: LinuxParameters,
    pub system_controls: Vec<(String, String)>,
    pub depends_on: Vec<ContainerDependency>,
    pub stop_timeout_s: u32,
    pub start_timeout_s: Option<u32>,
    pub log: Option<LogDestination>,
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
    /// Complete: prefix/container/task-id.
    pub stream: String,
    pub create_group: bool,
    pub non_blocking: bool,
    pub max_buffer_bytes: u64,
}
