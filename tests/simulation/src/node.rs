//! A node: the real agent's tasks, runners and records, on a machine that is made here.
//!
//! The agent has a runtime of its own whose clock stands still until a step lets it go on. When it dies the runtime is
//! dropped with all that is in it, in the middle of whatever it does; the machine and the records stay.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outport_model::node::{Architecture, NodeCapacity};
use outport_model::task::ContainerStatus;
use outport_model::{NodeId, TaskId, TaskStatus, TimestampMs};
use outport_node_agent::parts::{Change, Loaded, TaskRecords, Tasks};
use outport_node_protocol::{
    ProtocolVersions, Registration, Report, Reported, TaskAssignment, TaskReport, TaskSection,
    UnreadableTask,
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep_until};

use crate::STEP;
use crate::chance::Chance;
use crate::machine::Machine;

pub const CPU_UNITS: u32 = 4_096;
pub const MEMORY_MIB: u32 = 8_192;
/// Chances in a thousand that the end of an agent damages the record of one of its tasks, or takes it away.
const RECORD_IS_DAMAGED: usize = 100;
const RECORD_IS_LOST: usize = 100;
/// Chances in a thousand that an agent is of a version that cannot read each task, and that such a one cannot read a task.
const AGENT_IS_OLDER: usize = 200;
const TASK_IS_UNREADABLE: usize = 150;
/// And that a report says every task though the one before has arrived, as time makes it do.
const REPORT_IS_WHOLE: usize = 200;
/// Steps of a slow agent at a time.
const SLOW_STEPS: u32 = 20;
/// A file system in memory, where this host has one.
const MEMORY: &str = "/dev/shm";

pub struct Node {
    pub id: NodeId,
    boot: u64,
    /// Never comes back.
    pub is_dead: bool,
    /// The step until which its agent is suspended.
    pub suspended_until: u64,
    /// Steps in a row in which nothing of it could be heard although the control plane listened.
    pub silent_steps: u64,
    pub registered: bool,
    sequence: u64,
    machine: Arc<Machine>,
    /// `None` while it is down: tasks go on, but nobody reports or orders anything.
    agent: Option<Agent>,
    records: TaskRecords,
    /// Of the agent's end.
    chance: Chance,
    /// The furthest that was said of each task.
    told: BTreeMap<TaskId, TaskStatus>,
    directory: TempDir,
}

/// All that dies with the agent's process.
struct Agent {
    runtime: Runtime,
    tasks: Tasks<Machine>,
    is_older: bool,
    /// The last report, until it is known to have arrived: its sequence, and the last change in it.
    on_its_way: Option<(u64, Change)>,
    is_delivered: bool,
    /// Assignments that have arrived and were not read yet.
    unread: Vec<TaskSection>,
    /// By its clock: to where it may go on.
    until: Instant,
}

impl Node {
    /// `number` is its own among the nodes of the world of that seed.
    pub fn new(seed: u64, number: usize) -> Self {
        let seed = seed.wrapping_mul(1_000).wrapping_add(number as u64);
        let parent = if Path::new(MEMORY).is_dir() { MEMORY.into() } else { std::env::temp_dir() };
        let directory = tempfile::Builder::new().prefix("outport-simulation-").tempdir_in(parent);
        let directory = directory.expect("a directory can be made");
        let mut node = Self {
            id: NodeId::new(format!("{number:032x}")),
            boot: 1,
            is_dead: false,
            suspended_until: 0,
            silent_steps: 0,
            registered: false,
            sequence: 0,
            machine: Arc::new(Machine::new(seed)),
            agent: None,
            records: open_records(directory.path()),
            chance: Chance::new(seed),
            told: BTreeMap::new(),
            directory,
        };
        node.start_agent(false);
        node
    }

    pub fn registration(&self) -> Registration {
        registration(&self.id, self.boot)
    }

    /// Whether the agent runs.
    pub fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    /// The generation of the assignment that is followed.
    pub fn generation(&self) -> u64 {
        self.agent.as_ref().map_or(0, |agent| agent.tasks.generation())
    }

    /// The agent takes over what is there. `faults`: it may be an older one than the control plane.
    pub fn start_agent(&mut self, faults: bool) {
        let is_older = self.chance.next("version".to_owned()).per_mille(AGENT_IS_OLDER) && faults;
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime can be made");
        let tasks = Tasks::new(self.machine.clone(), self.records.clone(), boot_id(self.boot));
        let until = runtime.block_on(async {
            let began = Instant::now();
            self.machine.agent_began(began);
            tasks.adopt().await.expect("records in memory can be read");
            began
        });
        let (on_its_way, is_delivered, unread) = (None, false, Vec::new());
        let agent = Agent { runtime, tasks, is_older, on_its_way, is_delivered, unread, until };
        self.agent = Some(agent);
    }

