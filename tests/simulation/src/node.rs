//! A node that keeps the promises of the node protocol, on a machine that does not.

use std::collections::{BTreeMap, BTreeSet};

use outport_model::node::{Architecture, NodeCapacity};
use outport_model::task::{ContainerStatus, StopCode};
use outport_model::{DesiredStatus, NodeId, TaskId, TaskStatus, TimestampMs};
use outport_node_protocol::{
    Assignment, ContainerReport, ProtocolVersions, Registration, Report, StopCause, TaskAssignment,
    TaskNetwork, TaskReport,
};

use crate::rng::Rng;

pub const CPU_UNITS: u32 = 4_096;
pub const MEMORY_MIB: u32 = 8_192;
/// Chances in a thousand, a task and step, while there are faults.
const CRASH: usize = 4;
const PULL_FAILS: usize = 60;
/// Chances in a thousand that a task moves on in a step.
const MOVES_ON: usize = 600;

#[derive(Clone, Debug)]
pub struct FakeNode {
    pub id: NodeId,
    pub boot: u64,
    /// The agent runs. Without it tasks go on, but nobody reports or orders anything.
    pub is_up: bool,
    /// Never comes back.
    pub is_dead: bool,
    /// The step until which its agent is suspended.
    pub suspended_until: u64,
    /// Steps in a row in which nothing of it could be heard although the control plane listened.
    pub silent_steps: u64,
    pub registered: bool,
    sequence: u64,
    /// What the agent was told last; lost when it restarts.
    pub assignment: Assignment,
    tasks: BTreeMap<TaskId, FakeTask>,
}

/// What outlives the agent: on the node's disk.
#[derive(Clone, Debug)]
struct FakeTask {
    assigned: TaskAssignment,
    status: TaskStatus,
    started_at_ms: Option<TimestampMs>,
    stop: Option<StopCause>,
    stopping: bool,
}

impl FakeNode {
    pub fn new(number: usize) -> Self {
        Self {
            id: NodeId::new(format!("{number:032x}")),
            boot: 1,
            is_up: true,
            is_dead: false,
            suspended_until: 0,
            silent_steps: 0,
            registered: false,
            sequence: 0,
            assignment: Assignment::default(),
            tasks: BTreeMap::new(),
        }
    }

