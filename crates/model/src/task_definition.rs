//! A revision of a task definition, and what a task of it runs.
//!
//! ```text
//! TaskDefinition   the row: `document`, as it was registered, and who did it
//! Workload         what this version reads in the document, each time anew: nothing of it is stored
//! ```
//!
//! **Invariant:** a revision never changes but for its status and tags. What it means is read from `document` when it is
//! run, so that a version which learns something runs the revisions of before.

use std::fmt::Debug;
use std::sync::Arc;

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
    /// What `mode` is of a log configuration that does not say it: the account setting `defaultLogDriverMode` when the
    /// revision was registered.
    #[serde(default)]
    pub non_blocking_logs: bool,
    pub registered_at_ms: TimestampMs,
    pub registered_by: String,
    pub deregistered_at_ms: Option<TimestampMs>,
    pub delete_requested_at_ms: Option<TimestampMs>,
    pub tags: Tags,
}

/// What a task of a revision runs, as this version understands it.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Whether the document could be read. Of one that could not, such as a newer version's, nothing else here is known.
    pub is_readable: bool,
    pub network_mode: NetworkMode,
    /// Of the task as a whole; `None` leaves the sum to the containers (EC2 only).
    pub cpu_units: Option<u32>,
    pub memory_mib: Option<u32>,
    /// GiB of `ephemeralStorage`.
    pub storage_gib: Option<u32>,
    /// Launch types that it was validated for (`compatibilities` in AWS's words).
    pub compatibilities: Vec<LaunchType>,
    pub architecture: Option<Architecture>,
    pub task_role_arn: Option<String>,
    pub execution_role_arn: Option<String>,
    pub containers: Vec<ContainerDefinition>,
    /// The expressions of its `memberOf` constraints.
    pub member_of: Vec<String>,
    /// What it asks for that this version does not run, in words for the caller. No task of it is started; registering and
    /// describing it is not refused.
    pub unsupported: Vec<String>,
}

/// Reads the documents of task definitions. What they say is AWS's JSON, which neither controllers nor the planner know.
pub trait ReadWorkload: Debug + Send + Sync + 'static {
    fn read(&self, definition: &TaskDefinition) -> Arc<Workload>;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
///
/// It is also what nodes are told, after the overrides of the task: a promise between versions, see the crate
/// `node-protocol`. Fields are only added, with a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerDefinition {
    pub name: String,
    pub image: String,
    #[serde(default = "essential_default")]
    pub essential: bool,
    /// `None`: the image's own.
    #[serde(default)]
    pub entry_point: Option<Vec<String>>,
    #[serde(default)]
    pub command: Option<Vec<String>>,
    #[serde(default)]
    pub working_directory: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    /// In the order given; a later one of the same name wins.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// Relative weight under the task; 0 means none was asked for.
    #[serde(default)]
    pub cpu_units: u32,
    /// The hard limit.
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// The soft limit.
    #[serde(default)]
    pub memory_reservation_mib: Option<u32>,
    #[serde(default)]
    pub port_mappings: Vec<PortMapping>,
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
    pub docker_labels: Vec<(String, String)>,
    #[serde(default)]
    pub extra_hosts: Vec<(String, String)>,
    #[serde(default)]
    pub dns_servers: Vec<String>,
    #[serde(default)]
    pub dns_search_domains: Vec<String>,
    #[serde(default)]
    pub linux: LinuxParameters,
    #[serde(default)]
    pub system_controls: Vec<(String, String)>,
    #[serde(default)]
    pub depends_on: Vec<ContainerDependency>,
    /// Seconds from SIGTERM to SIGKILL.
    #[serde(default = "stop_timeout_s_default")]
    pub stop_timeout_s: u32,
    #[serde(default)]
    pub start_timeout_s: Option<u32>,
    #[serde(default)]
    pub log_configuration: LogConfiguration,
    /// What comes into its environment from somewhere else; where it is, never what it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretReference>,
    /// `credentialsParameter` of `repositoryCredentials`: the ARN or the name of the secret with the user and the password of a
    /// private registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_credentials: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

impl ContainerDefinition {
    /// Whether something of it is a secret.
    pub fn needs_secrets(&self) -> bool {
        !self.secrets.is_empty() || self.repository_credentials.is_some()
    }
}

/// What tells whether a container is healthy. Its defaults are filled in when it is registered.
/// Source: botocore's documentation of `HealthCheck`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `CMD` and a command line, or `CMD-SHELL` and a text for the container's shell.
    pub command: Vec<String>,
    /// Seconds; 5 to 300.
    pub interval_s: u32,
    /// Seconds; 2 to 60.
    pub timeout_s: u32,
    /// Failures in a row; 1 to 10.
    pub retries: u32,
    /// Seconds; 0 to 300.
    #[serde(default)]
    pub start_period_s: u32,
}

/// A variable of the environment, and what its value is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    pub name: String,
    /// `valueFrom`: a secret's ARN, perhaps with a key of its JSON, a stage and a version; or a parameter's ARN or name.
    pub value_from: String,
}

impl ContainerDefinition {
    /// One that says nothing but its name and image: the rest is what AWS takes then.
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            image: image.into(),
            essential: essential_default(),
            entry_point: None,
            command: None,
            working_directory: None,
            user: None,
            environment: Vec::new(),
            cpu_units: 0,
            memory_mib: None,
            memory_reservation_mib: None,
            port_mappings: Vec::new(),
            ulimits: Vec::new(),
            readonly_root_filesystem: false,
            privileged: false,
            hostname: None,
            interactive: false,
            pseudo_terminal: false,
            docker_labels: Vec::new(),
            extra_hosts: Vec::new(),
            dns_servers: Vec::new(),
            dns_search_domains: Vec::new(),
            linux: LinuxParameters::default(),
            system_controls: Vec::new(),
            depends_on: Vec::new(),
            stop_timeout_s: STOP_TIMEOUT_DEFAULT_S,
            start_timeout_s: None,
            log_configuration: LogConfiguration::Local,
            secrets: Vec::new(),
            repository_credentials: None,
            health_check: None,
        }
    }
}

/// Source: `essential` of botocore's `ContainerDefinition`.
fn essential_default() -> bool {
    true
}

/// What `stopTimeout` is when a definition does not say it.
/// Source: `stopTimeout` of botocore's `ContainerDefinition`.
pub const STOP_TIMEOUT_DEFAULT_S: u32 = 30;

fn stop_timeout_s_default() -> u32 {
    STOP_TIMEOUT_DEFAULT_S
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
    Healthy,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogConfiguration {
    /// No log configuration: kept on the node with the task, as Docker's json-file would.
    #[default]
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