    /// The agent dies; its tasks do not notice. `faults`: something may happen to what it has written.
    pub fn crash_agent(&mut self, faults: bool) {
        self.registered = false;
        let Some(agent) = self.agent.take() else { return };
        let reports = agent.tasks.task_reports().reports();
        drop(agent);
        let found = self.loaded();
        self.check_recorded(&reports, &found);
        // Of what was never begun there is no record: the next agent learns of it as this one did.
        let recorded = |task: &TaskId| found.records.iter().any(|one| one.report.task == *task);
        self.told.retain(|task, _| recorded(task));
        if faults {
            self.damage_a_record(&found);
        }
    }

    /// The machine starts again: nothing runs any more. The agent finds its records and says so.
    pub fn reboot(&mut self, faults: bool) {
        self.crash_agent(faults);
        self.boot += 1;
        self.machine.reboot();
        std::fs::remove_dir_all(in_memory(self.directory.path())).expect("it is there");
        self.records = open_records(self.directory.path());
    }

    fn loaded(&self) -> Loaded {
        self.records.load().expect("records in memory can be read")
    }

    fn damage_a_record(&mut self, found: &Loaded) {
        let mut rng = self.chance.next("records".to_owned());
        let (damages, loses) = (rng.per_mille(RECORD_IS_DAMAGED), rng.per_mille(RECORD_IS_LOST));
        let Some(record) = rng.pick(&found.records) else { return };
        let task = &record.report.task;
        let files = [
            on_disk(self.directory.path()).join(task.as_str()).join("task.json"),
            in_memory(self.directory.path()).join(format!("{task}.json")),
        ];
        // Of one that has left nothing but its record there would be no trace: it is not taken.
        let has_traces = self.machine.tasks().contains(task);
        for file in files.iter().filter(|file| file.exists()) {
            if damages {
                std::fs::write(file, "{ this is no record").expect("it can be written");
            } else if loses && has_traces {
                std::fs::remove_file(file).expect("it can be removed");
            }
        }
        if damages || (loses && has_traces) {
            // What is known of it is known anew.
            self.told.remove(task);
        }
    }

    /// An older agent is replaced by one that reads everything; the node, if that was so: its connections are new.
    pub fn upgrade(&mut self) -> Option<NodeId> {
        self.agent.as_ref().filter(|agent| agent.is_older)?;
        self.crash_agent(false);
        self.start_agent(false);
        Some(self.id.clone())
    }

    /// An assignment arrives; without an agent nobody takes it.
    pub fn take(&mut self, mut assignment: TaskSection) {
        if let Some(agent) = &mut self.agent {
            if agent.is_older {
                let chance = &self.chance;
                let is_readable = |task: &Arc<TaskAssignment>| {
                    let name = format!("unreadable {}", task.task);
                    !chance.at(&name, 0).per_mille(TASK_IS_UNREADABLE)
                };
                let all = std::mem::take(&mut assignment.tasks);
                let (readable, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_readable);
                assignment.tasks = readable;
                assignment.unreadable = others.into_iter().map(unreadable).collect();
            }
            agent.unread.push(assignment);
        }
    }

    /// One step of the machine, and of the agent if it is up and not suspended.
    pub fn work(&mut self, now_ms: TimestampMs, faults: bool, is_suspended: bool) {
        self.machine.step(now_ms, faults);
        if !is_suspended {
            self.let_agent_go_on(1);
        }
    }

    /// Many steps in which nobody talks to the node. The agent is slow in them: it looks at its machine now and then.
    pub fn work_unheard(&mut self, times_ms: impl Iterator<Item = TimestampMs>, faults: bool) {
        let mut missed = 0;
        for now_ms in times_ms {
            self.machine.step(now_ms, faults);
            missed += 1;
            if missed == SLOW_STEPS {
                self.let_agent_go_on(std::mem::take(&mut missed));
            }
        }
        self.let_agent_go_on(missed);
    }

    fn let_agent_go_on(&mut self, steps: u32) {
        if let Some(agent) = &mut self.agent {
            agent.work(steps);
        }
        self.check();
    }

    pub fn report(&mut self) -> Report {
        self.sequence += 1;
        let agent = self.agent.as_mut().expect("it is up");
        let is_whole_due = self.chance.next("report".to_owned()).per_mille(REPORT_IS_WHOLE);
        let changes_only = std::mem::take(&mut agent.is_delivered) && !is_whole_due;
        let (id, sequence) = (self.id.clone(), self.sequence);
        let (report, change) = agent.tasks.report(id, sequence, true, changes_only);
        agent.on_its_way = Some((sequence, change));
        report
    }

    /// The report with that sequence was taken in, and its answer is here. Of an earlier one it comes too late.
    pub fn delivered(&mut self, sequence: u64, answer: Reported) {
        let Some(agent) = &mut self.agent else { return };
        let change = agent.on_its_way.take_if(|(sent, _)| *sent == sequence);
        if let Some((_, change)) = change {
            agent.tasks.task_reports().delivered(change);
            agent.is_delivered = !answer.wants_whole;
        }
    }

