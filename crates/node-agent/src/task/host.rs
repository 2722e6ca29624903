//! What a task needs of the machine. The real one is [`crate::machine::Machine`]; tests have their own.

use std::collections::HashSet;
use std::future::Future;
use std::io;

use outport_model::TaskId;
use outport_node_protocol::{ContainerAssignment, ContainerHealth, TaskAssignment};
use tokio::sync::watch;

use super::launch_metrics::timed;
use crate::task_record::Loaded;

/// Why a task or container did not start, in AWS's words (`CannotPullContainerError: …`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    pub reason: String,
}

impl StartError {
    /// `kind` is one of the agent's error names, such as `CannotStartContainerError`.
    pub fn new(kind: &str, detail: impl std::fmt::Display) -> Self {
        Self { reason: format!("{kind}: {detail}") }
    }
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerExit {
    /// Absent when it never ran.
    pub exit_code: Option<i32>,
    /// In AWS's words; absent for an ordinary exit.
    pub reason: Option<String>,
    pub finished_at_ms: i64,
}

/// An image that is ready on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledImage {
    pub digest: String,
}

/// What an earlier agent left of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    Absent,
    /// Made, but its process was not let go.
    Created,
    Running {
        runtime_id: String,
    },
    Exited(ContainerExit),
    /// Something of it is there, and nobody knows how it ended.
    Lost,
}

/// Of one agent each step that makes something comes once a task or container; the next agent asks what is there before it
/// makes anything. What removes, and what ends a process, may be repeated. A container is known by its name in the task.
pub trait TaskHost: Send + Sync + 'static {
    fn now_ms(&self) -> i64;

    /// Takes ids of this machine for a new task, to be recorded before anything else is done for it: the first of
    /// them. `None`: it has the machine's own.
    fn reserve_ids(&self, task: &TaskAssignment) -> Result<Option<u32>, StartError>;

    /// Makes the task's network and its control group.
    fn attach(&self, task: &TaskAssignment) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Pulls what is missing. May be dropped half-way.
    fn pull(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> impl Future<Output = Result<PulledImage, StartError>> + Send;

    /// Makes the container up to its waiting process; its log is shipped from now on.
    fn create(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> impl Future<Output = Result<(), StartError>> + Send;

    /// Lets the process go; answers the runtime's id of the container.
    fn start(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> impl Future<Output = Result<String, StartError>> + Send;

    /// Finds what an earlier agent left, and goes on shipping its log.
    fn adopt(
        &self,
        task: &TaskAssignment,
        container: &ContainerAssignment,
    ) -> impl Future<Output = Adopted> + Send;

    /// Removes what is left of one container, so that it can be made anew.
    fn discard(&self, task: &TaskId, container: &str) -> impl Future<Output = ()> + Send;

    /// Resolves when a started container has ended.
    fn exit(
        &self,
        task: &TaskId,
        container: &str,
    ) -> impl Future<Output = ContainerExit> + Send + 'static;

    /// What the health checks of a started container say, until it has ended; `None` of one that has none.
    fn health(&self, task: &TaskId, container: &str) -> Option<watch::Receiver<ContainerHealth>>;

    /// The image's stop signal, SIGTERM unless it says otherwise.
    fn terminate(&self, task: &TaskId, container: &str) -> impl Future<Output = ()> + Send;

    /// SIGKILL for all its processes.
    fn kill(&self, task: &TaskId, container: &str) -> impl Future<Output = ()> + Send;

    /// Resolves when all that the task's containers wrote is with the control plane.
    fn logs_shipped(&self, task: &TaskId) -> impl Future<Output = ()> + Send;

    /// Removes containers, network and control group.
    fn release(&self, task: &TaskAssignment) -> impl Future<Output = ()> + Send;

    /// Removes the logs too, and whatever could not be removed before; whether nothing is left. The task's
    /// record goes after that.
    fn forget(&self, task: &TaskAssignment) -> impl Future<Output = bool> + Send;
}

/// What the tasks of a node need of its machine beside what each of them needs: it is asked for what is there of tasks
/// whose records say too little.
pub trait NodeHost: TaskHost {
    type Error: std::fmt::Display + From<io::Error> + Send;

    /// After a start of the agent: holds what the tasks in `found` have, says in their records what those do not say, and
    /// removes what is of no task in it, each such task `mark`ed before. Gives those tasks.
    fn take_over(
        &self,
        found: &mut Loaded,
        mark: impl Fn(&TaskId) -> io::Result<()> + Send + 'static,
    ) -> impl Future<Output = Result<HashSet<TaskId>, Self::Error>> + Send;

    /// The ids of the machine that the containers of a task without a record were made with; they stay its own.
    fn ids_of(&self, task: &TaskId) -> Option<u32>;

    /// Removes what is left of a task that nobody wants and whose record is lost.
    fn remove_unrecorded(
        &self,
        task: &TaskId,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Pulls what these containers need, all at once: the store of images limits what runs at a time.
pub async fn pull_all<H: TaskHost>(
    host: &H,
    task: &TaskAssignment,
    indices: &[usize],
) -> Vec<(usize, Result<PulledImage, StartError>)> {
    let pulls = indices.iter().map(|index| async move {
        (*index, timed("pull", host.pull(task, &task.containers[*index])).await)
    });
    futures_util::future::join_all(pulls).await
}