    pub fn registration(&self) -> Registration {
        Registration {
            node: self.id.clone(),
            host_name: format!("host-{}", self.id),
            agent_version: "0".into(),
            boot_id: self.boot_id(),
            architecture: Architecture::X86_64,
            capacity: NodeCapacity {
                cpu_units: CPU_UNITS,
                memory_mib: MEMORY_MIB,
                reserved_ports: vec![22],
            },
            cluster: "default".into(),
            ask_only: false,
            allows_privileged: false,
            protocol: ProtocolVersions::SPOKEN,
        }
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    /// The agent dies; its tasks do not notice.
    pub fn crash_agent(&mut self) {
        self.is_up = false;
        self.registered = false;
        self.assignment = Assignment::default();
    }

    /// The machine starts again: nothing runs any more. The agent finds its records and says so.
    pub fn reboot(&mut self) {
        self.crash_agent();
        self.boot += 1;
        for task in self.tasks.values_mut() {
            if task.status < TaskStatus::Stopped {
                task.status = TaskStatus::Stopped;
                task.stop = Some(StopCause {
                    code: StopCode::InfrastructureHealth,
                    reason: "the machine was started again".into(),
                });
            }
        }
    }

    /// Takes a newer assignment; an older one is refused.
    pub fn take(&mut self, assignment: Assignment) {
        if !self.is_up || assignment.generation <= self.assignment.generation {
            return;
        }
        let assigned: BTreeSet<&TaskId> = assignment.tasks.iter().map(|task| &task.task).collect();
        self.tasks.retain(|id, _| assigned.contains(id));
        for task in &assignment.tasks {
            match self.tasks.get_mut(&task.task) {
                Some(known) => known.assigned.desired = task.desired,
                None if task.desired == DesiredStatus::Running => {
                    let fresh = FakeTask {
                        assigned: task.clone(),
                        status: TaskStatus::Pending,
                        started_at_ms: None,
                        stop: None,
                        stopping: false,
                    };
                    self.tasks.insert(task.task.clone(), fresh);
                }
                // Stopped before it was ever seen: left out of the reports.
                None => {}
            }
        }
        self.assignment = assignment;
    }

    /// One step of every task. Tasks run on without the agent, but only it moves them on.
    pub fn work(&mut self, now_ms: TimestampMs, rng: &mut Rng, faults: bool) {
        for task in self.tasks.values_mut() {
            let crashes = faults && rng.per_mille(CRASH);
            if task.status == TaskStatus::Running && crashes {
                task.end(StopCode::EssentialContainerExited, "Essential container in task exited");
            }
            if self.is_up && rng.per_mille(MOVES_ON) {
                task.advance(now_ms, rng, faults);
            }
        }
    }

    pub fn report(&mut self) -> Report {
        self.sequence += 1;
        Report {
            node: self.id.clone(),
            boot_id: self.boot_id(),
            sequence: self.sequence,
            generation: self.assignment.generation,
            tasks: self.tasks.values().map(FakeTask::report).collect(),
            accepts_tasks: true,
            unreadable: Vec::new(),
        }
    }

    /// What really runs here: the ids of tasks that have processes.
    pub fn running(&self) -> BTreeSet<TaskId> {
        let runs = |task: &&FakeTask| {
            (TaskStatus::Activating..=TaskStatus::Stopping).contains(&task.status)
        };
        self.tasks.values().filter(runs).map(|task| task.assigned.task.clone()).collect()
    }

    /// Addresses and host ports that are in use twice on this machine.
    pub fn clashes(&self) -> Vec<String> {
        let running = self.running();
        let mut seen = BTreeSet::new();
        let mut clashes = Vec::new();
        for task in self.tasks.values().filter(|task| running.contains(&task.assigned.task)) {
            for place in places(&task.assigned) {
                if !seen.insert(place.clone()) {
                    clashes.push(place);
                }
            }
        }
        clashes
    }
}

fn places(task: &TaskAssignment) -> Vec<String> {
    match &task.network {
        TaskNetwork::Awsvpc(attachment) => vec![attachment.address.to_string()],
        TaskNetwork::None => Vec::new(),
        TaskNetwork::Bridge | TaskNetwork::Host => task
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .map(|port| format!("port {} {}", port.host_port, port.protocol.as_str()))
            .collect(),
    }
}

impl FakeTask {
    fn end(&mut self, code: StopCode, reason: &str) {
        self.stopping = true;
        self.stop.get_or_insert(StopCause { code, reason: reason.into() });
    }

    fn advance(&mut self, now_ms: TimestampMs, rng: &mut Rng, faults: bool) {
        let is_to_end = self.stopping || self.assigned.desired == DesiredStatus::Stopped;
        self.status = match (self.status, is_to_end) {
            (TaskStatus::Stopped, _) => TaskStatus::Stopped,
            (TaskStatus::Pending | TaskStatus::Activating, true) => TaskStatus::Stopped,
            (TaskStatus::Stopping, _) => TaskStatus::Stopped,
            (_, true) => TaskStatus::Stopping,
            (TaskStatus::Pending, false) if faults && rng.per_mille(PULL_FAILS) => {
                self.end(StopCode::TaskFailedToStart, "CannotPullContainerError: no such image");
                TaskStatus::Stopped
            }
            (TaskStatus::Pending, false) => TaskStatus::Activating,
            (TaskStatus::Activating, false) => {
                self.started_at_ms = Some(now_ms);
                TaskStatus::Running
            }
            (running, false) => running,
        };
    }

    fn report(&self) -> TaskReport {
        let status = match self.status {
            TaskStatus::Running => ContainerStatus::Running,
            status if status > TaskStatus::Running => ContainerStatus::Stopped,
            _ => ContainerStatus::Pending,
        };
        let containers = self.assigned.containers.iter().map(|container| ContainerReport {
            name: container.name.clone(),
            status,
            runtime_id: Some(container.id.clone()),
            image_digest: Some("sha256:0".into()),
            exit_code: None,
            reason: None,
        });
        TaskReport {
            task: self.assigned.task.clone(),
            status: self.status,
            containers: containers.collect(),
            pull_started_at_ms: None,
            pull_stopped_at_ms: None,
            connectivity_at_ms: None,
            started_at_ms: self.started_at_ms,
            stopping_at_ms: None,
            execution_stopped_at_ms: None,
            stopped_at_ms: None,
            stop: self.stop.clone(),
        }
    }
}
