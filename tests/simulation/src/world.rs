//! One run: the control plane, the nodes, the network, the user, and time.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures_util::FutureExt;
use outport_controllers::node_link::{LinkConfig, LinkError, NODES_MAX_DEFAULT, NodeLink};
use outport_controllers::{
    Controller, Extent, Heartbeats, NodeHealthController, RetentionController, ServiceController,
};
use outport_model::NodeId;
use outport_model::node::Node as NodeRow;
use outport_model::task::Task;
use outport_node_protocol::{AssignmentRequest, KnownGenerations, Registered};
use outport_planner::Settings;
use outport_service_ecs::task_definition::Workloads;
use outport_store::journal::MemoryJournal;
use outport_store::{ManualClock, RowWatch, SeededIds, Store, Transaction};

use crate::STEP;
use crate::invariants::{self, Memory};
use crate::network::{Message, Network};
use crate::nobody::Nobody;
use crate::node::Node;
use crate::rng::Rng;
use crate::user::{self, Answer, User};
use crate::wish::{self, Outcomes, Wish};

const STEP_MS: i64 = STEP.as_millis() as i64;
const NODES: usize = 3;
/// Steps with faults, then the most steps until the world is at rest without them.
const STORMY_STEPS: u64 = 400;
const CALM_STEPS_MAX: u64 = 900;
/// Rest that does not last is none: a controller that flaps passes through it. Nor is a state in which rows are written,
/// whatever they say: each wakes somebody.
const RESTFUL_STEPS: u64 = 40;
/// Chances in a thousand, a step.
const USER_ACTS: usize = 100;
/// That an answer is lost on its way, and the user calls again.
const USER_CALLS_AGAIN: usize = 300;
const AGENT_CRASHES: usize = 8;
const AGENT_COMES_BACK: usize = 60;
const MACHINE_REBOOTS: usize = 3;
const MACHINE_DIES: usize = 1;
const CONTROL_PLANE_CRASHES: usize = 8;
const DISK_FILLS: usize = 6;
const DISK_IS_CLEARED: usize = 120;
/// Somebody, or NTP, sets the wall clock.
const CLOCK_STEPS: usize = 15;
/// The control plane's process is suspended, or stalls; so is the whole machine of a node that is with it.
const CONTROL_PLANE_IS_SUSPENDED: usize = 6;
/// An agent is suspended for less than makes its node a lost one; its tasks run on.
const AGENT_IS_SUSPENDED: usize = 8;
/// By how much the clock is set: an hour, a day, a year, forward and back.
const CLOCK_STEPS_MS: [i64; 6] =
    [3_600_000, 86_400_000, 31_536_000_000, -3_600_000, -86_400_000, -31_536_000_000];
/// Steps of a suspend of the control plane: far more than makes a node silent or lost.
const SUSPENDED_STEPS: [u64; 3] = [15, 70, 3_100];
/// Steps of a suspend of an agent: more than makes it silent, less than makes it lost.
const AGENT_SUSPENDED_STEPS: u64 = 40;
/// Steps between the passes of a controller over everything.
const FULL_PASS_STEPS: u64 = 100;
const REPORTS: usize = 400;
const ANSWER_IS_LOST: usize = 200;
const CONTROLLER_RUNS: usize = 500;

pub struct World {
    seed: u64,
    step: u64,
    rng: Rng,
    clock: Arc<ManualClock>,
    ids: Arc<SeededIds>,
    journal: MemoryJournal,
    control: ControlPlane,
    nodes: Vec<Node>,
    /// The polls that found no news and wait for some, by node.
    polls: Vec<Option<RowWatch<NodeId>>>,
    network: Network,
    memory: Memory,
    stormy: bool,
    disk_full: bool,
    remembers_states: bool,
    what_happened: Happened,
}

/// What this world has seen besides: a test that wants suspends wants to know that there were some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    pub tasks_that_ran: usize,
    /// After each step, so that two runs of a seed can be compared: what is stored, and what every node would report.
    pub states: Vec<u64>,
    pub clock_steps: usize,
    pub suspends: usize,
    pub calls: Outcomes,
}

