//! A cluster: a name under which services, tasks and container instances are grouped.

use serde::{Deserialize, Serialize};

use crate::{ClusterName, Scope, Tags, TimestampMs};

/// The row of a cluster. Its counts are computed from tasks, services and instances, never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub scope: Scope,
    pub name: ClusterName,
    pub status: ClusterStatus,
    /// `name` to `value`, such as `containerInsights` to `disabled`.
    pub settings: Vec<ClusterSetting>,
    /// The wire form of `ClusterConfiguration`, as it was given.
    pub configuration: Option<String>,
    /// The wire form of `ClusterServiceConnectDefaults`, as it was given.
    pub service_connect_defaults: Option<String>,
    pub capacity_providers: Vec<String>,
    /// The wire form of `CapacityProviderStrategyItem`s in a `Cluster`: what tasks and services take that name neither a
    /// launch type nor a strategy.
    #[serde(default)]
    pub default_strategy: Option<String>,
    pub tags: Tags,
    pub created_at_ms: TimestampMs,
    /// When it became INACTIVE; it stays describable for a while.
    pub deleted_at_ms: Option<TimestampMs>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSetting {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClusterStatus {
    Active,
    Inactive,
}

impl ClusterStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }
}
