//! The counts that DescribeServices shows; computed from the tasks, never stored.

use std::sync::Arc;

use outport_model::deployment::{Deployment, DeploymentStatus};
use outport_model::service::Service;
use outport_model::task::Task;
use outport_model::{DeploymentId, TaskStatus};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `runningCount`: tasks in RUNNING.
    pub running: u32,
    /// `pendingCount`: wanted tasks before RUNNING.
    pub pending: u32,
}

impl Counts {
    pub fn of<'t>(tasks: impl IntoIterator<Item = &'t Arc<Task>>) -> Self {
        let mut counts = Self::default();
        for task in tasks {
            if task.last_status == TaskStatus::Running {
                counts.running += 1;
            } else if task.is_wanted() {
                counts.pending += 1;
            }
        }
        counts
    }

    /// Of the tasks of one deployment among all tasks of its service.
    pub fn of_deployment<'t>(
        deployment: &DeploymentId,
        tasks: impl IntoIterator<Item = &'t Arc<Task>>,
    ) -> Self {
        Self::of(tasks.into_iter().filter(|task| is_of(task, deployment)))
    }
}

/// `desiredCount` of one entry of `deployments[]`: what the service wants of the PRIMARY one, and what
/// is left of one that is being replaced.
pub fn desired_count<'t>(
    service: &Service,
    deployment: &Deployment,
    tasks: impl IntoIterator<Item = &'t Arc<Task>>,
) -> u32 {
    if deployment.status == DeploymentStatus::Primary {
        return service.desired_count;
    }
    let wanted =
        tasks.into_iter().filter(|task| task.is_wanted() && is_of(task, &deployment.id)).count();
    u32::try_from(wanted).unwrap_or(u32::MAX)
}

pub(super) fn is_of(task: &Task, deployment: &DeploymentId) -> bool {
    task.service.as_ref().is_some_and(|member| member.deployment == *deployment)
}