/// All that dies with the control plane's process.
struct ControlPlane {
    store: Store,
    user: User,
    link: NodeLink,
    service: ServiceController,
    node_health: NodeHealthController,
    retention: RetentionController,
}

/// Minutes become seconds, so that everything happens in a short run.
fn settings() -> Settings {
    Settings {
        healthy_after_ms: 300,
        throttle_first_ms: 200,
        throttle_longest_ms: 2_000,
        placement_retry_ms: 1_000,
        short_run_window_ms: 1_000,
        short_run_pause_first_ms: 100,
        short_run_pause_longest_ms: 1_000,
        stopped_task_life_ms: 6_000,
        inactive_life_ms: 4_000,
        node_silent_after_ms: 2_000,
        node_lost_after_ms: 6_000,
        own_gap_ms: 1_000,
        failed_deployment_life_ms: 500,
        trouble_life_ms: 2_000,
        ..Settings::default()
    }
}

impl ControlPlane {
    fn start(journal: &MemoryJournal, clock: &Arc<ManualClock>, ids: &Arc<SeededIds>) -> Self {
        let store = Store::with_journal(journal.clone(), clock.clone(), ids.clone());
        let store = store.expect("what was journaled can be read");
        let heartbeats = Arc::new(Heartbeats::new(store.now().steady_ms));
        let registered = Registered {
            registry_host: "127.0.0.1:4566".into(),
            registry_names: Vec::new(),
            vpc_cidr: "172.31.0.0/16".into(),
            protocol_version: 1,
            takes_report_changes: true,
        };
        let workloads = Arc::new(Workloads::default());
        let config = LinkConfig {
            scope: user::scope(),
            registered,
            workloads: workloads.clone(),
            nodes_max: NODES_MAX_DEFAULT,
        };
        let nobody = Arc::new(Nobody);
        let link = NodeLink::new(
            store.clone(),
            config,
            heartbeats.clone(),
            nobody.clone(),
            nobody.clone(),
            nobody,
        );
        Self {
            user: User::new(&store, settings(), workloads.as_ref().clone()),
            link,
            service: ServiceController::new(&store, settings(), workloads),
            node_health: NodeHealthController::new(heartbeats, settings()),
            retention: RetentionController::new(settings()),
            store,
        }
    }

