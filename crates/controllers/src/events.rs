//! Events: what is due by a schedule becomes one, and each goes to the targets of the rules that match it.
//!
//! ```text
//! ScheduledRule --due--> PendingEvent with its deliveries
//! PendingEvent  --no rule asked yet--> matched: what no rule wants is over
//!               --a target has it, or is not to have it any more--> one delivery less; the last one takes the row away
//! ```
//!
//! A row goes when nothing is left to deliver, after the last delivery: a crash between delivers again. Of a schedule whose times passed
//! while nothing ran the last one is caught up, once; AWS has no such downtime.
//!
//! **Invariant:** what a target answers decides about its own delivery alone: one that is slow or broken keeps no other waiting but for
//! the pass that it is in.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream;
use metrics::{counter, gauge};
use outport_event_rules::envelope::time_text;
use outport_event_rules::input::{by_path, by_template};
use outport_event_rules::retry::{GivenUp, Limits, PAUSE_MS_MAX, next_try};
use outport_event_rules::{Envelope, Pattern, RuleFacts, Schedule};
use outport_model::event::{
    DEFAULT_BUS, EcsChange, EventBody, EventRule, EventTarget, PendingDelivery, PendingEvent,
    ScheduledRule, TargetInput,
};
use outport_model::rare_lines::RareLines;
use outport_model::{NewIds, Scope, TimestampMs};
use outport_store::keys::{EventRuleKey, PendingEventKey, ScheduledRuleKey};
use outport_store::{Fault, PENDING_EVENTS_MAX, Row, Store, Tables, TouchedRows, Transaction};
use serde_json::{Value, json};

use crate::{Controller, Extent, earlier, only_fault};

/// Events that one pass delivers; the next pass goes on.
const EVENTS_PER_PASS_MAX: usize = 256;
/// Events that are delivered at the same time.
const EVENTS_AT_ONCE_MAX: usize = 16;
/// Schedules that one pass takes.
const SCHEDULES_PER_PASS_MAX: usize = 1_000;
/// Compiled patterns that are kept; then they are compiled anew.
const PATTERNS_KEPT_MAX: usize = 1_000;

/// Where events go to, and what those of ECS look like: the edge of the controller.
#[async_trait]
pub trait EventEdge: Send + Sync {
    /// The whole event of what changed; `None`: nobody is told of it.
    fn render(
        &self,
        tables: &Tables,
        change: &EcsChange,
        id_and_time: (&str, TimestampMs),
    ) -> Option<Value>;

    /// Hands a text to a target; what has the same `token` may have come before.
    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<(), Undelivered>;

    /// Writes a text to the log group of what could not be delivered.
    async fn bury(&self, rule: &EventRule, log_group_arn: &str, text: String)
    -> Result<(), String>;
}

/// One text for one target.
pub struct Delivery<'a> {
    pub rule: &'a EventRule,
    pub target: &'a EventTarget,
    pub payload: &'a str,
    /// The same each time that it is tried; at most 64 characters.
    pub token: &'a str,
}

/// Why a target has not taken it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// As AWS names it, such as `ResourceNotFoundException`.
    pub code: String,
    pub text: String,
    /// Whether trying again is of no use.
    pub is_final: bool,
}

pub struct EventController {
    edge: Arc<dyn EventEdge>,
    pending: TouchedRows<PendingEventKey>,
    scheduled: TouchedRows<ScheduledRuleKey>,
    patterns: BTreeMap<String, Option<Arc<Pattern>>>,
    said: RareLines<String>,
}

impl EventController {
    pub fn new(store: &Store, edge: Arc<dyn EventEdge>) -> Self {
        Self {
            edge,
            pending: store.touched_rows::<PendingEvent>(),
            scheduled: store.touched_rows::<ScheduledRule>(),
            patterns: BTreeMap::new(),
            said: RareLines::default(),
        }
    }

