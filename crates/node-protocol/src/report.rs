//! What a node sees of its tasks.

use outport_model::task::{ContainerStatus, StopCode};
use outport_model::{NodeId, TaskId, TaskStatus, TimestampMs};
use serde::{Deserialize, Serialize};

/// The observed state of every task that the node knows. A stopped task stays in it until it is
/// no longer in the node's assignment, so a lost report is repaired by the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub node: NodeId,
    pub boot_id: String,
    /// Grows with each report of this node process; a report that arrives late is ignored.
    pub sequence: u64,
    /// The assignment that the node works on.
    pub generation: u64,
    pub tasks: Vec<TaskReport>,
    /// False when the node is going away: no new tasks for it.
    pub accepts_tasks: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    pub task: TaskId,
    pub status: TaskStatus,
    pub containers: Vec<ContainerReport>,
    pub pull_started_at_ms: Option<TimestampMs>,
    pub pull_stopped_at_ms: Option<TimestampMs>,
    pub connectivity_at_ms: Option<TimestampMs>,
    pub started_at_ms: Option<TimestampMs>,
    pub stopping_at_ms: Option<TimestampMs>,
    pub execution_stopped_at_ms: Option<TimestampMs>,
    pub stopped_at_ms: Option<TimestampMs>,
    /// Why it stops, when the node decided so; a stop that the control plane ordered has none.
    pub stop: Option<StopCause>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopCause {
    pub code: StopCode,
    /// AWS's words, as in `stoppedReason`.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerReport {
    pub name: String,
    pub status: ContainerStatus,
    pub runtime_id: Option<String>,
    pub image_digest: Option<String>,
    pub exit_code: Option<i32>,
    /// AWS's words, such as `OutOfMemoryError: Container killed due to memory usage`.
    pub reason: Option<String>,
}
