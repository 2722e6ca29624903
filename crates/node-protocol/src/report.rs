//! What a node sees of its tasks.

use outport_model::task::{ContainerStatus, HealthStatus, StopCode};
use outport_model::{NodeId, TaskId, TaskStatus, TimestampMs};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::one_by_one::{self, UnreadableTask};

/// The observed state of every task that the node knows, or of those that changed. A stopped task stays in it until it is
/// no longer in the node's assignment, so a lost report is repaired by the next one.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// `tasks` are only those of which there is more to say than in the last report that was delivered. Only for a
    /// control plane that takes such reports ([`Registered::takes_report_changes`](crate::Registered)): another one
    /// would miss the others.
    #[serde(skip_serializing_if = "is_false")]
    pub changes_only: bool,
    /// Tasks of which a newer node says what this version cannot read. It has them all the same.
    #[serde(skip)]
    pub unreadable: Vec<UnreadableTask>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The answer to a report. One that says nothing is 204 without a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The node gets no tasks before a whole report has said that none is left of those that ended without it: it reports
    /// all, soon.
    #[serde(default)]
    pub wants_whole: bool,
}

impl<'de> Deserialize<'de> for Report {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Message {
            node: NodeId,
            boot_id: String,
            sequence: u64,
            generation: u64,
            /// Required: a node that has no tasks says so.
            tasks: Vec<Box<RawValue>>,
            accepts_tasks: bool,
            #[serde(default)]
            changes_only: bool,
        }
        let Message { node, boot_id, sequence, generation, tasks, accepts_tasks, changes_only } =
            Message::deserialize(deserializer)?;
        let (tasks, unreadable) = one_by_one::read(&tasks);
        Ok(Self {
            node,
            boot_id,
            sequence,
            generation,
            tasks,
            accepts_tasks,
            changes_only,
            unreadable,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    pub task: TaskId,
    pub status: TaskStatus,
    #[serde(default)]
    pub containers: Vec<ContainerReport>,
    #[serde(default)]
    pub pull_started_at_ms: Option<TimestampMs>,
    #[serde(default)]
    pub pull_stopped_at_ms: Option<TimestampMs>,
    #[serde(default)]
    pub connectivity_at_ms: Option<TimestampMs>,
    #[serde(default)]
    pub started_at_ms: Option<TimestampMs>,
    #[serde(default)]
    pub stopping_at_ms: Option<TimestampMs>,
    #[serde(default)]
    pub execution_stopped_at_ms: Option<TimestampMs>,
    #[serde(default)]
    pub stopped_at_ms: Option<TimestampMs>,
    /// Why it stops, when the node decided so; a stop that the control plane ordered has none.
    #[serde(default)]
    pub stop: Option<StopCause>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopCause {
    pub code: StopCode,
    /// AWS's words, as in `stoppedReason`.
    #[serde(default)]
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerReport {
    pub name: String,
    pub status: ContainerStatus,
    #[serde(default)]
    pub runtime_id: Option<String>,
    #[serde(default)]
    pub image_digest: Option<String>,
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// AWS's words, such as `OutOfMemoryError: Container killed due to memory usage`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Absent of a container without health checks, and from nodes that run none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<ContainerHealth>,
}

/// What the health checks of a container have said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerHealth {
    #[serde(default)]
    pub status: HealthStatus,
    /// Since when; absent while no check has decided.
    #[serde(default)]
    pub since_ms: Option<TimestampMs>,
    /// Of the check that decided. It is the node's: what a check writes goes to nobody but the task itself.
    #[serde(skip)]
    pub exit_code: Option<i32>,
    #[serde(skip)]
    pub output: String,
}