    fn pattern(&mut self, text: &str) -> Option<Arc<Pattern>> {
        if let Some(known) = self.patterns.get(text) {
            return known.clone();
        }
        if self.patterns.len() >= PATTERNS_KEPT_MAX {
            self.patterns.clear();
        }
        // One that another version took and this one does not read matches nothing.
        let compiled = Pattern::compile(text).ok().map(Arc::new);
        self.patterns.insert(text.to_owned(), compiled.clone());
        compiled
    }

    /// The event as it goes out, with where to; `None`: to nobody.
    fn matched(&mut self, tables: &Tables, row: &PendingEvent) -> Option<Matched> {
        let event = match &row.body {
            EventBody::Whole(text) => serde_json::from_str(text).ok()?,
            EventBody::Ecs(change) => {
                self.edge.render(tables, change, (&row.id, row.made_at_ms))?
            }
        };
        let deliveries = match &row.deliveries {
            Some(known) => known.clone(),
            None => self.wanted(tables, row, &event),
        };
        (!deliveries.is_empty()).then(|| Matched { row: row.clone(), event, deliveries })
    }

    fn wanted(
        &mut self,
        tables: &Tables,
        row: &PendingEvent,
        event: &Value,
    ) -> Vec<PendingDelivery> {
        let mut wanted = Vec::new();
        for rule in tables.event_rules.of_bus(&row.scope, &row.bus).filter(|rule| rule.is_enabled) {
            let pattern = rule.pattern.as_deref().and_then(|text| self.pattern(text));
            if pattern.is_some_and(|pattern| pattern.matches(event)) {
                wanted.extend(deliveries_of(rule, row.made_at_ms));
            }
        }
        wanted
    }

    fn say(&mut self, store: &Store, done: &[Done]) {
        let now_ms = store.now().steady_ms;
        for lost in done.iter().flat_map(|done| &done.lost) {
            counter!("outport_events_not_delivered_total", "reason" => lost.why.as_str())
                .increment(1);
            let Some(unsaid) = self.said.due(lost.rule.clone(), now_ms) else { continue };
            tracing::warn!(
                event = "event_not_delivered",
                rule = lost.rule,
                target = lost.target,
                event_id = lost.event_id,
                reason = lost.why.as_str(),
                code = lost.error.code,
                text = lost.error.text,
                unsaid,
                "an event did not get to the target of a rule, and is not tried again"
            );
        }
        count_from_the_beginning();
        let waiting = store.snapshot().pending_events.len();
        #[allow(clippy::cast_precision_loss, reason = "a gauge of at most 10,000")]
        gauge!("outport_events_pending").set(waiting as f64);
        if waiting >= PENDING_EVENTS_MAX
            && let Some(unsaid) = self.said.due("queue".to_owned(), now_ms)
        {
            tracing::warn!(
                event = "event_queue_full",
                waiting,
                unsaid,
                "too many events wait for their delivery: changes of ECS are not told, and PutEvents refuses, until there are less"
            );
        }
    }
}

/// A counter that is not there yet cannot be watched.
fn count_from_the_beginning() {
    for target in ["ecs", "logs"] {
        counter!("outport_events_delivered_total", "target" => target).increment(0);
    }
    for why in [GivenUp::Final, GivenUp::Retries, GivenUp::Age] {
        counter!("outport_events_not_delivered_total", "reason" => why.as_str()).increment(0);
    }
    for kind in ["container_instance", "deployment", "schedule", "service_action", "task"] {
        counter!("outport_events_dropped_total", "kind" => kind).increment(0);
    }
}

/// An event with what is still to be delivered of it.
struct Matched {
    row: PendingEvent,
    event: Value,
    deliveries: Vec<PendingDelivery>,
}

/// What became of an event in a pass.
struct Done {
    key: PendingEventKey,
    /// `None`: nothing is left.
    left: Option<PendingEvent>,
    lost: Vec<Lost>,
}

struct Lost {
    rule: String,
    target: String,
    event_id: String,
    why: GivenUp,
    error: Undelivered,
}

