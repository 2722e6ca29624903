//! A container instance: a node as capacity of one cluster, for tasks of launch type EC2 or EXTERNAL.

use serde::{Deserialize, Serialize};

use crate::linux_capability::PRIVILEGED_ATTRIBUTE;
use crate::{ClusterName, ContainerInstanceId, NodeId, Scope, Tags, TimestampMs};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerInstance {
    pub scope: Scope,
    pub cluster: ClusterName,
    pub id: ContainerInstanceId,
    pub node: NodeId,
    /// `i-…` as EC2 would name it.
    pub ec2_instance_id: String,
    pub status: ContainerInstanceStatus,
    /// Name to value, such as `ecs.os-type` to `linux`; no value is the empty string.
    pub attributes: Vec<(String, String)>,
    pub registered_at_ms: TimestampMs,
    /// Grows with each change that AWS would emit an event for.
    pub version: u64,
    pub tags: Tags,
}

impl ContainerInstance {
    /// Whether the node's operator gives containers power over the host.
    pub fn allows_privileged(&self) -> bool {
        self.attributes.iter().any(|(name, _)| name == PRIVILEGED_ATTRIBUTE)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContainerInstanceStatus {
    Active,
    Draining,
    Inactive,
}

impl ContainerInstanceStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}
