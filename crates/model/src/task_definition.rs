//! A revision of a task definition: what the planner and the node act on, and the whole text.
//!
//! **Invariant:** a revision never changes but for its status. `document` is the normalised AWS form
//! that describes answer with; every other field was parsed from it when it was registered.

use serde::{Deserialize, Serialize};

use crate::node::Architecture;
use crate::{Family, Revision, Scope, Tags, TimestampMs};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    pub scope: Scope,
    pub family: Family,
    pub revision: Revision,
    pub status: TaskDefinitionStatus,
    /// The JSON of AWS's `TaskDefinition` shape, normalised; status, time stamps and the like come
    /// from the fields of this row.
    pub document: String,
    pub network_mode: NetworkMode,
    /// Of the task as a whole; `None` leaves the sum to the containers (EC2 only).
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    /// GiB of `ephemeralStorage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
    /// Launch types that it was validated for (`compatibilities` in AWS's words).
    pub compatibilities: Vec<LaunchType>,
    pub architecture: Option<Architecture>,
    pub task_role_arn: Option<String>,
    pub execution_role_arn: Option<String>,
    pub containers: Vec<ContainerDefinition>,
    /// What it asks for that this version does not run, in words for the caller. A task of it is
    /// refused; registering and describing it is not.
    pub unsupported: Vec<String>,
    pub registered_at_ms: TimestampMs,
    pub registered_by: String,
    pub deregistered_at_ms: Option<TimestampMs>,
    pub delete_requested_at_ms: Option<TimestampMs>,
    pub tags: Tags,
}

/// The last revision number that a family gave out; it outlives the revisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinitionFamily {
    pub scope: Scope,
    pub family: Family,
    pub last_revision: Revision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskDefinitionStatus {
    Active,
    Inactive,
    DeleteInProgress,
}

impl TaskDefinitionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::DeleteInProgress => "DELETE_IN_PROGRESS",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    Awsvpc,
    Bridge,
    Host,
    None,
}

impl NetworkMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Awsvpc => "awsvpc",
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchType {
    Ec2,
    Fargate,
    External,
}

impl LaunchType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::Fargate => "FARGATE",
            Self::External => "EXTERNAL",
        }
    }
}

/// One container of a task, as far as this version runs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerDefinition {
    pub name: String,
    pub image: String,
    pub essential: bool,
    /// `None`: the image's own.
    pub entry_point: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub working_directory: Option<String>,
    pub user: Option<String>,
    /// In the order given; a later one of the same name wins.
    pub environment: Vec<(String, String)>,
    /// Relative weight under the task; 0 means none was asked for.
    pub cpu_units: u32,
    /// The hard limit.
    pub memory_mib: Option<u32>,
    /// The soft limit.
    pub memory_reservation_mib: Option<u32>,
    pub port_mappings: Vec<PortMapping>,
    pub ulimits: Vec<Ulimit>,
    pub readonly_root_filesystem: bool,
    pub privileged: bool,
    pub hostname: Option<String>,
    pub interactive: bool,
    pub pseudo_terminal: bool,
    pub docker_labels: Vec<(String, String)>,
    pub extra_hosts: Vec<(String, String)>,
    pub dns_servers: Vec<String>,
    pub dns_search_domains: Vec<String>,
    pub linux: LinuxParameters,
    pub system_controls: Vec<(String, String)>,
    pub depends_on: Vec<ContainerDependency>,
    /// Seconds from SIGTERM to SIGKILL; `None`: 30.
    pub stop_timeout_s: Option<u32>,
    pub start_timeout_s: Option<u32>,
    pub log: LogConfiguration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinuxParameters {
    pub capabilities_add: Vec<String>,
    pub capabilities_drop: Vec<String>,
    pub init_process_enabled: bool,
    /// MiB of `/dev/shm`.
    pub shared_memory_size_mib: Option<u32>,
    pub tmpfs: Vec<Tmpfs>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    pub container_path: String,
    pub size_mib: u32,
    #[serde(default)]
    pub mount_options: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerDependency {
    pub container_name: String,
    pub condition: DependencyCondition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DependencyCondition {
    Start,
    Complete,
    Success,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub container_port: u16,
    /// 0: a free one of the ephemeral range is chosen at placement (bridge only).
    pub host_port: u16,
    pub protocol: TransportProtocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransportProtocol {
    Tcp,
    Udp,
}

impl TransportProtocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A resource limit, by AWS's name (`nofile`); -1 is unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

/// Where what a container writes to stdout and stderr goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogConfiguration {
    /// No log configuration: kept on the node with the task, as Docker's json-file would.
    Local,
    Awslogs(AwslogsOptions),
}

/// The options of the `awslogs` driver.
/// Source: "Send Amazon ECS logs to CloudWatch", awslogs log driver options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwslogsOptions {
    pub group: String,
    pub region: String,
    /// The stream is `prefix/container/task-id`; without a prefix it is the container's runtime id.
    pub stream_prefix: Option<String>,
    pub create_group: bool,
    /// `blocking` stops the container when logs cannot be delivered; `non-blocking` drops and counts.
    pub non_blocking: bool,
    /// Bytes that may wait for delivery in non-blocking mode.
    pub max_buffer_bytes: u64,
}
