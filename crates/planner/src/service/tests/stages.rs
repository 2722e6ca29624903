//! Deployments that go in stages, each case the story of one as lines: stage, weights and tasks wanted of each revision,
//! the newest first, whenever one of them changes.

use outport_model::deployment_configuration::{HookAction, LifecycleStage, PauseHook};

use super::generated::House;
use super::*;

const BLUE_GREEN: DeploymentStrategy = DeploymentStrategy::BlueGreen;
const MINUTE_MS: TimestampMs = 60_000;
const PASSES_MAX: usize = 200;

/// A service of two tasks that run, whose last deployment has just begun.
fn house(versions: u32, strategy: DeploymentStrategy, bake_time_min: u32) -> House {
    let mut service = service(2, 100, 200, 1);
    if versions > 1 {
        service.deployments[0].rollout_state = RolloutState::Completed;
    }
    let running = if versions > 1 { "v1 healthy, v1 healthy" } else { "" };
    service.configuration.strategy = strategy;
    service.configuration.bake_time_min = bake_time_min;
    let mut house =
        House { tasks: tasks(&service, running), service, history: Vec::new(), now_ms: NOW_MS };
    if versions == 1 {
        house.service.deployments.clear();
    }
    house.begin(versions.max(1));
    house
}

impl House {
    fn begin(&mut self, version: u32) {
        let id = format!("v{version}");
        let history = deployment::begin(
            &mut self.service,
            DeploymentId::new(id.clone()),
            ServiceDeploymentId::new(format!("history-{id}")),
            "{}".into(),
            self.now_ms,
        );
        self.history.push(Arc::new(history));
    }

    fn newest(&self) -> &ServiceDeployment {
        self.history.iter().max_by_key(|entry| (entry.created_at_ms, entry.id.to_string())).unwrap()
    }

    fn line(&self) -> String {
        let stage = self.newest().progress.as_ref().map_or("-", |one| one.stage.as_str());
        let each = self.service.deployments.iter().map(|one| {
            let wanted = self.tasks.iter().filter(|task| task.is_wanted() && is_of(task, &one.id));
            let weight = one.traffic_permille.map(|permille| format!("{permille}: "));
            format!("{} {}{}", one.id, weight.unwrap_or_default(), wanted.count())
        });
        format!("{stage} | {}", each.collect::<Vec<_>>().join(", "))
    }

    /// Runs to rest, or until `stop` holds; the lines, and the status of the newest deployment at the end.
    fn tell(&mut self, stop: impl Fn(&House) -> bool) -> Vec<String> {
        let ids = CountedIds(Cell::new(1_000 * self.tasks.len() as u64));
        let mut lines = Vec::new();
        for _ in 0..PASSES_MAX {
            let begun_ms = self.now_ms;
            let (is_idle, look_again_at_ms) = self.pass(&ids);
            let line = self.line();
            if lines.last() != Some(&line) {
                lines.push(line);
            }
            if stop(self) {
                return lines;
            }
            let has_moved = self.obey();
            match look_again_at_ms {
                _ if has_moved || !is_idle => self.now_ms += 100,
                Some(at_ms) => self.now_ms = at_ms,
                None => {
                    lines.push(self.newest().status.as_str().to_owned());
                    return lines;
                }
            }
            // To the nearest: passes take a little, too.
            let waited_min = (self.now_ms - begun_ms + MINUTE_MS / 10) / MINUTE_MS;
            if waited_min > 0 {
                lines.push(format!("{waited_min} min"));
            }
        }
        panic!("no rest: {self:?}");
    }
}

#[track_caller]
fn check(house: &mut House, expected: &str) {
    let told = house.tell(|_| false).join("\n");
    let expected: Vec<&str> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(told, expected.join("\n"));
}

