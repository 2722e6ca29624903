//! Plans of scenes that nobody thought of: what is safe in each of them, and that obedient tasks come to rest.

use outport_model::deployment::Progress;
use outport_model::deployment_configuration::{
    ALL_PERMILLE, HookAction, LifecycleStage, PauseHook,
};
use proptest::prelude::*;

use super::*;

/// Passes from any scene of at most 12 tasks and 8 desired ones to rest. Rolling one task at a time, each takes a pass to
/// start, one to run, one to be healthy, and one to end what it replaces.
const PASSES_MAX: usize = 200;
/// What passes between two passes of which the first did something.
const PASS_MS: TimestampMs = 400;

/// A service, its tasks and its history, as they go from pass to pass.
#[derive(Clone)]
pub(super) struct House {
    pub service: Service,
    pub tasks: Vec<Arc<Task>>,
    pub history: Vec<Arc<ServiceDeployment>>,
    pub now_ms: TimestampMs,
}

/// What a person needs to see of one that fails.
impl std::fmt::Debug for House {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { service, tasks, history, now_ms } = self;
        let (status, desired) = (service.status.as_str(), service.desired_count);
        writeln!(out, "{status}, desired {desired}, {:?}", service.configuration)?;
        for one in &service.deployments {
            let state = (one.rollout_state, one.has_run, one.failed_tasks, one.traffic_permille);
            writeln!(out, "  {} {} {state:?}", one.id, one.status.as_str())?;
        }
        for task in tasks {
            let deployment = task.service.as_ref().map(|member| member.deployment.to_string());
            let started_for_ms = task.started_at_ms.map(|at_ms| now_ms - at_ms);
            let state = (task.desired_status, task.last_status, started_for_ms, task.stop_code);
            writeln!(out, "  {} {deployment:?} {state:?}", task.id)?;
        }
        for entry in history {
            let stage = &entry.progress;
            writeln!(out, "  {} {} {stage:?}", entry.target_revision, entry.status.as_str())?;
        }
        writeln!(out, "  {:?}, now {now_ms}", service.throttle)
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    Pending,
    Running { since_ms: TimestampMs },
    ToldToStop,
    EndsByItself,
    FailedToStart,
    Exited,
    Noted,
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        3 => Just(State::Pending),
        6 => (0..60_000i64).prop_map(|since_ms| State::Running { since_ms }),
        1 => Just(State::ToldToStop),
        1 => Just(State::EndsByItself),
        1 => Just(State::FailedToStart),
        1 => Just(State::Exited),
        1 => Just(State::Noted),
    ]
}

/// The version that a task is of, its state, and how long ago it was made.
fn task_states() -> impl Strategy<Value = Vec<(u32, State, i64)>> {
    prop::collection::vec((0..4u32, state(), 3_000..20_000i64), 0..12)
}

fn house() -> impl Strategy<Value = House> {
    let percents = (0..=100u32, 100..=250u32);
    let of_service = (0..=8u32, percents, 1..=3u32, any::<[bool; 4]>(), 0..8u8);
    let rollouts = prop::collection::vec((0..6u8, any::<bool>(), 0..4u32), 3);
    let throttle = (0..6u32, 0..9_000i64);
    (of_service, rollouts, throttle, task_states(), stages()).prop_map(
        |(
            (desired, (minimum, maximum), versions, flags, status),
            rollouts,
            throttle,
            states,
            stages,
        )| {
            let mut service = service(desired, minimum, maximum, versions);
            let [enable, rollback, is_on_instances, is_throttled] = flags;
            service.configuration.circuit_breaker =
                CircuitBreaker { enable, rollback, ..CircuitBreaker::default() };
            if is_on_instances {
                service.launch_type = LaunchType::Ec2;
            }
            if status == 0 {
                service.status = ServiceStatus::Draining;
            }
            for (deployment, (state, has_run, failed_tasks)) in
                service.deployments.iter_mut().zip(rollouts)
            {
                deployment.has_run = has_run;
                deployment.failed_tasks = if has_run { 0 } else { failed_tasks };
                match state {
                    0 => deployment.rollout_state = RolloutState::Failed,
                    1 => deployment.rollout_state = RolloutState::InProgress,
                    2 => deployment.rollout_state = RolloutState::Completed,
                    _ => {}
                }
            }
            if is_throttled && throttle.0 > 0 {
                service.throttle.failures = throttle.0;
                service.throttle.not_before_ms = NOW_MS + throttle.1;
            }
            let made = states.into_iter().enumerate();
            let tasks = made.map(|(index, state)| Arc::new(task(&service, index, state))).collect();
            let mut history = history_of(&service);
            if let Some(stages) = stages {
                stages.put(&mut service, &mut history);
            }
            House { service, tasks, history, now_ms: NOW_MS }
        },
    )
}

