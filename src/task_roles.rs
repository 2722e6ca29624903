//! The credentials of task roles, for the nodes whose tasks have them.

use async_trait::async_trait;
use outport_controllers::node_link::{SinkError, TaskRoleSource};
use outport_model::task::Task;
use outport_model::{Arn, ClusterName, Scope};
use outport_node_protocol::TaskCredentials;
use outport_planner::TaskRoleTrust;
use outport_service_sts::{NotAssumed, ServiceSession, StsService};

/// Whom a role has to trust to be a task's. Source: ECS developer guide, "Amazon ECS task IAM role".
pub(crate) const TASKS_SERVICE: &str = "ecs-tasks.amazonaws.com";
/// Source: as above, "the credentials … expire in 6 hours and … are rotated".
const LIFETIME_MS: i64 = 6 * 3_600_000;

/// Asks STS's part for sessions of roles.
pub struct TaskRoles {
    sts: StsService,
    /// Whether a task starts without a role that is not given, which is said when it asks for it.
    is_permissive: bool,
}

impl TaskRoles {
    pub fn new(sts: StsService, is_permissive: bool) -> Self {
        Self { sts, is_permissive }
    }
}

impl TaskRoleTrust for TaskRoles {
    fn is_given(&self, scope: &Scope, cluster: &ClusterName, role_arn: &str) -> bool {
        // That of any task of the cluster.
        let source_arn = Arn::of("ecs", scope, format!("task/{cluster}/*"));
        let asked = ServiceSession {
            service: TASKS_SERVICE,
            role_arn,
            session_name: "task",
            account: &scope.account,
            region: &scope.region,
            source_arn: source_arn.as_str(),
            now_ms: crate::control_plane::now_ms(),
            lifetime_ms: LIFETIME_MS,
        };
        self.is_permissive || self.sts.session_for_service(&asked).is_ok()
    }
}

#[async_trait]
impl TaskRoleSource for TaskRoles {
    async fn issue(&self, task: &Task, role_arn: &str) -> Result<TaskCredentials, SinkError> {
        // A guess: AWS's guide only says that it begins with `arn:aws:ecs:<region>:<account>:`, and that a cluster's own ARN
        // does not match.
        let source_arn = Arn::task(&task.scope, &task.cluster, &task.id);
        let asked = ServiceSession {
            service: TASKS_SERVICE,
            role_arn,
            session_name: task.id.as_str(),
            account: &task.scope.account,
            region: &task.scope.region,
            source_arn: source_arn.as_str(),
            now_ms: crate::control_plane::now_ms(),
            lifetime_ms: LIFETIME_MS,
        };
        let (credential, token) = self.sts.assume_for_service(&asked).map_err(|not_assumed| {
            if let NotAssumed::Fault(detail) = not_assumed {
                return SinkError::Fault(detail);
            }
            tracing::warn!(
                event = "task_role_not_assumed",
                task = %task.id,
                family = %task.family,
                reason = %not_assumed,
                "a task gets no credentials of its task role: its calls of AWS fail until the role is mended"
            );
            SinkError::Refused(not_assumed.to_string())
        })?;
        Ok(TaskCredentials {
            role_arn: role_arn.to_owned(),
            access_key_id: credential.access_key_id.as_str().to_owned(),
            secret_access_key: credential.secret_access_key.expose().to_owned(),
            session_token: token.as_str().to_owned(),
            expires_at_ms: asked.now_ms + asked.lifetime_ms,
            lifetime_ms: asked.lifetime_ms,
        })
    }
}
