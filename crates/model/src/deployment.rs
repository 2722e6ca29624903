//! A deployment of a service: the roll-out of one service revision.

use serde::{Deserialize, Serialize};

use crate::deployment_configuration::{DeploymentStrategy, HookAction, LifecycleStage};
use crate::network::AwsvpcConfiguration;
use crate::task_definition::LaunchType;
use crate::{
    ClusterName, DeploymentId, Family, Revision, Scope, ServiceDeploymentId, ServiceName,
    TimestampMs,
};

/// What `deployments[]` of a service shows, without its counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub status: DeploymentStatus,
    pub family: Family,
    pub revision: Revision,
    pub launch_type: LaunchType,
    pub platform_version: Option<String>,
    pub network: AwsvpcConfiguration,
    /// The `document` of the service when this deployment began: what a rollback gives back to it. Empty in rows of
    /// versions that did not keep it.
    #[serde(default)]
    pub document: String,
    pub rollout_state: RolloutState,
    pub rollout_state_reason: String,
    /// Tasks of it that stopped before RUNNING since the last one that ran.
    pub failed_tasks: u32,
    /// Whether one of its tasks ever reached RUNNING.
    pub has_run: bool,
    /// Image reference to digest, resolved by the first task that pulled it; later tasks use it.
    /// Source: "Container image resolution" (version consistency).
    pub image_digests: Vec<(String, String)>,
    /// How much of the production traffic goes to its tasks, where it is shifted from revision to revision; those of all
    /// deployments of a service are 1,000 together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_permille: Option<u32>,
    pub created_at_ms: TimestampMs,
    pub updated_at_ms: TimestampMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentStatus {
    Primary,
    Active,
    Inactive,
}

impl DeploymentStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "PRIMARY",
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RolloutState {
    InProgress,
    Completed,
    Failed,
}

impl RolloutState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// The history row that ListServiceDeployments and DescribeServiceDeployments show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDeployment {
    pub scope: Scope,
    pub cluster: ClusterName,
    pub service: ServiceName,
    pub id: ServiceDeploymentId,
    pub target_revision: DeploymentId,
    pub source_revisions: Vec<DeploymentId>,
    pub status: ServiceDeploymentStatus,
    pub status_reason: Option<String>,
    pub created_at_ms: TimestampMs,
    pub started_at_ms: Option<TimestampMs>,
    pub finished_at_ms: Option<TimestampMs>,
    pub updated_at_ms: TimestampMs,
    /// The JSON of AWS's `DeploymentConfiguration` shape at the time.
    pub configuration: String,
    /// When it began to go back to what was there before.
    #[serde(default)]
    pub rollback_started_at_ms: Option<TimestampMs>,
    /// Of one that goes in stages; that of a finished one is where it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

/// Where a service deployment stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// As it was when the deployment began: another one is for the next.
    pub strategy: DeploymentStrategy,
    pub stage: LifecycleStage,
    /// Since when the stage has done what it does, and only waits.
    pub done_at_ms: Option<TimestampMs>,
    /// The pauses of this stage; none before it has done what it does.
    pub hooks: Vec<HookRun>,
    /// How much of the test traffic the target has.
    pub test_permille: u32,
}

/// A pause of a service deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRun {
    pub id: String,
    pub expires_at_ms: TimestampMs,
    pub timeout_action: HookAction,
    /// What somebody said.
    pub answer: Option<HookAction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceDeploymentStatus {
    Pending,
    InProgress,
    Successful,
    Stopped,
    StopRequested,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl ServiceDeploymentStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Successful => "SUCCESSFUL",
            Self::Stopped => "STOPPED",
            Self::StopRequested => "STOP_REQUESTED",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }
}

/// The workload settings of a service at one moment; never changes but for the digests, which become known
/// when its first task has pulled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    pub scope: Scope,
    pub cluster: ClusterName,
    pub service: ServiceName,
    pub id: DeploymentId,
    /// The JSON of AWS's `ServiceRevision` shape.
    pub document: String,
    pub created_at_ms: TimestampMs,
    /// Image reference to digest, as [`Deployment::image_digests`]; kept when the deployment is gone.
    #[serde(default)]
    pub image_digests: Vec<(String, String)>,
}
