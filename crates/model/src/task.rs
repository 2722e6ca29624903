//! A task: one run of a task definition. Never run again; a replacement is a new task.
//!
//! Who writes what: the request or the service controller makes the row; the control plane writes
//! `desired_status`, `stop_code`/`stopped_reason` of stops that it orders, and placement; the node's
//! reports write everything observed, through `lifecycle::TaskStatus::may_move`.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::network::AwsvpcConfiguration;
use crate::task_definition::{LaunchType, TransportProtocol};
use crate::{
    ClusterName, ContainerId, ContainerInstanceId, DeploymentId, DesiredStatus, Family,
    NetworkInterfaceId, NodeId, Revision, Scope, ServiceName, SubnetId, Tags, TaskAttachmentId,
    TaskId, TaskStatus, TimestampMs,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub scope: Scope,
    pub cluster: ClusterName,
    pub id: TaskId,
    pub family: Family,
    pub revision: Revision,
    pub launch_type: LaunchType,
    /// `FARGATE` or `FARGATE_SPOT` for a task that RunTask started by a capacity provider strategy; a service's task has
    /// that of its service revision.
    #[serde(default)]
    pub capacity_provider: Option<String>,
    /// `1.4.0` on Fargate.
    pub platform_version: Option<String>,
    /// `service:<name>`, `family:<family>` or what the caller said.
    pub group: String,
    /// `ecs-svc/<digits>` for a service's task, or what the caller said.
    pub started_by: Option<String>,
    pub service: Option<ServiceMembership>,
    pub overrides: TaskOverrides,
    pub network: AwsvpcConfiguration,
    pub enable_execute_command: bool,
    pub tags: Tags,

    pub desired_status: DesiredStatus,
    pub last_status: TaskStatus,
    pub node: Option<NodeId>,
    pub container_instance: Option<ContainerInstanceId>,
    pub availability_zone: Option<String>,
    /// What it holds on its node until it is STOPPED.
    pub reserved: Reservation,
    pub attachment: Option<TaskAttachment>,
    pub containers: Vec<TaskContainer>,
    /// Of its essential containers with health checks; `None` where none has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,

    pub stop_code: Option<StopCode>,
    pub stopped_reason: Option<String>,
    pub created_at_ms: TimestampMs,
    pub connectivity_at_ms: Option<TimestampMs>,
    pub pull_started_at_ms: Option<TimestampMs>,
    pub pull_stopped_at_ms: Option<TimestampMs>,
    pub started_at_ms: Option<TimestampMs>,
    pub stopping_at_ms: Option<TimestampMs>,
    pub execution_stopped_at_ms: Option<TimestampMs>,
    pub stopped_at_ms: Option<TimestampMs>,
    /// Grows with each change that AWS would emit an event for; begins at 1.
    pub version: u64,
    /// Until when neither a deployment nor a smaller desired count stops it; what is over protects no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected_until_ms: Option<TimestampMs>,
    /// Whether the service scheduler has taken note that it ended.
    #[serde(default)]
    pub end_noted: bool,
}

impl Task {
    /// Counts as one of its service's tasks: nobody asked it to stop and it has not stopped by itself.
    pub fn is_wanted(&self) -> bool {
        self.desired_status == DesiredStatus::Running && self.last_status < TaskStatus::Deactivating
    }
    pub fn is_running(&self) -> bool {
        self.is_wanted() && self.last_status == TaskStatus::Running
    }
    /// Holds CPU, memory, ports and its address until the node has let go of it.
    pub fn holds_resources(&self) -> bool {
        self.last_status < TaskStatus::Stopped
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ServiceMembership {
    pub service: ServiceName,
    pub deployment: DeploymentId,
}

/// CPU, memory and host ports that a task takes from its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub cpu_units: u32,
    pub memory_mib: u32,
    pub host_ports: Vec<(u16, TransportProtocol)>,
}

/// The task's network interface, as `attachments[]` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAttachment {
    pub id: TaskAttachmentId,
    pub network_interface_id: NetworkInterfaceId,
    pub subnet_id: SubnetId,
    pub mac_address: String,
    pub private_dns_name: String,
    pub private_ip: Ipv4Addr,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskContainer {
    pub id: ContainerId,
    pub name: String,
    pub image: String,
    #[serde(default = "essential_default", skip_serializing_if = "is_true")]
    pub essential: bool,
    /// What the service's deployment had resolved the image to when the task was made: the node pulls
    /// it instead of the tag.
    #[serde(default)]
    pub resolved_digest: Option<String>,
    /// What the node has pulled.
    pub image_digest: Option<String>,
    /// As the runtime names it.
    pub runtime_id: Option<String>,
    pub last_status: ContainerStatus,
    pub exit_code: Option<i32>,
    /// Why it could not start or was killed; at most 1,024 characters.
    pub reason: Option<String>,
    /// What its node has said last of its health checks; `None` of one without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    pub network_bindings: Vec<NetworkBinding>,
}

/// As in a task definition.
fn essential_default() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerStatus {
    Pending,
    Running,
    Stopped,
}

impl ContainerStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// How a container or a task is by its health checks.
/// Source: the enum `HealthStatus` of the ECS API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthStatus {
    /// No check has decided yet.
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// GiB that a Fargate task may write when it does not say how much. Source: "Fargate task ephemeral
/// storage".
pub const FARGATE_STORAGE_GIB: u32 = 20;

/// The longest `reason` of a container. Source: botocore's documentation of `Container.reason`.
pub const CONTAINER_REASON_LENGTH_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBinding {
    pub bind_ip: String,
    pub container_port: u16,
    pub host_port: u16,
    pub protocol: TransportProtocol,
}

/// Source: the enum `TaskStopCode` of the ECS API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCode {
    TaskFailedToStart,
    EssentialContainerExited,
    UserInitiated,
    ServiceSchedulerInitiated,
    SpotInterruption,
    TerminationNotice,
    InfrastructureHealth,
}

impl StopCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailedToStart => "TaskFailedToStart",
            Self::EssentialContainerExited => "EssentialContainerExited",
            Self::UserInitiated => "UserInitiated",
            Self::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
            Self::SpotInterruption => "SpotInterruption",
            Self::TerminationNotice => "TerminationNotice",
            Self::InfrastructureHealth => "InfrastructureHealth",
        }
    }
}

/// What RunTask may change of a task definition for one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskOverrides {
    /// The JSON of AWS's `TaskOverride` shape as it was given, for describes.
    pub document: String,
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    /// GiB of `ephemeralStorage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_gib: Option<u32>,
    pub task_role_arn: Option<String>,
    pub execution_role_arn: Option<String>,
    pub containers: Vec<ContainerOverride>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerOverride {
    pub name: String,
    pub command: Option<Vec<String>>,
    pub environment: Vec<(String, String)>,
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    pub memory_reservation_mib: Option<u32>,
}