#[async_trait]
impl Controller for EventController {
    fn name(&self) -> &'static str {
        "events"
    }

    async fn news(&mut self) {
        tokio::select! {
            () = self.pending.changed() => {}
            () = self.scheduled.changed() => {}
        }
    }

    async fn activate(
        &mut self,
        store: &Store,
        extent: Extent,
    ) -> Result<Option<TimestampMs>, Fault> {
        self.pending.take();
        self.scheduled.take();
        let next_schedule = fire(store, extent).await?;
        let (tables, now_ms) = (store.snapshot(), store.now_ms());
        let due = tables.pending_events.iter().filter(|row| is_due(row, now_ms));
        let due: Vec<_> = due.take(EVENTS_PER_PASS_MAX).cloned().collect();
        let (mut over, mut matched) = (Vec::new(), Vec::new());
        for row in &due {
            match self.matched(&tables, row) {
                Some(found) => matched.push(found),
                None => over.push(row.key()),
            }
        }
        let edge = Arc::clone(&self.edge);
        let under_way =
            matched.into_iter().map(|found| deliver(store, edge.as_ref(), &tables, found));
        let done: Vec<Done> =
            stream::iter(under_way).buffer_unordered(EVENTS_AT_ONCE_MAX).collect().await;
        if !over.is_empty() || !done.is_empty() {
            let settle = |tx: &mut Transaction<'_>| {
                over.iter().for_each(|key| drop(tx.remove::<PendingEvent>(key)));
                for done in &done {
                    match &done.left {
                        Some(row) => tx.put(row.clone()),
                        None => drop(tx.remove::<PendingEvent>(&done.key)),
                    }
                }
                Ok::<_, Infallible>(())
            };
            store.write(settle).await.map_err(only_fault)?;
        }
        self.say(store, &done);
        let next = store.snapshot().pending_events.iter().map(|row| due_at(row)).min();
        Ok(earlier(next, next_schedule))
    }
}

/// An event that no rule was asked about is due at once.
fn due_at(row: &PendingEvent) -> TimestampMs {
    let deliveries = row.deliveries.iter().flatten();
    deliveries.map(|delivery| delivery.next_at_ms).min().unwrap_or(row.made_at_ms)
}

fn is_due(row: &PendingEvent, now_ms: TimestampMs) -> bool {
    // A clock that went back is no reason to wait for what it was.
    row.deliveries.is_none() || !(now_ms + 1..=now_ms + PAUSE_MS_MAX).contains(&due_at(row))
}

fn deliveries_of(
    rule: &EventRule,
    next_at_ms: TimestampMs,
) -> impl Iterator<Item = PendingDelivery> {
    rule.targets.keys().map(move |target| PendingDelivery {
        rule: rule.name.clone(),
        target: target.clone(),
        attempts: 0,
        next_at_ms,
    })
}

/// Makes an event of each schedule that is due. When the next one is.
async fn fire(store: &Store, extent: Extent) -> Result<Option<TimestampMs>, Fault> {
    let (tables, now_ms) = (store.snapshot(), store.now_ms());
    let due = tables.scheduled_rules.iter().filter(|row| row.due_at_ms <= now_ms);
    let due: Vec<_> = due.take(SCHEDULES_PER_PASS_MAX).map(|row| row.key()).collect();
    // Whoever set the clock back does not wait for what it was.
    let late = tables
        .scheduled_rules
        .iter()
        .filter(|row| extent == Extent::All && is_late(&tables, row, now_ms));
    let late: Vec<_> = late.take(SCHEDULES_PER_PASS_MAX).map(|row| row.key()).collect();
    if !due.is_empty() || !late.is_empty() {
        let fire_all = |tx: &mut Transaction<'_>| {
            due.iter().for_each(|key| fire_one(tx, key));
            late.iter().for_each(|key| begin_again(tx, key));
            Ok::<_, Infallible>(())
        };
        store.write(fire_all).await.map_err(only_fault)?;
    }
    Ok(store.snapshot().scheduled_rules.iter().map(|row| row.due_at_ms).min())
}

