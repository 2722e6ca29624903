//! The whole set of tasks that a node should have.

use std::net::Ipv4Addr;

use outport_model::task_definition::{
    ContainerDependency, LinuxParameters, TransportProtocol, Ulimit,
};
use outport_model::{DesiredStatus, TaskId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::one_by_one::{self, UnreadableTask};

/// Tasks that are not in it are none of the node's business any more: it stops and forgets them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Assignment {
    /// Grows with every change; a node refuses one that is older than what it has.
    pub generation: u64,
    pub tasks: Vec<TaskAssignment>,
    /// Tasks of a newer control plane that this version cannot read. They are the node's all the same.
    #[serde(skip)]
    pub unreadable: Vec<UnreadableTask>,
}

impl<'de> Deserialize<'de> for Assignment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Message {
            generation: u64,
            /// Required: an assignment without tasks says so.
            tasks: Vec<Box<RawValue>>,
        }
        let Message { generation, tasks } = Message::deserialize(deserializer)?;
        let (tasks, unreadable) = one_by_one::read(&tasks);
        Ok(Self { generation, tasks, unreadable })
    }
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
    #[serde(default)]
    pub availability_zone: Option<String>,
    #[serde(default)]
    pub service: Option<String>,
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
    pub network_interface_id: String,
    pub mac_address: String,
    pub address: Ipv4Addr,
    /// Bits of the subnet's range.
    pub prefix: u8,
    /// The subnet's router.
    pub gateway: Ipv4Addr,
    pub vpc_cidr: String,
    pub subnet_cidr: String,
    #[serde(default)]
    pub security_groups: Vec<String>,
    pub private_dns_name: String,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerAssignment {
    /// The UUID at the end of its ARN.
    pub id: String,
    pub name: String,
    pub arn: String,
    /// As the task definition has it.
    pub image: String,
    /// The digest that the service's deployment resolved the tag to; pulled instead of the tag.
    #[serde(default)]
    pub image_digest: Option<String>,
    #[serde(default = "essential_default")]
    pub essential: bool,
    #[serde(default)]
    pub entry_point: Option<Vec<String>>,
    #[serde(default)]
    pub command: Option<Vec<String>>,
    #[serde(default)]
    pub working_directory: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    /// Overrides are already in it.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// A weight below the task's; 0: none was asked for.
    #[serde(default)]
    pub cpu_units: u32,
    #[serde(default)]
    pub memory_mib: Option<u32>,
    #[serde(default)]
    pub memory_reservation_mib: Option<u32>,
    #[serde(default)]
    pub ports: Vec<PortBinding>,
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    #[serde(default)]
    pub readonly_root_filesystem: bool,
    #[serde(default)]
    pub privileged: bool,
    #[serde(default)]
    pub hostname: Option<String>,
    #[serde(default)]
    pub interactive: bool,
    #[serde(default)]
    pub pseudo_terminal: bool,
    #[serde(default)]
    pub extra_hosts: Vec<(String, String)>,
    #[serde(default)]
    pub dns_servers: Vec<String>,
    #[serde(default)]
    pub dns_search_domains: Vec<String>,
    #[serde(default)]
    pub docker_labels: Vec<(String, String)>,
    #[serde(default)]
    pub linux: LinuxParameters,
    #[serde(default)]
    pub system_controls: Vec<(String, String)>,
    #[serde(default)]
    pub depends_on: Vec<ContainerDependency>,
    #[serde(default = "stop_timeout_s_default")]
    pub stop_timeout_s: u32,
    #[serde(default)]
    pub start_timeout_s: Option<u32>,
    #[serde(default)]
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

/// Source: `essential` of botocore's `ContainerDefinition`.
fn essential_default() -> bool {
    true
}

/// Source: `stopTimeout` of botocore's `ContainerDefinition`.
fn stop_timeout_s_default() -> u32 {
    30
}

/// Source: `max-buffer-size` of the awslogs driver.
fn max_buffer_bytes_default() -> u64 {
    10 << 20
}