    /// What a report would say of the tasks; nothing while the agent is down.
    pub fn task_reports(&self) -> Vec<TaskReport> {
        self.agent.as_ref().map(|agent| agent.tasks.task_reports().reports()).unwrap_or_default()
    }

    /// What really runs here: the ids of tasks that have processes.
    pub fn running(&self) -> BTreeSet<TaskId> {
        self.machine.running()
    }

    /// The tasks whose address or port another one was to get meanwhile.
    pub fn clashes(&self) -> Vec<TaskId> {
        self.machine.clashes()
    }

    /// The tasks of which anything is here: a container, a network, a record.
    pub fn traces(&self) -> BTreeSet<TaskId> {
        let mut tasks = self.machine.tasks();
        for directory in [on_disk(self.directory.path()), in_memory(self.directory.path())] {
            for entry in std::fs::read_dir(directory).expect("it is there") {
                let name = entry.expect("it can be read").file_name();
                let name = name.to_str().expect("a task's id");
                tasks.insert(TaskId::new(name.strip_suffix(".json").unwrap_or(name)));
            }
        }
        tasks
    }

    /// Nothing is told that is not written down: the next agent would not know of it. A task that was to stop before
    /// anything was done for it has no record, and needs none.
    fn check_recorded(&self, reports: &[TaskReport], found: &Loaded) {
        for TaskReport { task, status: told, containers, .. } in reports {
            let Some(known) = found.records.iter().find(|known| known.report.task == *task) else {
                let began = |name: &str| self.machine.has_started(task, name);
                let began = containers.iter().any(|container| began(&container.name));
                assert!(!began, "{task} was begun and has no record");
                continue;
            };
            // The next agent sees that the machine was booted as this one did.
            let is_of_this_boot = known.boot_id == boot_id(self.boot);
            let known = known.report.status;
            let known = if is_of_this_boot { known } else { known.max(TaskStatus::Stopping) };
            assert!(known >= *told, "{task} was said {told:?}, its record says {known:?}");
        }
    }

    /// What must hold of every agent, whatever happens to it.
    fn check(&mut self) {
        let wrongs = self.machine.wrongs();
        assert!(wrongs.is_empty(), "on node {}: {wrongs:?}", self.id);
        let Some(agent) = &self.agent else { return };
        let holders = self.machine.holders();
        for report in agent.tasks.task_reports().reports() {
            let task = &report.task;
            let told = self.told.entry(task.clone()).or_insert(report.status);
            assert!(*told <= report.status, "{task} was said {told:?}, then {:?}", report.status);
            *told = report.status;
            let is_held = report.status >= TaskStatus::Stopped && holders.contains(task);
            assert!(!is_held, "{task} is said to have stopped and is here still");
            for container in &report.containers {
                let is_said = report.status == TaskStatus::Running
                    || container.status == ContainerStatus::Running;
                let is_true = self.machine.has_started(task, &container.name);
                assert!(is_true || !is_said, "{task} is said to run, {} never did", container.name);
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A world that failed has said why.
        if !std::thread::panicking() {
            self.crash_agent(false);
        }
    }
}

impl Agent {
    /// Reads what has come, and goes on until nothing is left to do but to wait for the next step.
    fn work(&mut self, steps: u32) {
        let _inside = self.runtime.enter();
        for section in self.unread.drain(..) {
            // Messages overtake each other here; one that is older is refused.
            let _older = self.tasks.follow(section);
        }
        self.until += STEP * steps;
        self.runtime.block_on(sleep_until(self.until));
    }
}

/// What an older version makes of a task.
fn unreadable(task: Arc<TaskAssignment>) -> UnreadableTask {
    let reason = "unknown variant".to_owned();
    UnreadableTask { task: Some(task.task.clone()), desired: Some(task.desired), reason }
}

/// What a node joins with; `boot` counts the boots of its machine.
pub fn registration(node: &NodeId, boot: u64) -> Registration {
    Registration {
        node: node.clone(),
        host_name: format!("host-{node}"),
        agent_version: "0".into(),
        boot_id: boot_id(boot),
        architecture: Architecture::X86_64,
        capacity: NodeCapacity {
            cpu_units: CPU_UNITS,
            memory_mib: MEMORY_MIB,
            reserved_ports: vec![22],
        },
        cluster: "default".into(),
        ask_only: false,
        allows_privileged: false,
        regions: Vec::new(),
        attributes: Vec::new(),
        protocol: ProtocolVersions::SPOKEN,
    }
}

fn boot_id(boot: u64) -> String {
    format!("boot-{boot}")
}

fn open_records(directory: &Path) -> TaskRecords {
    TaskRecords::open_in_memory(on_disk(directory), in_memory(directory))
        .expect("directories can be made")
}

fn on_disk(directory: &Path) -> PathBuf {
    directory.join("disk")
}

/// What a boot takes away.
fn in_memory(directory: &Path) -> PathBuf {
    directory.join("memory")
}