fn schedule_of(tables: &Tables, row: &ScheduledRule) -> Option<Schedule> {
    let rule = EventRuleKey::new(&row.scope, DEFAULT_BUS, row.rule.as_str());
    Schedule::read(tables.event_rules.get(&rule)?.schedule.as_deref()?)
}

fn is_late(tables: &Tables, row: &ScheduledRule, now_ms: TimestampMs) -> bool {
    schedule_of(tables, row).is_some_and(|schedule| schedule.is_too_late(row.due_at_ms, now_ms))
}

fn begin_again(tx: &mut Transaction<'_>, key: &ScheduledRuleKey) {
    let now_ms = tx.now_ms();
    let Some(row) = tx.scheduled_rules.get(key).cloned() else { return };
    let next = schedule_of(tx, &row).and_then(|schedule| schedule.next_after(now_ms, now_ms));
    if let Some(due_at_ms) = next {
        tx.put(ScheduledRule { since_ms: now_ms, due_at_ms, ..ScheduledRule::clone(&row) });
    }
}

fn fire_one(tx: &mut Transaction<'_>, key: &ScheduledRuleKey) {
    let now_ms = tx.now_ms();
    let Some(row) = tx.scheduled_rules.get(key).filter(|row| row.due_at_ms <= now_ms).cloned()
    else {
        return;
    };
    let rule = EventRuleKey::new(&row.scope, DEFAULT_BUS, row.rule.as_str());
    let rule = tx.event_rules.get(&rule).filter(|rule| rule.is_enabled).cloned();
    let schedule = rule.as_ref().and_then(|rule| Schedule::read(rule.schedule.as_deref()?));
    let next = schedule.and_then(|schedule| schedule.next_after(now_ms, row.since_ms));
    match next {
        Some(due_at_ms) => tx.put(ScheduledRule { due_at_ms, ..ScheduledRule::clone(&row) }),
        None => drop(tx.remove::<ScheduledRule>(key)),
    }
    let Some(rule) = rule.filter(|rule| !rule.targets.is_empty()) else { return };
    if tx.pending_events.len() >= PENDING_EVENTS_MAX {
        counter!("outport_events_dropped_total", "kind" => "schedule").increment(1);
        return;
    }
    let id = tx.uuid();
    let body = EventBody::Whole(scheduled(&rule, &id, row.due_at_ms).to_string());
    tx.put(PendingEvent {
        scope: row.scope.clone(),
        bus: DEFAULT_BUS.to_owned(),
        made_at_ms: now_ms,
        id,
        body,
        deliveries: Some(deliveries_of(&rule, now_ms).collect()),
    });
}

/// Source: EventBridge user guide, "Scheduled events": the event of a schedule.
fn scheduled(rule: &EventRule, id: &str, time_ms: TimestampMs) -> Value {
    let Scope { account, region, .. } = &rule.scope;
    let resources = [rule.arn().into_string()];
    let envelope = Envelope {
        id,
        detail_type: "Scheduled Event",
        source: "aws.events",
        account: account.as_str(),
        region: region.as_str(),
        time_ms,
        resources: &resources,
    };
    envelope.with(json!({}))
}