#[test]
fn green_stands_beside_blue_before_it_gets_the_traffic() {
    check(
        &mut house(2, BLUE_GREEN, 5),
        "SCALE_UP | v2 0: 2, v1 1000: 2
         BAKE_TIME | v2 1000: 2, v1 0: 2
         5 min
         CLEAN_UP | v2 1000: 2, v1 0: 0
         CLEAN_UP | v2 1000: 2
         SUCCESSFUL",
    );
}

#[test]
fn a_linear_deployment_shifts_in_equal_steps() {
    check(
        &mut house(2, DeploymentStrategy::Linear { step_permille: 400, step_bake_min: 6 }, 0),
        "SCALE_UP | v2 0: 2, v1 1000: 2
         PRODUCTION_TRAFFIC_SHIFT | v2 400: 2, v1 600: 2
         6 min
         PRODUCTION_TRAFFIC_SHIFT | v2 800: 2, v1 200: 2
         6 min
         CLEAN_UP | v2 1000: 2, v1 0: 0
         CLEAN_UP | v2 1000: 2
         SUCCESSFUL",
    );
}

#[test]
fn a_canary_gets_a_part_then_the_rest() {
    check(
        &mut house(2, DeploymentStrategy::Canary { permille: 50, bake_min: 10 }, 3),
        "SCALE_UP | v2 0: 2, v1 1000: 2
         PRODUCTION_TRAFFIC_SHIFT | v2 50: 2, v1 950: 2
         10 min
         BAKE_TIME | v2 1000: 2, v1 0: 2
         3 min
         CLEAN_UP | v2 1000: 2, v1 0: 0
         CLEAN_UP | v2 1000: 2
         SUCCESSFUL",
    );
}

#[test]
fn a_first_deployment_does_not_bake() {
    check(
        &mut house(1, BLUE_GREEN, 5),
        "SCALE_UP | v1 1000: 2
         CLEAN_UP | v1 1000: 2
         SUCCESSFUL",
    );
}

fn with_pause(mut house: House, stage: LifecycleStage, timeout_action: HookAction) -> House {
    let hook = PauseHook { stages: vec![stage], timeout_min: 30, timeout_action };
    house.service.configuration.hooks = vec![hook];
    house
}

#[test]
fn a_pause_that_nobody_answers_ends_as_it_says() {
    let stage = LifecycleStage::PostTestTrafficShift;
    check(
        &mut with_pause(house(2, BLUE_GREEN, 0), stage, HookAction::Continue),
        "SCALE_UP | v2 0: 2, v1 1000: 2
         POST_TEST_TRAFFIC_SHIFT | v2 0: 2, v1 1000: 2
         30 min
         CLEAN_UP | v2 1000: 2, v1 0: 0
         CLEAN_UP | v2 1000: 2
         SUCCESSFUL",
    );
    check(
        &mut with_pause(house(2, BLUE_GREEN, 0), stage, HookAction::Rollback),
        "SCALE_UP | v2 0: 2, v1 1000: 2
         POST_TEST_TRAFFIC_SHIFT | v2 0: 2, v1 1000: 2
         30 min
         POST_TEST_TRAFFIC_SHIFT | v1 1000: 2, v2 0: 0
         POST_TEST_TRAFFIC_SHIFT | v1 1000: 2
         ROLLBACK_SUCCESSFUL",
    );
}

#[test]
fn a_pause_of_a_rolling_deployment_holds_it() {
    let mut rolling = house(2, DeploymentStrategy::Rolling, 0);
    rolling.service = {
        let mut service = service(2, 100, 200, 1);
        service.deployments[0].rollout_state = RolloutState::Completed;
        service
    };
    rolling.history.clear();
    let mut rolling = with_pause(rolling, LifecycleStage::PreScaleUp, HookAction::Continue);
    rolling.begin(2);
    check(
        &mut rolling,
        "PRE_SCALE_UP | v2 0, v1 2
         30 min
         SCALE_UP | v2 2, v1 2
         SCALE_UP | v2 2, v1 0
         CLEAN_UP | v2 2
         SUCCESSFUL",
    );
}

