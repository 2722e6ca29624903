//! EventBridge's buses, rules and pending events, and which changes of other rows are events.

use std::sync::Arc;

use outport_model::Scope;
use outport_model::container_instance::ContainerInstance;
use outport_model::event::{
    DEFAULT_BUS, EcsChange, EventBus, EventRule, Hears, PendingEvent, ScheduledRule,
};
use outport_model::service::Service;
use outport_model::task::Task;

use crate::cold::ColdTable;
use crate::row::Row;
use crate::rows::key::key;
use crate::tables::{Related, Tables};

/// The most events that wait for their delivery at one time. Of ECS's changes beyond there is none; PutEvents refuses.
pub const PENDING_EVENTS_MAX: usize = 10_000;

key!(EventBusKey { name: String });
key!(
    /// The name of a bus may hold a slash, that of a rule does not: no two keys have one text.
    EventRuleKey { bus: String, name: String }
);
key!(ScheduledRuleKey { rule: String });
key!(
    /// The oldest first.
    PendingEventKey { made_at_ms: i64, id: String }
);

impl Row for EventBus {
    type Key = EventBusKey;
    type Index = ();
    const TABLE: &'static str = "event_bus";
    fn key(&self) -> EventBusKey {
        EventBusKey::new(&self.scope, self.name.as_str())
    }
}

impl Related for EventBus {}

impl Row for EventRule {
    type Key = EventRuleKey;
    type Index = ();
    const TABLE: &'static str = "event_rule";
    fn key(&self) -> EventRuleKey {
        EventRuleKey::new(&self.scope, self.bus.as_str(), self.name.as_str())
    }
}

impl Related for EventRule {}

impl Row for ScheduledRule {
    type Key = ScheduledRuleKey;
    type Index = ();
    const TABLE: &'static str = "scheduled_rule";
    fn key(&self) -> ScheduledRuleKey {
        ScheduledRuleKey::new(&self.scope, self.rule.as_str())
    }
}

impl Related for ScheduledRule {}

impl Row for PendingEvent {
    type Key = PendingEventKey;
    type Index = ();
    const TABLE: &'static str = "pending_event";
    fn key(&self) -> PendingEventKey {
        PendingEventKey::new(&self.scope, self.made_at_ms, self.id.as_str())
    }
}

impl Related for PendingEvent {}

impl ColdTable<EventBus> {
    /// Those of a scope that have rows, in the order of their names.
    pub fn of_scope<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<EventBus>> {
        self.range(EventBusKey::new(scope, "")..).take_while(|bus| bus.scope == *scope)
    }
}

impl ColdTable<EventRule> {
    /// The rules of a bus, in the order of their names.
    pub fn of_bus<'a>(
        &'a self,
        scope: &'a Scope,
        bus: &'a str,
    ) -> impl Iterator<Item = &'a Arc<EventRule>> {
        self.range(EventRuleKey::new(scope, bus, "")..)
            .take_while(move |rule| rule.scope == *scope && rule.bus == bus)
    }

    /// Whether a rule of the scope may match what ECS tells. Where no account has a rule it is one look.
    fn hears(&self, scope: &Scope, is_meant: impl Fn(Hears) -> bool) -> bool {
        !self.is_empty()
            && self.of_bus(scope, DEFAULT_BUS).any(|rule| rule.is_enabled && is_meant(rule.hears))
    }
}

/// Of a change of a task's row: one when its `version` grew, which says that AWS would send one.
pub(super) fn of_task(tables: &Tables, old: Option<&Task>, new: Option<&Task>) -> Vec<EcsChange> {
    let Some(new) = new.filter(|new| old.is_none_or(|old| old.version < new.version)) else {
        return Vec::new();
    };
    match tables.event_rules.hears(&new.scope, |hears| hears.tasks) {
        true => vec![EcsChange::Task(Box::new(new.clone()))],
        false => Vec::new(),
    }
}

pub(super) fn of_container_instance(
    tables: &Tables,
    old: Option<&ContainerInstance>,
    new: Option<&ContainerInstance>,
) -> Vec<EcsChange> {
    let Some(new) = new.filter(|new| old.is_none_or(|old| old.version < new.version)) else {
        return Vec::new();
    };
    match tables.event_rules.hears(&new.scope, |hears| hears.container_instances) {
        true => vec![EcsChange::ContainerInstance(new.clone())],
        false => Vec::new(),
    }
}

/// What a service says anew, and deployments whose roll-out went on.
pub(super) fn of_service(
    tables: &Tables,
    old: Option<&Service>,
    new: Option<&Service>,
) -> Vec<EcsChange> {
    let Some(new) = new.filter(|new| {
        tables.event_rules.hears(&new.scope, |hears| hears.service_actions || hears.deployments)
    }) else {
        return Vec::new();
    };
    let known = old.and_then(|old| old.events.first()).map(|event| &event.id);
    let said = new.events.iter().take_while(|event| Some(&event.id) != known);
    let mut changes: Vec<_> = said
        .map(|event| EcsChange::Service {
            scope: new.scope.clone(),
            cluster: new.cluster.clone(),
            service: new.name.clone(),
            message: event.message.clone(),
            at_ms: event.at_ms,
        })
        .collect();
    let states = |service: &Service| {
        service
            .deployments
            .iter()
            .map(|one| (one.id.clone(), one.rollout_state))
            .collect::<Vec<_>>()
    };
    let before = old.map(states).unwrap_or_default();
    let went_on = new
        .deployments
        .iter()
        .filter(|deployment| !before.contains(&(deployment.id.clone(), deployment.rollout_state)));
    changes.extend(went_on.map(|deployment| EcsChange::Deployment {
        scope: new.scope.clone(),
        cluster: new.cluster.clone(),
        service: new.name.clone(),
        id: deployment.id.clone(),
        state: deployment.rollout_state,
        reason: deployment.rollout_state_reason.clone(),
        at_ms: deployment.updated_at_ms,
    }));
    changes.reverse();
    changes
        .retain(|change| tables.event_rules.hears(&new.scope, |hears| change.is_heard_by(hears)));
    changes
}