/// Tries each delivery of an event that is due.
async fn deliver(store: &Store, edge: &dyn EventEdge, tables: &Tables, found: Matched) -> Done {
    let Matched { row, event, deliveries } = found;
    let (mut left, mut lost) = (Vec::new(), Vec::new());
    for delivery in deliveries {
        let wait_ms = delivery.next_at_ms - store.now_ms();
        if row.deliveries.is_some() && (1..=PAUSE_MS_MAX).contains(&wait_ms) {
            left.push(delivery);
            continue;
        }
        // Rules and targets that are gone meanwhile want nothing any more.
        let key = EventRuleKey::new(&row.scope, row.bus.as_str(), delivery.rule.as_str());
        let Some(rule) = tables.event_rules.get(&key) else { continue };
        let Some(target) = rule.targets.get(&delivery.target) else { continue };
        let payload = payload(rule, target, &event, row.made_at_ms);
        let token = token(&row.id, &delivery);
        let order = Delivery { rule, target, payload: &payload, token: &token };
        let kind = if target.ecs.is_some() { "ecs" } else { "logs" };
        match edge.deliver(&order).await {
            Ok(()) => counter!("outport_events_delivered_total", "target" => kind).increment(1),
            Err(error) => match again(store, &row, target, &delivery, &error) {
                Ok(again) => left.push(again),
                Err(why) => {
                    bury(edge, rule, &delivery, target, &event, (why, &error)).await;
                    lost.push(Lost {
                        rule: rule.arn().into_string(),
                        target: delivery.target,
                        event_id: row.id.clone(),
                        why,
                        error,
                    });
                }
            },
        }
    }
    let key = row.key();
    let left = (!left.is_empty()).then(|| PendingEvent {
        // What was matched is what is delivered, however ECS goes on.
        body: EventBody::Whole(event.to_string()),
        deliveries: Some(left),
        ..row
    });
    Done { key, left, lost }
}

fn payload(
    rule: &EventRule,
    target: &EventTarget,
    event: &Value,
    made_at_ms: TimestampMs,
) -> String {
    match &target.input {
        TargetInput::Event => event.to_string(),
        TargetInput::Constant(text) => text.clone(),
        TargetInput::Path(path) => by_path(event, path),
        TargetInput::Template { paths, template } => {
            let (arn, time) = (rule.arn(), time_text(made_at_ms));
            let facts = RuleFacts { arn: arn.as_str(), name: &rule.name, ingestion_time: &time };
            by_template(event, paths, template, facts)
        }
    }
}

/// One text for each event, rule and target, short enough for a client token of ECS.
fn token(event_id: &str, delivery: &PendingDelivery) -> String {
    format!(
        "{event_id}-{:016x}",
        fnv(&[delivery.rule.as_bytes(), b"/", delivery.target.as_bytes()])
    )
}

/// FNV-1a: the same in every version.
fn fnv(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn again(
    store: &Store,
    row: &PendingEvent,
    target: &EventTarget,
    delivery: &PendingDelivery,
    error: &Undelivered,
) -> Result<PendingDelivery, GivenUp> {
    if error.is_final {
        return Err(GivenUp::Final);
    }
    let limits = Limits {
        retries_max: target.retry.retries_max,
        age_ms_max: i64::from(target.retry.age_s_max) * 1_000,
    };
    let attempts = delivery.attempts + 1;
    let spread = fnv(&[row.id.as_bytes(), &attempts.to_le_bytes()]);
    let next_at_ms = next_try(limits, row.made_at_ms, attempts, store.now_ms(), spread)?;
    Ok(PendingDelivery { attempts, next_at_ms, ..delivery.clone() })
}

/// Source: EventBridge user guide, "Using dead-letter queues": what stands beside the event there; here it is one line of JSON.
async fn bury(
    edge: &dyn EventEdge,
    rule: &EventRule,
    delivery: &PendingDelivery,
    target: &EventTarget,
    event: &Value,
    (why, error): (GivenUp, &Undelivered),
) {
    let Some(log_group) = &target.dead_letter_arn else { return };
    let text = json!({
        "RULE_ARN": rule.arn().as_str(),
        "TARGET_ARN": target.arn,
        "TARGET_ID": delivery.target,
        "ERROR_CODE": error.code,
        "ERROR_MESSAGE": error.text,
        "EXHAUSTED_RETRY_CONDITION": why.as_str(),
        "RETRY_ATTEMPTS": delivery.attempts,
        "event": event,
    });
    if let Err(reason) = edge.bury(rule, log_group, text.to_string()).await {
        tracing::warn!(
            event = "dead_letter_not_written",
            rule = rule.arn().as_str(),
            log_group,
            reason,
            "an event that could not be delivered could not be written to its dead-letter log either"
        );
    }
}