fn answer(house: &mut House, action: HookAction) {
    for entry in house.history.iter_mut().map(Arc::make_mut) {
        let hooks = entry.progress.iter_mut().flat_map(|progress| &mut progress.hooks);
        hooks.for_each(|hook| hook.answer = Some(action));
    }
}

#[test]
fn an_answer_goes_on_or_back() {
    let paused = |house: &House| house.line().starts_with("POST_PRODUCTION");
    for (action, expected) in [
        (HookAction::Continue, "CLEAN_UP | v2 1000: 2, v1 0: 0"),
        (HookAction::Rollback, "POST_PRODUCTION_TRAFFIC_SHIFT | v1 1000: 2, v2 0: 0"),
    ] {
        let stage = LifecycleStage::PostProductionTrafficShift;
        let mut house = with_pause(house(2, BLUE_GREEN, 0), stage, HookAction::Rollback);
        house.tell(paused);
        answer(&mut house, action);
        assert_eq!(house.tell(|_| true), [expected]);
    }
}

#[test]
fn what_serves_is_kept_up_until_the_end() {
    let mut house = house(2, BLUE_GREEN, 5);
    house.tell(|house| house.line().starts_with("BAKE_TIME"));
    let lost = house.tasks.iter().position(|task| is_of(task, &DeploymentId::new("v1"))).unwrap();
    let lost = Arc::make_mut(&mut house.tasks[lost]);
    lost.last_status = TaskStatus::Stopped;
    lost.desired_status = DesiredStatus::Stopped;
    lost.stop_code = Some(StopCode::EssentialContainerExited);
    assert_eq!(house.tell(|_| true), ["BAKE_TIME | v2 1000: 2, v1 0: 2"]);
    // And both sides are scaled.
    house.service.desired_count = 3;
    assert_eq!(house.tell(|_| true), ["BAKE_TIME | v2 1000: 3, v1 0: 3"]);
}

#[test]
fn a_newer_deployment_starts_beside_what_has_the_traffic() {
    let mut house = house(2, BLUE_GREEN, 5);
    house.tell(|house| house.line().starts_with("BAKE_TIME"));
    house.now_ms += 1;
    house.begin(3);
    check(
        &mut house,
        "RECONCILE_SERVICE | v3 0: 0, v2 1000: 2, v1 0: 0
         SCALE_UP | v3 0: 2, v2 1000: 2
         BAKE_TIME | v3 1000: 2, v2 0: 2
         5 min
         CLEAN_UP | v3 1000: 2, v2 0: 0
         CLEAN_UP | v3 1000: 2
         SUCCESSFUL",
    );
}

#[test]
fn tasks_that_do_not_come_up_leave_the_traffic_where_it_is() {
    let mut house = house(2, BLUE_GREEN, 0);
    house.service.configuration.circuit_breaker =
        CircuitBreaker { enable: true, ..CircuitBreaker::default() };
    house.tell(|_| true);
    house.service.deployments[0].failed_tasks = 3;
    check(
        &mut house,
        "SCALE_UP | v1 1000: 2, v2 0: 0
         SCALE_UP | v1 1000: 2
         ROLLBACK_SUCCESSFUL",
    );
}

#[test]
fn another_strategy_is_for_the_next_deployment() {
    let mut house = house(2, BLUE_GREEN, 5);
    house.tell(|house| house.line().starts_with("BAKE_TIME"));
    house.service.configuration.strategy = DeploymentStrategy::Rolling;
    check(
        &mut house,
        "BAKE_TIME | v2 1000: 2, v1 0: 2
         5 min
         CLEAN_UP | v2 1000: 2, v1 0: 0
         CLEAN_UP | v2 1000: 2
         SUCCESSFUL",
    );
    house.now_ms += 1;
    house.begin(3);
    assert_eq!(house.tell(|_| true), ["SCALE_UP | v3 2, v2 2"]);
}
