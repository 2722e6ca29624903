//! A service: so many tasks of a task definition, kept running and rolled over safely.
//!
//! Users write the specification (`desired_count`, `deployment`, …), the service controller writes
//! the deployments and events. Counts are computed from the tasks, never stored.

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::deployment_configuration::DeploymentConfiguration;
use crate::network::AwsvpcConfiguration;
use crate::placement::PlacementRules;
use crate::task_definition::LaunchType;
use crate::{ClusterName, Family, Revision, Scope, ServiceEventId, ServiceName, Tags, TimestampMs};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub scope: Scope,
    pub cluster: ClusterName,
    pub name: ServiceName,
    pub status: ServiceStatus,
    pub family: Family,
    pub revision: Revision,
    pub desired_count: u32,
    pub launch_type: LaunchType,
    pub platform_version: Option<String>,
    pub scheduling_strategy: SchedulingStrategy,
    pub configuration: DeploymentConfiguration,
    pub network: AwsvpcConfiguration,
    pub health_check_grace_period_s: Option<u32>,
    pub enable_ecs_managed_tags: bool,
    pub enable_execute_command: bool,
    pub propagate_tags: PropagateTags,
    pub availability_zone_rebalancing: bool,
    #[serde(default, skip_serializing_if = "PlacementRules::is_empty")]
    pub placement: PlacementRules,
    /// The JSON of AWS's `Service` shape for what is kept and shown but has no effect here.
    pub document: String,
    pub role_arn: Option<String>,
    pub created_by: String,
    pub created_at_ms: TimestampMs,
    /// When it became DRAINING or INACTIVE.
    pub deleted_at_ms: Option<TimestampMs>,
    pub tags: Tags,
    /// The newest first: PRIMARY, then those that are being replaced. Never empty while ACTIVE.
    pub deployments: Vec<Deployment>,
    /// The newest first, at most `EVENTS_MAX`.
    pub events: Vec<ServiceEvent>,
    /// Repeated starts that failed before RUNNING delay the next ones.
    pub throttle: StartThrottle,
}

/// The events that DescribeServices shows. Source: botocore's documentation of `Service.events`.
pub const EVENTS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceStatus {
    Active,
    Draining,
    Inactive,
}

impl ServiceStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SchedulingStrategy {
    Replica,
    Daemon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PropagateTags {
    None,
    Service,
    TaskDefinition,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEvent {
    pub id: ServiceEventId,
    pub at_ms: TimestampMs,
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartThrottle {
    /// Rounds of starts in a row in which a task stopped before RUNNING.
    pub failures: u32,
    pub not_before_ms: TimestampMs,
    /// Before this, another failure to find a place counts for nothing.
    #[serde(default)]
    pub next_placement_failure_ms: TimestampMs,
}
