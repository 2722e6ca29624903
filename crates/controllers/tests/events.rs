//! What becomes of events: who gets them, how often they are tried, and when schedules fire.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use outport_controllers::events::{Delivery, EventEdge, Undelivered};
use outport_controllers::{Controller, EventController, Extent};
use outport_model::event::{
    EcsChange, EventBody, EventRule, EventTarget, Hears, PendingEvent, RetryPolicy, ScheduledRule,
    TargetInput,
};
use outport_model::service::{Service, ServiceEvent};
use outport_model::task::Task;
use outport_model::{AccountId, Region, Scope, ServiceEventId, Tags, TimestampMs};
use outport_store::{ManualClock, Row, SeededIds, Store, Tables, Transaction};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// 2026-12-01T14:00:00Z.
const START_MS: TimestampMs = 1_796_133_600_000;
const DEAD: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/dead";

fn golden<R: DeserializeOwned>(name: &str) -> R {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/tests/golden");
    let bytes = std::fs::read(format!("{directory}/{name}.v1.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn scope() -> Scope {
    Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"))
}

/// Takes what comes, or refuses it as it was told to.
#[derive(Default)]
struct Edge {
    answers: Mutex<VecDeque<Undelivered>>,
    /// Rule, payload and token.
    got: Mutex<Vec<(String, String, String)>>,
    buried: Mutex<Vec<String>>,
}

#[async_trait]
impl EventEdge for Edge {
    fn render(
        &self,
        _: &Tables,
        change: &EcsChange,
        (id, _): (&str, TimestampMs),
    ) -> Option<Value> {
        Some(json!({"id": id, "source": "aws.ecs", "kind": change.kind()}))
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<(), Undelivered> {
        let (payload, token) = (delivery.payload.to_owned(), delivery.token.to_owned());
        self.got.lock().unwrap().push((delivery.rule.name.clone(), payload, token));
        self.answers.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    async fn bury(&self, _: &EventRule, log_group: &str, text: String) -> Result<(), String> {
        assert_eq!(log_group, DEAD);
        self.buried.lock().unwrap().push(text);
        Ok(())
    }
}

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    edge: Arc<Edge>,
    controller: EventController,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START_MS));
        let store = Store::in_memory(clock.clone(), Arc::new(SeededIds::new(1)));
        let edge = Arc::new(Edge::default());
        let controller = EventController::new(&store, edge.clone());
        Self { store, clock, edge, controller }
    }

    async fn write(&self, change: impl FnOnce(&mut Transaction<'_>)) {
        let write = self.store.write(|tx| {
            change(tx);
            Ok::<_, Infallible>(())
        });
        write.await.unwrap();
    }

    async fn rule(&self, name: &str, pattern: Option<&str>, schedule: Option<&str>) {
        let target = EventTarget {
            arn: "arn:aws:logs:us-east-1:000000000000:log-group:/events".into(),
            role_arn: None,
            input: TargetInput::Path("$.id".into()),
            ecs: None,
            dead_letter_arn: Some(DEAD.into()),
            retry: RetryPolicy { retries_max: 2, age_s_max: 3_600, is_given: true },
        };
        let every = Hears {
            tasks: true,
            container_instances: true,
            service_actions: true,
            deployments: true,
        };
        let rule = EventRule {
            scope: scope(),
            bus: "default".into(),
            name: name.into(),
            pattern: pattern.map(str::to_owned),
            schedule: schedule.map(str::to_owned),
            is_enabled: true,
            description: None,
            role_arn: None,
            tags: Tags::new(),
            targets: BTreeMap::from([("t".to_owned(), target)]),
            hears: if pattern.is_some_and(|text| text.contains("aws.ecs")) {
                every
            } else {
                Hears::default()
            },
        };
        self.write(|tx| tx.put(rule)).await;
    }

    async fn event(&self, id: &str, source: &str) {
        let body = EventBody::Whole(json!({"id": id, "source": source}).to_string());
        let (made_at_ms, id) = (self.store.now_ms(), id.to_owned());
        let row = PendingEvent {
            scope: scope(),
            bus: "default".into(),
            made_at_ms,
            id,
            body,
            deliveries: None,
        };
        self.write(|tx| tx.put(row)).await;
    }

    fn fails(&self, code: &str, is_final: bool) {
        let answer = Undelivered { code: code.into(), text: "t".into(), is_final };
        self.edge.answers.lock().unwrap().push_back(answer);
    }

    /// One pass; when to come again, in milliseconds from now.
    async fn pass(&mut self) -> Option<TimestampMs> {
        let again = self.controller.activate(&self.store, Extent::All).await.unwrap();
        again.map(|at_ms| at_ms - self.store.now_ms())
    }

    /// What was delivered since the last look: rule and payload.
    fn got(&self) -> Vec<(String, String)> {
        let got = std::mem::take(&mut *self.edge.got.lock().unwrap());
        got.into_iter().map(|(rule, payload, _)| (rule, payload)).collect()
    }

    fn waiting(&self) -> usize {
        self.store.snapshot().pending_events.len()
    }
}

fn pair(rule: &str, payload: &str) -> (String, String) {
    (rule.to_owned(), format!("\"{payload}\""))
}

#[tokio::test]
async fn an_event_goes_to_the_rules_that_match_it_and_is_over() {
    let mut world = World::new();
    world.rule("a", Some(r#"{"source": ["shop"]}"#), None).await;
    world.rule("b", Some(r#"{"source": [{"prefix": "s"}]}"#), None).await;
    world.rule("c", Some(r#"{"source": ["other"]}"#), None).await;
    world.event("1", "shop").await;
    world.event("2", "none").await;
    assert_eq!(world.pass().await, None);
    assert_eq!(world.got(), [pair("a", "1"), pair("b", "1")]);
    assert_eq!(world.waiting(), 0);
}

#[tokio::test]
async fn what_fails_is_tried_again_with_the_same_token_and_buried_in_the_end() {
    let mut world = World::new();
    world.rule("a", Some(r#"{"source": ["shop"]}"#), None).await;
    (0..3).for_each(|_| world.fails("ThrottlingException", false));
    world.event("1", "shop").await;
    let mut tokens = Vec::new();
    for expected_tries in 1..=3 {
        let again = world.pass().await;
        let got = std::mem::take(&mut *world.edge.got.lock().unwrap());
        assert_eq!(got.len(), 1, "try {expected_tries}");
        tokens.push(got[0].2.clone());
        let Some(again_ms) = again else { break };
        assert!((500..=2_000).contains(&again_ms), "{again_ms}");
        // Not before.
        world.pass().await;
        assert_eq!(world.got(), []);
        world.clock.advance(again_ms);
    }
    tokens.dedup();
    assert_eq!((tokens.len(), world.waiting()), (1, 0));
    assert!(tokens[0].len() <= 64, "a client token of ECS");
    let buried = world.edge.buried.lock().unwrap().clone();
    let buried: Value = serde_json::from_str(&buried[0]).unwrap();
    assert_eq!(buried["EXHAUSTED_RETRY_CONDITION"], "MaximumRetryAttempts");
    assert_eq!(
        (&buried["ERROR_CODE"], &buried["event"]["id"]),
        (&json!("ThrottlingException"), &json!("1"))
    );
}

#[tokio::test]
async fn what_would_fail_again_is_not_tried_again() {
    let mut world = World::new();
    world.rule("a", Some(r#"{"source": ["shop"]}"#), None).await;
    world.fails("AccessDeniedException", true);
    world.event("1", "shop").await;
    assert_eq!(world.pass().await, None);
    assert_eq!((world.got().len(), world.waiting()), (1, 0));
    assert_eq!(world.edge.buried.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_rule_that_is_gone_wants_nothing_any_more() {
    let mut world = World::new();
    world.rule("a", Some(r#"{"source": ["shop"]}"#), None).await;
    world.fails("ThrottlingException", false);
    world.event("1", "shop").await;
    let again_ms = world.pass().await.unwrap();
    let key = world.store.snapshot().event_rules.iter().next().unwrap().key();
    world.write(|tx| drop(tx.remove::<EventRule>(&key))).await;
    world.clock.advance(again_ms);
    world.got();
    assert_eq!(world.pass().await, None);
    assert_eq!((world.got().len(), world.waiting()), (0, 0));
}

#[tokio::test]
async fn a_schedule_fires_once_each_time_and_once_after_a_downtime() {
    let mut world = World::new();
    world.rule("r", None, Some("rate(5 minutes)")).await;
    let row = ScheduledRule {
        scope: scope(),
        rule: "r".into(),
        since_ms: START_MS,
        due_at_ms: START_MS + 300_000,
    };
    world.write(|tx| tx.put(row)).await;
    assert_eq!(world.pass().await, Some(300_000));
    assert_eq!(world.got(), []);
    world.clock.advance(300_000);
    assert_eq!(world.pass().await, Some(300_000));
    assert_eq!(world.got().len(), 1);
    world.pass().await;
    assert_eq!(world.got(), []);
    // A day of nothing, and half a period.
    world.clock.advance(86_400_000 + 150_000);
    assert_eq!(world.pass().await, Some(150_000));
    assert_eq!(world.got().len(), 1);
    world.clock.advance(150_000);
    world.pass().await;
    assert_eq!((world.got().len(), world.waiting()), (1, 0));
}

#[tokio::test]
async fn a_schedule_whose_last_time_is_over_ends() {
    let mut world = World::new();
    world.rule("r", None, Some("cron(5 14 1 12 ? 2026)")).await;
    let row = ScheduledRule {
        scope: scope(),
        rule: "r".into(),
        since_ms: START_MS,
        due_at_ms: START_MS + 300_000,
    };
    world.write(|tx| tx.put(row)).await;
    world.clock.advance(300_000);
    assert_eq!(world.pass().await, None);
    assert_eq!(world.got().len(), 1);
    assert_eq!(world.store.snapshot().scheduled_rules.len(), 0);
}

#[tokio::test]
async fn changes_of_ecs_are_events_where_a_rule_hears_them() {
    let mut world = World::new();
    let task: Task = golden("task");
    let next = |task: &Task| Task { version: task.version + 1, ..task.clone() };
    // Nobody hears it.
    world.rule("deaf", Some(r#"{"source": ["shop"]}"#), None).await;
    world.write(|tx| tx.put(task.clone())).await;
    assert_eq!(world.waiting(), 0);
    world.rule("heard", Some(r#"{"source": ["aws.ecs"]}"#), None).await;
    let task = next(&task);
    world.write(|tx| tx.put(task.clone())).await;
    assert_eq!(world.waiting(), 1);
    // A change that AWS sends no event for.
    world.write(|tx| tx.put(Task { end_noted: !task.end_noted, ..task.clone() })).await;
    assert_eq!(world.waiting(), 1);
    // In the same transaction: one that leaves no trace makes no event.
    let refused = world.store.write(|tx| {
        tx.put(next(&task));
        Err::<(), _>("no")
    });
    assert!(refused.await.is_err());
    assert_eq!(world.waiting(), 1);
    let mut service: Service = golden("service");
    world.write(|tx| tx.put(service.clone())).await;
    world.pass().await;
    world.got();
    let event =
        ServiceEvent { id: ServiceEventId::new("new"), at_ms: START_MS, message: "m".into() };
    service.events.insert(0, event);
    world.write(|tx| tx.put(service.clone())).await;
    assert_eq!(world.waiting(), 1);
    world.pass().await;
    assert_eq!((world.got().len(), world.waiting()), (1, 0));
}

#[tokio::test]
async fn a_clock_that_goes_back_stops_nothing() {
    let mut world = World::new();
    world.rule("r", Some(r#"{"source": ["shop"]}"#), Some("rate(5 minutes)")).await;
    let row = ScheduledRule {
        scope: scope(),
        rule: "r".into(),
        since_ms: START_MS,
        due_at_ms: START_MS + 300_000,
    };
    world.write(|tx| tx.put(row)).await;
    world.fails("ThrottlingException", false);
    world.event("1", "shop").await;
    world.pass().await;
    assert_eq!(world.got().len(), 1);
    world.clock.step(-86_400_000);
    assert_eq!(world.pass().await, Some(300_000));
    assert_eq!(world.got(), [pair("r", "1")]);
    world.clock.advance(300_000);
    world.pass().await;
    assert_eq!(world.got().len(), 1);
}

/// A store that is full takes what does not grow: that it is told is no growth of the caller's.
#[tokio::test]
async fn an_event_of_ecs_is_no_growth() {
    let world = World::new();
    let task: Task = golden("task");
    world.write(|tx| tx.put(task.clone())).await;
    world.rule("heard", Some(r#"{"source": ["aws.ecs"]}"#), None).await;
    world
        .write(|tx| {
            tx.put(Task { version: task.version + 1, ..task.clone() });
            assert!(!tx.adds_rows() && !tx.adds_bytes());
        })
        .await;
    assert_eq!(world.waiting(), 1);
}
