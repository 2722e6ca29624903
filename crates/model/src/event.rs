//! EventBridge: buses, rules with their targets, and events on their way.
//!
//! ```text
//! EventBus      a bus beside the default one, which is always there and has no row unless it has tags
//! EventRule     what is asked of events, or when; and where they go
//! ScheduledRule when a rule with a schedule is due next
//! PendingEvent  an event until every target of every rule that matches it has it, or is not to have it any more
//! ```
//!
//! **Invariant:** a row of a pending event is written with what it tells of and goes when nothing is left to deliver: what is told to
//! a bus is delivered at least once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::container_instance::ContainerInstance;
use crate::task::Task;
use crate::{Arn, ClusterName, DeploymentId, Scope, ServiceName, Tags, TimestampMs};

/// The bus of each account and region that services of AWS send to.
pub const DEFAULT_BUS: &str = "default";

/// The `source` of ECS's events.
pub const ECS_SOURCE: &str = "aws.ecs";
pub const TASK_STATE_CHANGE: &str = "ECS Task State Change";
pub const CONTAINER_INSTANCE_STATE_CHANGE: &str = "ECS Container Instance State Change";
pub const SERVICE_ACTION: &str = "ECS Service Action";
pub const DEPLOYMENT_STATE_CHANGE: &str = "ECS Deployment State Change";

/// The row of a bus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventBus {
    pub scope: Scope,
    pub name: String,
    pub description: Option<String>,
    pub tags: Tags,
    pub made_at_ms: TimestampMs,
}

/// The row of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRule {
    pub scope: Scope,
    pub bus: String,
    /// Unique in its bus.
    pub name: String,
    /// The text of its pattern, which compiles. A rule has this or a schedule, or both.
    pub pattern: Option<String>,
    /// The text of its schedule, which fires.
    pub schedule: Option<String>,
    pub is_enabled: bool,
    pub description: Option<String>,
    pub role_arn: Option<String>,
    pub tags: Tags,
    /// By their ids, at most five.
    pub targets: BTreeMap<String, EventTarget>,
    /// Which of ECS's events its pattern may match: the others are not made for it.
    pub hears: Hears,
}

/// Kinds of events that ECS sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hears {
    pub tasks: bool,
    pub container_instances: bool,
    pub service_actions: bool,
    pub deployments: bool,
}

/// Where a rule sends events, and what of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventTarget {
    pub arn: String,
    pub role_arn: Option<String>,
    pub input: TargetInput,
    /// The JSON of AWS's `EcsParameters` shape, as RunTask takes its members.
    pub ecs: Option<EcsTarget>,
    /// Where what could not be delivered is written: the ARN of a log group.
    pub dead_letter_arn: Option<String>,
    pub retry: RetryPolicy,
}

/// What of an event a target gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TargetInput {
    /// All of it.
    Event,
    /// This text.
    Constant(String),
    /// What this JSON path finds.
    Path(String),
    Template {
        /// Name to JSON path.
        paths: BTreeMap<String, String>,
        template: String,
    },
}

/// A task to run. The JSON texts are of RunTask's shapes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EcsTarget {
    pub task_definition_arn: String,
    pub task_count: Option<i32>,
    pub launch_type: Option<String>,
    pub platform_version: Option<String>,
    pub group: Option<String>,
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub assign_public_ip: Option<String>,
    pub enable_ecs_managed_tags: Option<bool>,
    pub propagate_tags: Option<String>,
    pub tags: Option<Tags>,
}

/// How long a delivery is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Beside the first one.
    pub retries_max: u32,
    pub age_s_max: u32,
    /// Whether the caller has said so, for describes.
    pub is_given: bool,
}

/// Source: API reference, RetryPolicy: what a target has that does not say.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries_max: 185, age_s_max: 86_400, is_given: false }
    }
}

/// When a rule with a schedule is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduledRule {
    pub scope: Scope,
    /// A schedule is on the default bus alone.
    pub rule: String,
    /// What a rate is counted from: when the schedule was set or enabled.
    pub since_ms: TimestampMs,
    pub due_at_ms: TimestampMs,
}

/// An event on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingEvent {
    pub scope: Scope,
    pub bus: String,
    pub made_at_ms: TimestampMs,
    /// A UUID; the `id` of the event.
    pub id: String,
    pub body: EventBody,
    /// Where it is still to go; `None`: no rule was asked yet.
    pub deliveries: Option<Vec<PendingDelivery>>,
}

/// What an event tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventBody {
    /// The JSON of the whole event.
    Whole(String),
    /// What of ECS changed, as it stood then.
    Ecs(Box<EcsChange>),
}

/// A change of which ECS tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EcsChange {
    Task(Box<Task>),
    ContainerInstance(ContainerInstance),
    /// A new event of a service.
    Service {
        scope: Scope,
        cluster: ClusterName,
        service: ServiceName,
        message: String,
        at_ms: TimestampMs,
    },
    Deployment {
        scope: Scope,
        cluster: ClusterName,
        service: ServiceName,
        id: DeploymentId,
        state: crate::deployment::RolloutState,
        reason: String,
        at_ms: TimestampMs,
    },
}

/// One target that an event is still to go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDelivery {
    pub rule: String,
    pub target: String,
    /// How often it was tried.
    pub attempts: u32,
    pub next_at_ms: TimestampMs,
}

impl EventBus {
    pub fn arn(&self) -> Arn {
        Arn::event_bus(&self.scope, &self.name)
    }
}

impl EventRule {
    pub fn arn(&self) -> Arn {
        Arn::event_rule(&self.scope, &self.bus, &self.name)
    }
}

impl EcsChange {
    /// Whether a rule that hears these hears of it.
    pub fn is_heard_by(&self, hears: Hears) -> bool {
        match self {
            Self::Task(_) => hears.tasks,
            Self::ContainerInstance(_) => hears.container_instances,
            Self::Service { .. } => hears.service_actions,
            Self::Deployment { .. } => hears.deployments,
        }
    }

    /// The account and region of which it tells.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::Task(task) => &task.scope,
            Self::ContainerInstance(instance) => &instance.scope,
            Self::Service { scope, .. } | Self::Deployment { scope, .. } => scope,
        }
    }

    /// Source: "Amazon ECS events", the detail types.
    pub fn detail_type(&self) -> &'static str {
        match self {
            Self::Task(_) => TASK_STATE_CHANGE,
            Self::ContainerInstance(_) => CONTAINER_INSTANCE_STATE_CHANGE,
            Self::Service { .. } => SERVICE_ACTION,
            Self::Deployment { .. } => DEPLOYMENT_STATE_CHANGE,
        }
    }

    /// For metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Task(_) => "task",
            Self::ContainerInstance(_) => "container_instance",
            Self::Service { .. } => "service_action",
            Self::Deployment { .. } => "deployment",
        }
    }
}
