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

/// Attributes that are not the node's own. Source: AttributeLimitExceededException of PutAttributes.
pub const CUSTOM_ATTRIBUTES_MAX: usize = 10;
/// Names that begin so are the node's own.
pub const RESERVED_ATTRIBUTE_PREFIXES: [&str; 2] = ["ecs.", "com.amazonaws.ecs."];
/// Of these its operator may say what they are. Source: "Amazon ECS container instance attributes"; there EC2 knows them.
pub const TOLD_ATTRIBUTES: [&str; 2] = ["ecs.availability-zone", "ecs.instance-type"];
/// Characters of a name and of a value. Source: botocore's documentation of `Attribute`.
pub const ATTRIBUTE_LENGTH_MAX: usize = 128;

pub fn is_reserved_attribute(name: &str) -> bool {
    RESERVED_ATTRIBUTE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// "letters (uppercase and lowercase), numbers, hyphens, underscores, forward slashes, back slashes, or periods".
pub fn is_attribute_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/\\.".contains(&byte);
    (1..=ATTRIBUTE_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// As a name, and "at signs (@), colons or spaces", but none at the ends.
pub fn is_attribute_value(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/\\.@: ".contains(&byte);
    text.len() <= ATTRIBUTE_LENGTH_MAX && text.bytes().all(is_allowed) && text.trim() == text
}

/// Whether a node may say this of itself when it joins.
pub fn is_registered_attribute(name: &str, value: &str) -> bool {
    let is_told = TOLD_ATTRIBUTES.contains(&name) && !value.is_empty();
    is_attribute_name(name)
        && is_attribute_value(value)
        && (is_told || !is_reserved_attribute(name))
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
