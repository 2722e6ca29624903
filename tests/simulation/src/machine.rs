//! The machine under an agent: containers that start, end, are slow, cannot be pulled and do not listen, by chance.
//!
//! It outlives the agent as a real one does: its time goes on, and its containers end, whoever looks. What becomes of a
//! container is drawn for that container, so it does not depend on which task's runner comes first.
//!
//! **Invariant:** what no agent may do with a machine is written down in [`Machine::wrongs`], whatever else happens then.

mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outport_model::{TaskId, TimestampMs};
use outport_node_agent::parts::ContainerExit;
use outport_node_protocol::{ContainerAssignment, TaskAssignment, TaskNetwork};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::STEP;
use crate::chance::Chance;

/// Chances in a thousand, a container and step, while there are faults.
const CRASHES: usize = 4;
/// Chances in a thousand, while there are faults.
const PULL_FAILS: usize = 60;
const PULL_IS_LONG: usize = 200;
const ATTACH_FAILS: usize = 10;
const CREATE_FAILS: usize = 10;
const START_FAILS: usize = 10;
const IGNORES_STOP_SIGNAL: usize = 100;
const LOG_IS_LATE: usize = 50;
const REMOVAL_FAILS: usize = 150;
/// The longest that each of them takes, in milliseconds.
const ATTACH_MS: usize = 150;
const PULL_MS: usize = 400;
/// Long enough that something else happens meanwhile.
const LONG_PULL_MS: usize = 4_000;
const CREATE_MS: usize = 60;
const START_MS: usize = 40;
const RELEASE_MS: usize = 120;
const LOG_MS: usize = 100;
/// Longer than a stopped task waits for its log.
const LATE_LOG_MS: usize = 6_000;
/// Steps in which a container ends that was told to.
const STOP_STEPS: usize = 4;
/// Of a process that a signal ended: 128 and its number.
const TERMINATED: i32 = 143;
const KILLED: i32 = 137;
const CRASHED: i32 = 1;

/// One machine.
#[derive(Debug)]
pub struct Machine(Mutex<State>);

#[derive(Debug)]
struct State {
    chance: Chance,
    steps: u64,
    now_ms: TimestampMs,
    has_faults: bool,
    /// By the clock of its runtime.
    agent_began: Option<Instant>,
    containers: BTreeMap<Name, Container>,
    /// What each task with a network has there that is nobody else's.
    networks: BTreeMap<TaskId, BTreeSet<String>>,
    images: BTreeSet<Name>,
    boot: u64,
    /// The boot in which anything was done for a task first.
    begun: BTreeMap<TaskId, u64>,
    /// Every container whose process was ever let go.
    started: BTreeSet<Name>,
    forgotten: BTreeSet<TaskId>,
    wrongs: Vec<String>,
    clashes: Vec<TaskId>,
}

/// Of a container: its task and its own.
type Name = (TaskId, String);

