//! A node that says what a node says, and does nothing.

use outport_model::{DesiredStatus, NodeId, TaskId, TaskStatus};
use outport_node_protocol::{Registration, Report, TaskSection};
use outport_simulation::node::registration;

use super::seen;

#[derive(Clone, Debug)]
pub struct Speaker {
    pub id: NodeId,
    boot: u64,
    sequence: u64,
    assignment: TaskSection,
}

impl Speaker {
    pub fn new(number: usize) -> Self {
        let (id, assignment) = (NodeId::new(format!("{number:032x}")), TaskSection::default());
        Self { id, boot: 1, sequence: 0, assignment }
    }

    pub fn registration(&self) -> Registration {
        registration(&self.id, self.boot)
    }

    pub fn reboot(&mut self) {
        self.boot += 1;
    }

    pub fn take(&mut self, assignment: TaskSection) {
        self.assignment = assignment;
    }

    /// Each task that is to run has just been taken; of one that is to stop nothing was ever here.
    pub fn report(&mut self) -> Report {
        self.sequence += 1;
        let wanted = |desired| desired == DesiredStatus::Running;
        let tasks = self.assignment.tasks.iter().filter(|task| wanted(task.desired));
        let task_report = |task: &TaskId| seen(task, TaskStatus::Pending);
        Report {
            node: self.id.clone(),
            boot_id: self.registration().boot_id,
            sequence: self.sequence,
            generation: self.assignment.generation,
            tasks: tasks.map(|task| task_report(&task.task)).collect(),
            accepts_tasks: true,
            changes_only: false,
            unreadable: Vec::new(),
        }
    }
}