    /// Writes are done at once: the journal is in memory. False when the disk is full.
    fn write(&self, change: impl FnOnce(&mut Transaction<'_>)) -> bool {
        let written = self.store.write(|tx| {
            change(tx);
            Ok::<_, Infallible>(())
        });
        written.now_or_never().expect("no waiting").is_ok()
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let ids = Arc::new(SeededIds::new(seed));
        let journal = MemoryJournal::default();
        let control = ControlPlane::start(&journal, &clock, &ids);
        assert!(control.write(user::set_up), "the disk is empty");
        control.user.register_families().now_or_never().expect("no waiting");
        Self {
            seed,
            step: 0,
            rng: Rng::new(seed),
            clock,
            ids,
            journal,
            control,
            nodes: (1..=NODES).map(|number| Node::new(seed, number)).collect(),
            polls: (0..NODES).map(|_| None).collect(),
            network: Network::default(),
            memory: Memory::default(),
            stormy: true,
            disk_full: false,
            remembers_states: false,
            what_happened: Happened::default(),
        }
    }

    /// A storm, then calm until the world is at rest. Panics with the seed when it is not. Returns
    /// what happened: a world in which nothing happens shows nothing.
    pub fn run(mut self) -> Happened {
        for _ in 0..STORMY_STEPS {
            self.step();
        }
        self.stormy = false;
        self.disk_is_full(false);
        let upgraded = self.nodes.iter_mut().filter_map(Node::upgrade);
        upgraded.for_each(|node| self.network.cut(&node));
        // They hold host ports for as long as they like, so services might never find room.
        // And none on a machine that nobody lets in again.
        let tables = self.control.store.snapshot();
        let last = wish::stop_standalone_tasks(&tables).into_iter();
        for wish in last.chain(wish::activate_all(&tables)) {
            assert!(matches!(self.call(&wish), Answer::Taken(_)), "{wish:?}");
        }
        let mut unrest = String::new();
        let mut restful_steps = 0;
        for _ in 0..CALM_STEPS_MAX {
            let before = self.control.store.snapshot();
            self.step();
            // What a pass over everything finds to do is not done.
            if restful_steps + 1 == RESTFUL_STEPS {
                self.pass_over_everything();
            }
            let after = self.control.store.snapshot();
            let is_at_rest = invariants::check_rest(&after, &self.nodes)
                .and_then(|()| invariants::check_nothing_was_written(&before, &after));
            match is_at_rest {
                Ok(()) => restful_steps += 1,
                Err(what) => (restful_steps, unrest) = (0, what),
            }
            if restful_steps == RESTFUL_STEPS {
                let tasks_that_ran = self.memory.tasks_that_ran();
                return Happened { tasks_that_ran, ..self.what_happened };
            }
        }
        panic!("seed {}: no rest after {CALM_STEPS_MAX} calm steps: {unrest}", self.seed);
    }

    fn step(&mut self) {
        self.step += 1;
        self.clock.advance(STEP_MS);
        if self.stormy {
            self.act_as_user();
            self.break_things();
        }
        self.mend();
        self.deliver();
        self.run_nodes();
        self.run_controllers();
        let snapshot = self.control.store.snapshot();
        self.memory.check_lifecycles(&snapshot);
        let steps_min = (settings().node_lost_after_ms / STEP_MS).unsigned_abs();
        self.memory.check_given_up(&snapshot, &self.nodes, steps_min);
        invariants::check_resources(&snapshot);
        invariants::check_traffic(&snapshot);
        if self.remembers_states {
            self.remember_state();
        }
    }

    /// For a run that is to be compared with another one.
    pub fn remembering_states(self) -> Self {
        Self { remembers_states: true, ..self }
    }

    fn remember_state(&mut self) {
        // Of one process and one version: the same text gives the same number.
        let mut state = DefaultHasher::new();
        format!("{:?}", self.control.store.snapshot().tables()).hash(&mut state);
        for node in &mut self.nodes {
            format!("{:?} {:?}", node.task_reports(), node.traces()).hash(&mut state);
        }
        self.what_happened.states.push(state.finish());
    }

    fn act_as_user(&mut self) {
        if !self.rng.per_mille(USER_ACTS) {
            return;
        }
        let Some(wish) = Wish::any(&self.control.store.snapshot(), &mut self.rng) else { return };
        let first = self.call(&wish);
        if wish.is_idempotent() && self.rng.per_mille(USER_CALLS_AGAIN) {
            let second = self.call(&wish);
            if let (Answer::Taken(first), Answer::Taken(second)) = (&first, &second) {
                wish::check_answered_again(&wish, first, second);
            }
        }
    }

    /// An operation does not wait, and fails only for want of disk.
    fn call(&mut self, wish: &Wish) -> Answer {
        let answer = self.control.user.call(wish.operation, &wish.input);
        let answer = answer.now_or_never().expect("no waiting");
        wish::check_answer(wish, &answer);
        let outcomes = self.what_happened.calls.entry(wish.operation).or_default();
        match &answer {
            Answer::Taken(_) => outcomes[0] += 1,
            Answer::Refused(..) => outcomes[1] += 1,
            Answer::Failed(body) => assert!(self.disk_full, "{wish:?}: {body}"),
        }
        answer
    }

    fn break_things(&mut self) {
        self.play_with_time();
        if self.rng.per_mille(CONTROL_PLANE_CRASHES) {
            self.restart_control_plane();
        }
        let chance = if self.disk_full { DISK_IS_CLEARED } else { DISK_FILLS };
        if self.rng.per_mille(chance) {
            self.disk_is_full(!self.disk_full);
        }
        let alive = self.nodes.iter().filter(|node| !node.is_dead).count();
        let index = self.rng.below(self.nodes.len());
        let node = &mut self.nodes[index];
        if node.is_dead {
            return;
        }
        if self.rng.per_mille(AGENT_CRASHES) {
            node.crash_agent(true);
            self.network.cut(&node.id);
        } else if self.rng.per_mille(MACHINE_REBOOTS) {
            node.reboot(true);
            self.network.cut(&node.id);
        } else if alive > 2 && self.rng.per_mille(MACHINE_DIES) {
            node.reboot(true);
            node.is_dead = true;
            self.network.cut(&node.id);
        }
    }

    /// What must stop no task: the clock is set, the control plane or an agent is suspended.
    fn play_with_time(&mut self) {
        if self.rng.per_mille(CLOCK_STEPS) {
            let step_ms = *self.rng.pick(&CLOCK_STEPS_MS).expect("there are some");
            self.clock.step(step_ms);
            self.what_happened.clock_steps += 1;
        }
        if self.rng.per_mille(CONTROL_PLANE_IS_SUSPENDED) {
            let steps = *self.rng.pick(&SUSPENDED_STEPS).expect("there are some");
            self.suspend_control_plane(steps);
            self.what_happened.suspends += 1;
        }
        if self.rng.per_mille(AGENT_IS_SUSPENDED) {
            let index = self.rng.below(self.nodes.len());
            self.nodes[index].suspended_until = self.step + AGENT_SUSPENDED_STEPS;
            self.what_happened.suspends += 1;
        }
    }

    /// Time passes and containers run and end, and nobody is there to hear of it. What was sent stays
    /// in the sockets, so it arrives as if it had been sent just now.
    fn suspend_control_plane(&mut self, steps: u64) {
        let began_ms = self.control.store.now_ms();
        let times = |count: u64| began_ms + STEP_MS * i64::try_from(count).expect("few");
        for node in self.nodes.iter_mut().filter(|node| !node.is_dead) {
            node.work_unheard((1..=steps).map(times), self.stormy);
        }
        self.clock.advance(times(steps) - began_ms);
        for node in &mut self.nodes {
            node.silent_steps = 0;
        }
        // The pass that was due comes first, before anything is heard.
        self.run_controllers();
    }

    fn disk_is_full(&mut self, full: bool) {
        self.disk_full = full;
        self.journal.set_broken(full);
    }

    /// A call of the control plane does not wait, and fails only for want of disk.
    fn must<T, E: std::fmt::Debug>(&self, call: impl Future<Output = Result<T, E>>) -> Option<T> {
        self.allow(call.now_or_never().expect("no waiting"))
    }

    fn allow<T, E: std::fmt::Debug>(&self, answer: Result<T, E>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                assert!(self.disk_full, "{error:?}");
                None
            }
        }
    }

    /// What was acknowledged is there after a restart, and nothing else.
    fn restart_control_plane(&mut self) {
        let before = format!("{:?}", self.control.store.snapshot().tables());
        self.control = ControlPlane::start(&self.journal, &self.clock, &self.ids);
        let after = format!("{:?}", self.control.store.snapshot().tables());
        assert!(before == after, "a restart changed the state");
        self.polls.fill_with(|| None);
        for node in &mut self.nodes {
            self.network.cut(&node.id);
            node.registered = false;
            node.silent_steps = 0;
        }
    }

    fn mend(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.is_dead && !node.is_up()) {
            if !self.stormy || self.rng.per_mille(AGENT_COMES_BACK) {
                node.start_agent(self.stormy);
            }
        }
    }

    fn deliver(&mut self) {
        for message in self.network.arrivals(self.step) {
            match message {
                Message::Report(report) => {
                    let answer = self.control.link.report(&report).now_or_never();
                    let answer = answer.expect("no waiting");
                    // A late one, of before a boot: the node that sent it is not there to register again.
                    if matches!(answer, Err(LinkError::OtherBoot(_))) {
                        continue;
                    }
                    let taken = self.allow(answer);
                    let mut nodes = self.nodes.iter_mut();
                    if let Some(node) = nodes.find(|node| node.id == report.node) {
                        node.silent_steps = 0;
                        if let Some(answer) = taken
                            && !(self.stormy && self.rng.per_mille(ANSWER_IS_LOST))
                        {
                            node.delivered(report.sequence, answer);
                        }
                    }
                }
                Message::Assignment(to, assignment) => {
                    let node = self.nodes.iter_mut().find(|node| node.id == to);
                    node.expect("sent to a node").take(assignment);
                }
            }
        }
    }

    fn run_nodes(&mut self) {
        let now_ms = self.control.store.now_ms();
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            node.silent_steps += 1;
            if node.is_dead {
                continue;
            }
            let is_suspended = node.suspended_until > self.step;
            node.work(now_ms, self.stormy, is_suspended);
            if !node.is_up() || is_suspended {
                continue;
            }
            if !node.registered {
                self.polls[index] = None;
                let registration = node.registration();
                let joined = self.control.link.register(registration).now_or_never();
                let joined = joined.expect("no waiting");
                // The boot before was heard of a moment ago: it tries again.
                let waits = matches!(&joined, Err(LinkError::Unavailable(text)) if text.contains("another boot"));
                self.nodes[index].registered = !waits && self.allow(joined).is_some();
            }
            if !self.nodes[index].registered {
                continue;
            }
            self.talk(index);
        }
    }

    /// The node's poll, which is answered when there is news for it, and its report when it happens to come round.
    fn talk(&mut self, index: usize) {
        if self.is_woken(index) {
            self.poll(index);
        }
        if !self.stormy || self.rng.per_mille(REPORTS) {
            let message = Message::Report(self.nodes[index].report());
            self.network.send(message, self.step, &mut self.rng, self.stormy);
        }
    }

    fn is_woken(&mut self, index: usize) -> bool {
        let Some(poll) = &mut self.polls[index] else { return true };
        poll.changed().now_or_never().is_some()
    }

    fn poll(&mut self, index: usize) {
        self.nodes[index].silent_steps = 0;
        let node = &self.nodes[index];
        let (id, tasks) = (node.id.clone(), node.generation());
        let boot_id = node.registration().boot_id;
        let news = self.control.store.watch_row::<NodeRow>(&id);
        let known = KnownGenerations { tasks };
        // One of them is of a version that takes sections only whole.
        let request = AssignmentRequest {
            node: id.clone(),
            known,
            takes_changes: index > 0,
            takes_secrets: true,
            boot_id: Some(boot_id),
        };
        let told = self.must(self.control.link.assignment(&request)).flatten();
        let told = told.and_then(|news| news.tasks);
        // After an answer the node asks again at once: it may have been lost.
        self.polls[index] = told.is_none().then_some(news);
        if let Some(assignment) = told {
            let message = Message::Assignment(id, assignment.as_ref().clone());
            self.network.send(message, self.step, &mut self.rng, self.stormy);
        }
    }

    fn pass_over_everything(&mut self) {
        let control = &mut self.control;
        let controllers: [&mut dyn Controller; 3] =
            [&mut control.service, &mut control.node_health, &mut control.retention];
        for controller in controllers {
            let pass = controller.activate(&control.store, Extent::All).now_or_never();
            pass.expect("no waiting").expect("the disk is not full");
        }
    }

    fn run_controllers(&mut self) {
        if !self.stormy || self.rng.per_mille(CONTROLLER_RUNS) {
            let store = self.control.store.clone();
            let healthy = |task: &Task| {
                let now = store.now();
                let is_over = |ms| now.is_over(ms, settings().healthy_after_ms);
                task.is_running() && task.started_at_ms.is_some_and(is_over)
            };
            let before = invariants::measure(&self.control.store.snapshot(), healthy);
            // Some worlds have no passes over everything: what is touched must be enough where nothing fails.
            let has_full_passes = self.seed.is_multiple_of(2);
            let is_full_pass = has_full_passes && self.step.is_multiple_of(FULL_PASS_STEPS);
            let extent = if is_full_pass { Extent::All } else { Extent::Touched };
            let control = &mut self.control;
            let pass = control.service.activate(&control.store, extent).now_or_never();
            self.allow(pass.expect("no waiting"));
            let snapshot = self.control.store.snapshot();
            let after = invariants::measure(&snapshot, healthy);
            invariants::check_floor_and_ceiling(&before, &after, &snapshot);
        }
        let control = &mut self.control;
        let others: [&mut dyn Controller; 2] = [&mut control.node_health, &mut control.retention];
        let passes = others.map(|controller| {
            let pass = controller.activate(&control.store, Extent::All);
            pass.now_or_never().expect("no waiting")
        });
        for pass in passes {
            self.allow(pass);
        }
    }
}
