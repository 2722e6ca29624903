//! What the node link asks of others, in its own words: it knows neither stores of logs nor registries nor policies.

use async_trait::async_trait;
use outport_model::Scope;
use outport_model::task::Task;
use outport_model::task_definition::ContainerDefinition;
use outport_node_protocol::{
    LogBatch, LogCursor, LogDestination, RegistryCredential, TaskCredentials, TaskSecrets,
};

/// Takes the logs of containers in.
#[async_trait]
pub trait LogSink: Send + Sync + 'static {
    /// Appends a batch of a container of the task, with the permissions of its execution role where it has one. It follows what was appended from the same container before, and returns
    /// what is on disk now. A batch from elsewhere than the committed cursor changes nothing.
    async fn append(
        &self,
        task: &Task,
        execution_role: Option<&str>,
        destination: &LogDestination,
        batch: LogBatch,
    ) -> Result<LogCursor, SinkError>;
}

/// Why logs were not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The group or stream cannot be had; the node tries again.
    #[error("{0}")]
    Refused(String),
    /// This batch is never taken; the node goes on without it.
    #[error("{0}")]
    Unacceptable(String),
    /// The disk; the node tries again.
    #[error("{0}")]
    Fault(String),
}

/// Issues what a node pulls images of this installation's registry with.
#[async_trait]
pub trait CredentialSource: Send + Sync + 'static {
    /// With what the execution role may pull, where the task has one. `registry`: the account and region whose images it is
    /// for, where that is not the task's own.
    async fn issue(
        &self,
        task: &Task,
        execution_role: Option<&str>,
        registry: Option<&Scope>,
    ) -> Result<RegistryCredential, SinkError>;
}

/// Gives the credentials of task roles.
#[async_trait]
pub trait TaskRoleSource: Send + Sync + 'static {
    /// Of a task that is on a node and not over. Each time it is asked, the role has to be there and to trust ECS.
    async fn issue(&self, task: &Task, role_arn: &str) -> Result<TaskCredentials, SinkError>;
}

/// Reads what containers get that nobody else may know.
#[async_trait]
pub trait SecretSource: Send + Sync + 'static {
    /// Of a task that is on a node and not over, with its execution role. [`SinkError::Refused`] is the text behind
    /// `ResourceInitializationError: unable to pull secrets or registry auth: `.
    async fn read(
        &self,
        task: &Task,
        execution_role: Option<&str>,
        containers: &[ContainerDefinition],
    ) -> Result<TaskSecrets, SinkError>;
}