/// A deployment that goes in stages, and where it is.
#[derive(Clone, Debug)]
struct Stages {
    strategy: DeploymentStrategy,
    bake_time_min: u32,
    pause: Option<PauseHook>,
    stage: LifecycleStage,
}

/// Half of the services have none.
fn stages() -> impl Strategy<Value = Option<Stages>> {
    use LifecycleStage as Stage;
    let strategy = prop_oneof![
        Just(DeploymentStrategy::BlueGreen),
        (30..=1000u32, 0..3u32).prop_map(|(step_permille, step_bake_min)| {
            DeploymentStrategy::Linear { step_permille, step_bake_min }
        }),
        (1..=1000u32, 0..3u32)
            .prop_map(|(permille, bake_min)| DeploymentStrategy::Canary { permille, bake_min }),
    ];
    let stage = prop::sample::select(vec![
        Stage::ReconcileService,
        Stage::PreScaleUp,
        Stage::ScaleUp,
        Stage::PostTestTrafficShift,
        Stage::ProductionTrafficShift,
        Stage::BakeTime,
        Stage::CleanUp,
    ]);
    let action = prop::sample::select(vec![HookAction::Continue, HookAction::Rollback]);
    let pause = (stage.clone(), action).prop_map(|(stage, timeout_action)| PauseHook {
        stages: vec![stage],
        timeout_min: 10,
        timeout_action,
    });
    let each = (strategy, 0..3u32, prop::option::of(pause), stage);
    prop::option::of(each.prop_map(|(strategy, bake_time_min, pause, stage)| Stages {
        strategy,
        bake_time_min,
        pause,
        stage,
    }))
}

impl Stages {
    fn put(self, service: &mut Service, history: &mut [Arc<ServiceDeployment>]) {
        service.configuration.strategy = self.strategy;
        service.configuration.bake_time_min = self.bake_time_min;
        service.configuration.hooks = self.pause.into_iter().collect();
        deployment::give_all_traffic_to_serving(service);
        if self.stage > LifecycleStage::ProductionTrafficShift {
            while service.deployments[0].traffic_permille != Some(ALL_PERMILLE) {
                deployment::shift_traffic(service, self.strategy);
            }
        }
        for entry in history.iter_mut().map(Arc::make_mut) {
            entry.progress = Some(Progress {
                strategy: self.strategy,
                stage: self.stage,
                done_at_ms: None,
                hooks: Vec::new(),
                test_permille: 0,
            });
        }
    }
}

fn task(service: &Service, index: usize, (version, state, age_ms): (u32, State, i64)) -> Task {
    let mut task = blank(service, index, &format!("v{version}"));
    task.created_at_ms = NOW_MS - age_ms;
    let ran_since_ms = Some(NOW_MS - 3_000);
    match state {
        State::Pending => task.last_status = TaskStatus::Pending,
        State::Running { since_ms } => task.started_at_ms = Some(NOW_MS - since_ms),
        State::ToldToStop => {
            task.started_at_ms = ran_since_ms;
            tell_to_stop(&mut task, StopCode::ServiceSchedulerInitiated);
        }
        State::EndsByItself => {
            task.started_at_ms = ran_since_ms;
            task.last_status = TaskStatus::Stopping;
            task.stop_code = Some(StopCode::EssentialContainerExited);
        }
        State::FailedToStart => {
            tell_to_stop(&mut task, StopCode::TaskFailedToStart);
            end(&mut task, NOW_MS);
        }
        State::Exited | State::Noted => {
            task.started_at_ms = ran_since_ms;
            tell_to_stop(&mut task, StopCode::EssentialContainerExited);
            end(&mut task, NOW_MS);
            task.end_noted = matches!(state, State::Noted);
        }
    }
    task
}

fn tell_to_stop(task: &mut Task, code: StopCode) {
    task.desired_status = DesiredStatus::Stopped;
    task.stop_code.get_or_insert(code);
}

fn end(task: &mut Task, now_ms: TimestampMs) {
    task.last_status = TaskStatus::Stopped;
    task.desired_status = DesiredStatus::Stopped;
    task.stopped_at_ms = Some(now_ms);
}

