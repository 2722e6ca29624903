//! Joining, asking for work, logs and credentials.

use outport_model::node::{Architecture, NodeCapacity};
use outport_model::{NodeId, Region, Scope, TaskId, TimestampMs};
use serde::{Deserialize, Serialize};

use crate::assignment::KnownGenerations;
use crate::version::ProtocolVersions;

/// A node joins, or comes back after a restart of either side. Repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    pub node: NodeId,
    pub host_name: String,
    pub agent_version: String,
    pub boot_id: String,
    pub architecture: Architecture,
    pub capacity: NodeCapacity,
    /// The cluster that its container instance joins: its name, or its ARN for one of another account or region than the
    /// installation's own.
    pub cluster: String,
    /// The node only wants to know what it would be told: nothing is written down. A node asks, makes
    /// sure that it can work on its host, and only then joins.
    #[serde(default)]
    pub ask_only: bool,
    /// Whether it gives containers power over the host. A node that does not say so gives none.
    #[serde(default)]
    pub allows_privileged: bool,
    /// The regions whose Fargate tasks it takes; empty: those of every region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// What its operator says of it: attributes of its container instance, name and value. A control plane that does not know them
    /// leaves them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
    /// The versions of this protocol that it speaks.
    #[serde(default)]
    pub protocol: ProtocolVersions,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registered {
    /// The registry of this installation as clients know it, such as `127.0.0.1:4566`. A private ECR registry's
    /// host for the task's own account and region means it too. The node itself pulls from where it reaches
    /// its control plane, whatever an image's name says.
    pub registry_host: String,
    /// Further hosts that mean this registry in an image's name, each with its port unless that is 443: names (a
    /// leading `*.` stands for one label) and addresses, those of IPv6 in brackets.
    #[serde(default)]
    pub registry_names: Vec<String>,
    /// The address range of the default VPC, which the node routes.
    pub vpc_cidr: String,
    /// The version of this protocol that both speak from now on.
    #[serde(default = "first_version")]
    pub protocol_version: u32,
    /// Whether a report may say only what changed. Who does not say so would miss the other tasks.
    #[serde(default)]
    pub takes_report_changes: bool,
}

/// Of a control plane that was not asked.
fn first_version() -> u32 {
    ProtocolVersions::default().highest
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentRequest {
    pub node: NodeId,
    #[serde(default)]
    pub known: KnownGenerations,
    /// Whether a section may be told as what changed. Who does not say so would take that for the whole.
    #[serde(default)]
    pub takes_changes: bool,
    /// Whether it asks for the secrets of tasks. Who does not would start them without: it is told that they cannot be run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub takes_secrets: bool,
    /// The boot of the node that asks: what another boot of it is to run is not its own. `None` of a node of an older
    /// version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

/// The same in version 1 of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentRequestV1 {
    pub node: NodeId,
    /// 0 when it has none.
    #[serde(default)]
    pub known_generation: u64,
    /// As in [`AssignmentRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl From<AssignmentRequestV1> for AssignmentRequest {
    fn from(asked: AssignmentRequestV1) -> Self {
        let known = KnownGenerations { tasks: asked.known_generation };
        Self {
            node: asked.node,
            known,
            takes_changes: false,
            takes_secrets: false,
            boot_id: asked.boot_id,
        }
    }
}

impl From<AssignmentRequest> for AssignmentRequestV1 {
    fn from(asked: AssignmentRequest) -> Self {
        Self { node: asked.node, known_generation: asked.known.tasks, boot_id: asked.boot_id }
    }
}

/// What a container wrote, in order, from a byte position of its log on. Where it goes is not the
/// node's to say: the control plane knows it from the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    pub node: NodeId,
    pub task: TaskId,
    pub container: String,
    /// The cursor that this batch begins at; a batch from elsewhere than the committed cursor is
    /// answered with that cursor and changes nothing.
    pub from_cursor: u64,
    /// The cursor behind the last event.
    pub to_cursor: u64,
    /// Empty asks for the committed cursor.
    #[serde(default)]
    pub events: Vec<LogEvent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEvent {
    pub timestamp_ms: TimestampMs,
    pub message: String,
    /// The cursor right behind it; rises from event to event.
    pub end_cursor: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCursor {
    pub committed: u64,
}

/// A node needs credentials for one of its tasks: to pull an image of this installation's registry, or those of the task's
/// role; or something else about it that only the control plane knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRequest {
    pub node: NodeId,
    pub task: TaskId,
    /// To pull: the account and region whose registry it is about, where that is not the task's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Scope>,
}

impl CredentialRequest {
    /// Of one of the node's tasks, in its own account and region.
    pub fn new(node: NodeId, task: TaskId) -> Self {
        Self { node, task, registry: None }
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCredential {
    pub user: String,
    pub password: String,
    pub expires_at_ms: TimestampMs,
}

impl std::fmt::Debug for RegistryCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryCredential").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What the containers of one task get that is nobody else's to know, read with the task's execution role. It is never
/// written to a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSecrets {
    /// Those of the task that have any.
    pub containers: Vec<ContainerSecrets>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSecrets {
    pub container: String,
    /// Names and values of variables, in the order of the definition.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// Of the private registry that its image is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryUser>,
}

impl std::fmt::Debug for ContainerSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("ContainerSecrets")
            .field("container", &self.container)
            .field("environment", &names)
            .field("registry", &self.registry)
            .finish()
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryUser {
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for RegistryUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryUser").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Tags for a task that asks for its own: names and values, as they are when it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTags {
    #[serde(default)]
    pub task: Vec<(String, String)>,
    /// Of the container instance that it is on; a Fargate task is on none.
    #[serde(default)]
    pub container_instance: Vec<(String, String)>,
}

/// The credentials of a task's role: what the task gets, and nobody else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCredentials {
    pub role_arn: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expires_at_ms: TimestampMs,
    /// Milliseconds from their issue to their end: the node asks for the next ones long before it is over.
    pub lifetime_ms: i64,
}

impl std::fmt::Debug for TaskCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskCredentials")
            .field("role_arn", &self.role_arn)
            .field("access_key_id", &self.access_key_id)
            .field("expires_at_ms", &self.expires_at_ms)
            .finish_non_exhaustive()
    }
}