#[derive(Debug)]
struct Container {
    state: ContainerState,
    /// The step at which it ends, and with which code.
    ends: Option<(u64, i32)>,
    exit: watch::Sender<Option<ContainerExit>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContainerState {
    Making,
    Created,
    Running,
    Ended,
    /// A boot took its processes, and what was known of them.
    Lost,
}

impl Machine {
    /// `seed` is its own among the machines of a world.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            chance: Chance::new(seed),
            steps: 0,
            now_ms: 0,
            has_faults: true,
            agent_began: None,
            containers: BTreeMap::new(),
            networks: BTreeMap::new(),
            images: BTreeSet::new(),
            boot: 0,
            begun: BTreeMap::new(),
            started: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            wrongs: Vec::new(),
            clashes: Vec::new(),
        }))
    }

    /// Time passes, and containers end in it.
    pub fn step(&self, now_ms: TimestampMs, has_faults: bool) {
        let mut state = self.state();
        state.steps += 1;
        state.now_ms = now_ms;
        state.has_faults = has_faults;
        let State { chance, steps, containers, .. } = &mut *state;
        for (name, container) in containers {
            if container.state != ContainerState::Running {
                continue;
            }
            let crashes = || chance.at(&throw("crash", name), *steps).per_mille(CRASHES);
            match container.ends {
                Some((at, code)) if at <= *steps => container.end(code, now_ms),
                _ if has_faults && crashes() => container.end(CRASHED, now_ms),
                _ => {}
            }
        }
    }

    /// An agent has begun, at a moment between two steps.
    pub fn agent_began(&self, at: Instant) {
        self.state().agent_began = Some(at);
    }

    /// It is switched off and on: no process and no network is left.
    pub fn reboot(&self) {
        let mut state = self.state();
        state.boot += 1;
        state.networks.clear();
        for container in state.containers.values_mut() {
            if container.state != ContainerState::Ended {
                container.state = ContainerState::Lost;
            }
        }
    }

    /// What an agent did that none may, since this was asked last.
    pub fn wrongs(&self) -> Vec<String> {
        std::mem::take(&mut self.state().wrongs)
    }

    /// The tasks that had what another one was to get, since this was asked last. Who gets none does not start.
    pub fn clashes(&self) -> Vec<TaskId> {
        std::mem::take(&mut self.state().clashes)
    }

    /// The tasks that have processes here.
    pub fn running(&self) -> BTreeSet<TaskId> {
        self.tasks_of(|container| container.state == ContainerState::Running)
    }

    /// The tasks of which anything is here.
    pub fn tasks(&self) -> BTreeSet<TaskId> {
        let mut tasks = self.tasks_of(|_| true);
        tasks.extend(self.state().networks.keys().cloned());
        tasks
    }

    /// Those that hold more than files.
    pub fn holders(&self) -> BTreeSet<TaskId> {
        let mut tasks = self.running();
        tasks.extend(self.state().networks.keys().cloned());
        tasks
    }

    /// Whether the process of this container was ever let go.
    pub fn has_started(&self, task: &TaskId, container: &str) -> bool {
        self.state().started.contains(&(task.clone(), container.to_owned()))
    }

    fn tasks_of(&self, counts: impl Fn(&Container) -> bool) -> BTreeSet<TaskId> {
        let state = self.state();
        let counted = state.containers.iter().filter(|(_, container)| counts(container));
        counted.map(|((task, _), _)| task.clone()).collect()
    }

    /// Waits up to so long, and never until the moment between two steps: orders come then, and who is first would be
    /// left to chance that is nobody's.
    async fn pass(&self, what: &str, name: &Name, longest_ms: usize) {
        let (until, began) = {
            let mut state = self.state();
            let ms = state.chance.next(throw(what, name)).below(longest_ms) as u64;
            let now = Instant::now();
            (now + Duration::from_millis(ms), state.agent_began.unwrap_or(now))
        };
        let is_between = (until - began).as_millis().is_multiple_of(STEP.as_millis());
        sleep_until(until + Duration::from_millis(u64::from(is_between))).await;
    }

    fn fails(&self, what: &str, name: &Name, chance: usize) -> bool {
        let mut state = self.state();
        state.has_faults && state.chance.next(throw(what, name)).per_mille(chance)
    }

    /// What runs ends within some steps; what was made and never started, at once and without a word.
    fn signal(&self, name: &Name, code: i32) {
        let mut state = self.state();
        let steps = state.chance.next(throw("stops", name)).below(STOP_STEPS) as u64;
        let (at, now_ms) = (state.steps + 1 + steps, state.now_ms);
        match state.containers.get_mut(name) {
            Some(container) if container.state == ContainerState::Running => {
                let earlier = container.ends.filter(|(known, _)| *known <= at);
                container.ends = Some(earlier.unwrap_or((at, code)));
            }
            Some(container) if container.state == ContainerState::Created => {
                container.end(code, now_ms);
            }
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wrong(&mut self, what: &str, name: &Name) {
        self.wrongs.push(format!("container {} of task {} {what}", name.1, name.0));
    }

    fn removes(&mut self, task: &TaskId) {
        self.containers.retain(|(of, _), _| of != task);
        self.images.retain(|(of, _)| of != task);
        self.networks.remove(task);
    }
}

impl Container {
    fn end(&mut self, code: i32, now_ms: TimestampMs) {
        self.state = ContainerState::Ended;
        let exit = ContainerExit { exit_code: Some(code), reason: None, finished_at_ms: now_ms };
        self.exit.send_replace(Some(exit));
    }
}

fn throw(what: &str, (task, container): &Name) -> String {
    format!("{what} {task} {container}")
}

fn name(task: &TaskAssignment, container: &ContainerAssignment) -> Name {
    (task.task.clone(), container.definition.name.clone())
}

/// The task as a whole.
fn whole(task: &TaskId) -> Name {
    (task.clone(), String::new())
}

/// What no other task of the machine may have at the same time.
fn places(task: &TaskAssignment) -> BTreeSet<String> {
    let ports = || task.containers.iter().flat_map(|container| &container.ports);
    match &task.network {
        TaskNetwork::Awsvpc(attachment) => [attachment.address.to_string()].into(),
        TaskNetwork::None => BTreeSet::new(),
        TaskNetwork::Bridge | TaskNetwork::Host => ports()
            .map(|port| format!("port {} {}", port.host_port, port.protocol.as_str()))
            .collect(),
    }
}