impl House {
    /// Plans once, checks what is safe, and does what the plan says. Gives whether it was idle, and when to look again.
    pub fn pass(&mut self, ids: &CountedIds) -> (bool, Option<TimestampMs>) {
        let settings = Settings::default();
        let (service, tasks, history) =
            (self.service.clone(), self.tasks.clone(), self.history.clone());
        let scene = Scene {
            service: &service,
            tasks: &tasks,
            history: &history,
            now: Now::steady_at(self.now_ms),
            settings: &settings,
            ids,
            place_of: &|_| None,
            drains: false,
        };
        let mut plan = plan(&scene);
        check(&scene, &plan);
        let primary = plan.service.deployments.first().map(|one| one.id.to_string());
        let of_primary = (0..plan.starts)
            .map(|_| primary.clone().expect("what is started is of the PRIMARY one"));
        let of_serving = plan.starts_of_serving.iter();
        let of_serving =
            of_serving.flat_map(|one| (0..one.count).map(|_| one.deployment.to_string()));
        let started: Vec<Task> = of_primary
            .chain(of_serving)
            .map(|version| {
                let version = version.as_str();
                let mut task = blank(&service, 0, version);
                task.id = ids.task_id();
                task.last_status = TaskStatus::Pending;
                task.created_at_ms = self.now_ms;
                task
            })
            .collect();
        let started_ids: Vec<TaskId> = started.iter().map(|task| task.id.clone()).collect();
        record_starts(&mut plan, &scene, &started_ids, None);
        let is_idle = plan.is_idle(&service);
        for task in self.tasks.iter_mut().map(Arc::make_mut) {
            task.end_noted |= plan.noted.contains(&task.id);
            if let Some(stop) = plan.stops.iter().find(|stop| stop.task == task.id) {
                tell_to_stop(task, stop.code);
            }
        }
        self.tasks.extend(started.into_iter().map(Arc::new));
        for moved in plan.history {
            self.history.retain(|entry| entry.id != moved.id);
            self.history.push(Arc::new(moved));
        }
        self.service = plan.service;
        (is_idle, plan.look_again_at_ms)
    }

    /// Tasks do at once what they are told. Gives whether one of them moved.
    pub fn obey(&mut self) -> bool {
        let mut has_moved = false;
        for task in self.tasks.iter_mut().map(Arc::make_mut) {
            if task.last_status == TaskStatus::Pending && task.is_wanted() {
                task.last_status = TaskStatus::Running;
                task.started_at_ms = Some(self.now_ms);
            } else if task.holds_resources() && !task.is_wanted() {
                end(task, self.now_ms);
            } else {
                continue;
            }
            has_moved = true;
        }
        has_moved
    }

    /// Nothing wakes the planner but a task that moves and the time that it asked for.
    fn run(mut self) -> Self {
        let ids = CountedIds(Cell::new(0));
        for _ in 0..PASSES_MAX {
            let (is_idle, look_again_at_ms) = self.pass(&ids);
            let has_moved = self.obey();
            match look_again_at_ms {
                _ if has_moved || !is_idle => self.now_ms += PASS_MS,
                Some(at_ms) => {
                    assert!(at_ms > self.now_ms, "it looks again without a pause: {self:?}");
                    self.now_ms = at_ms;
                }
                None => return self,
            }
        }
        panic!("no rest after {PASSES_MAX} passes: {self:?}");
    }

    /// As it was asked to be, or what the planner leaves to the user.
    fn check_rest(&self) {
        let service = &self.service;
        let wanted: Vec<_> = self.tasks.iter().filter(|task| task.is_wanted()).collect();
        if service.status != ServiceStatus::Active {
            assert_eq!(service.status, ServiceStatus::Inactive, "{self:?}");
            assert!(wanted.is_empty() && service.deployments.is_empty(), "{self:?}");
            return;
        }
        let primary = &service.deployments[0];
        let (floor, ceiling) = bounds(service);
        let has_no_safe_step = floor >= ceiling && service.desired_count > 0;
        match primary.rollout_state {
            // The circuit breaker without rollback leaves the rest to the user.
            RolloutState::Failed => {}
            RolloutState::InProgress => assert!(has_no_safe_step, "{self:?}"),
            RolloutState::Completed if has_no_safe_step => {}
            RolloutState::Completed => {
                assert_eq!(wanted.len(), service.desired_count as usize, "{self:?}");
                assert!(wanted.iter().all(|task| is_of(task, &primary.id)), "{self:?}");
                assert_eq!(service.deployments.len(), 1, "{self:?}");
            }
        }
    }
}

