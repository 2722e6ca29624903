//! A service: so many tasks of a task definition, kept running and rolled over safely.
//!
//! Users write the specification (`desired_count`, `deployment`, …), the service controller writes
//! the deployments and events. Counts are computed from the tasks, never stored.

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::network::AwsvpcConfiguration;
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
pub struct DeploymentConfiguration {
    /// Rounded up to tasks.
    pub minimum_healthy_percent: u32,
    /// Rounded down to tasks.
    pub maximum_percent: u32,
    pub circuit_breaker: CircuitBreaker,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    pub enable: bool,
    pub rollback: bool,
}

impl DeploymentConfiguration {
    /// A deployment never leaves fewer healthy tasks than this.
    /// Source: botocore's documentation of `minimumHealthyPercent` ("rounded up").
    pub fn healthy_floor(&self, desired_count: u32) -> u32 {
        let tasks =
            (u64::from(desired_count) * u64::from(self.minimum_healthy_percent)).div_ceil(100);
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }
    /// A deployment never runs more tasks than this.
    /// Source: botocore's documentation of `maximumPercent` ("rounded down").
    pub fn running_ceiling(&self, desired_count: u32) -> u32 {
        let tasks = u64::from(desired_count) * u64::from(self.maximum_percent) / 100;
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(minimum: u32, maximum: u32, desired: u32, floor: u32, ceiling: u32) {
        let configuration = DeploymentConfiguration {
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            circuit_breaker: CircuitBreaker::default(),
        };
        let actual = (configuration.healthy_floor(desired), configuration.running_ceiling(desired));
        assert_eq!(actual, (floor, ceiling));
    }

    #[test]
    fn the_floor_is_rounded_up_and_the_ceiling_down() {
        check(100, 200, 3, 3, 6);
        check(50, 150, 3, 2, 4);
        check(0, 100, 1, 0, 1);
        check(33, 199, 1, 1, 1);
        check(100, 200, 0, 0, 0);
    }
}