fn bounds(service: &Service) -> (usize, usize) {
    let configuration = &service.configuration;
    let floor = configuration.healthy_floor(service.desired_count);
    (floor as usize, configuration.running_ceiling(service.desired_count) as usize)
}

/// What no plan may do, whatever the scene.
fn check(scene: &Scene<'_>, plan: &Plan) {
    let is_healthy = |task: &Task| {
        let is_old = |at: TimestampMs| at + scene.settings.healthy_after_ms <= scene.now.wall_ms;
        task.is_running() && task.started_at_ms.is_some_and(is_old)
    };
    let stopped = |task: &Task| plan.stops.iter().any(|stop| stop.task == task.id);
    let wanted: Vec<&Task> =
        scene.tasks.iter().map(Arc::as_ref).filter(|task| task.is_wanted()).collect();
    let stopped_and_wanted = wanted.iter().filter(|task| stopped(task)).count();
    assert_eq!(stopped_and_wanted, plan.stops.len(), "stops are of its own tasks, each once");

    let ended = scene.tasks.iter().filter(|task| !task.holds_resources() && !task.end_noted);
    let ended: Vec<TaskId> = ended.map(|task| task.id.clone()).collect();
    let is_over = scene.service.status == ServiceStatus::Inactive;
    assert_eq!(plan.noted, if is_over { Vec::new() } else { ended }, "each end is noted once");

    if scene.service.status != ServiceStatus::Active {
        assert_eq!(plan.starts, 0, "a service that goes starts nothing");
        return;
    }
    let (floor, ceiling) = bounds(scene.service);
    let healthy = wanted.iter().filter(|task| is_healthy(task)).count();
    let left = wanted.iter().filter(|task| is_healthy(task) && !stopped(task)).count();
    assert!(left >= floor.min(healthy), "{left} healthy of {healthy} are left, floor {floor}");
    // What is told to stop runs on for a while, so it makes no room. In stages two revisions stand beside each other.
    let is_staged = scene.service.configuration.strategy != DeploymentStrategy::Rolling;
    let of_serving = plan.starts_of_serving.as_ref().map_or(0, |starts| starts.count as usize);
    assert!(is_staged || of_serving == 0, "a rolling deployment starts nothing old");
    let running = wanted.len() + plan.starts as usize + of_serving;
    let ceiling =
        if is_staged && plan.has_starts() { 2 * ceiling + rest_of(scene) } else { ceiling };
    assert!(!plan.has_starts() || running <= ceiling, "{running} wanted tasks, ceiling {ceiling}");
    check_traffic(&plan.service);

    let throttle = &scene.service.throttle;
    let is_over = |task: &&Task| task.is_running() && task.created_at_ms >= throttle.not_before_ms;
    let is_throttled = throttle.not_before_ms > scene.now.wall_ms
        && !wanted.iter().any(is_over)
        // A rollback begins without a delay, as any new deployment.
        && plan.service.deployments.first().map(|one| &one.id)
            == scene.service.deployments.first().map(|one| &one.id);
    assert!(plan.starts == 0 || !is_throttled, "{} starts of {throttle:?}", plan.starts);
    let primary = &plan.service.deployments[0];
    let has_failed = primary.rollout_state == RolloutState::Failed;
    assert!(plan.starts == 0 || !has_failed, "a deployment that failed starts nothing");
}

/// Tasks of revisions that have no part in it any more, and those that are too many of the others: they only go.
fn rest_of(scene: &Scene<'_>) -> usize {
    scene.tasks.iter().filter(|task| task.is_wanted()).count()
}

/// All of the traffic goes to what there is.
fn check_traffic(service: &Service) {
    let weights: Vec<u32> =
        service.deployments.iter().filter_map(|one| one.traffic_permille).collect();
    let is_shifted = deployment::is_shifted(service);
    let all = if is_shifted { ALL_PERMILLE } else { 0 };
    assert_eq!(weights.iter().sum::<u32>(), all, "{:?}", service.deployments);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn every_scene_is_safe_and_comes_to_rest(house in house()) {
        let at_rest = house.run();
        at_rest.check_rest();
        // Rest that does not last is none.
        let mut later = at_rest.clone();
        later.now_ms += 86_400_000;
        let (is_idle, _) = later.pass(&CountedIds(Cell::new(1_000_000)));
        let only_said = later.service.events.len() > at_rest.service.events.len();
        prop_assert!(is_idle || only_said, "{:?}", later);
    }
}
