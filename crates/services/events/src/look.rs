//! What there may be under a name, and the question about it.

use std::sync::Arc;

use outport_identity::{Question, Subject};
use outport_model::event::{DEFAULT_BUS, EventBus, EventRule};
use outport_model::{Arn, Scope};
use outport_store::Tables;
use outport_store::keys::{EventBusKey, EventRuleKey};

use crate::names::RuleName;
use crate::rejection::Rejection;

/// Who may act for EventBridge.
pub const EVENTS_SERVICE: &str = "events.amazonaws.com";

pub fn find_rule(tables: &Tables, scope: &Scope, rule: &RuleName) -> Option<Arc<EventRule>> {
    tables
        .event_rules
        .get(&EventRuleKey::new(scope, rule.bus.as_str(), rule.name.as_str()))
        .cloned()
}

/// A rule, and the question whether `action` may be done with it.
///
/// Source of the condition keys: "Actions, resources, and condition keys for Amazon EventBridge".
pub fn rule(
    tables: &Tables,
    scope: &Scope,
    name: &RuleName,
    action: &'static str,
) -> Subject<Option<Arc<EventRule>>> {
    let found = find_rule(tables, scope, name);
    let question = Question::new(action, name.arn(scope).into_string())
        .with("events:creatorAccount", scope.account.as_str());
    let question = match &found {
        Some(rule) => question.with_resource_tags(&rule.tags),
        None => question,
    };
    Subject::new(found, question)
}

/// A bus that has a row; the default one need not have one.
pub fn bus(
    tables: &Tables,
    scope: &Scope,
    name: &str,
    action: &'static str,
) -> Subject<Option<Arc<EventBus>>> {
    let found = tables.event_buses.get(&EventBusKey::new(scope, name)).cloned();
    let question = Question::new(action, Arn::event_bus(scope, name).into_string());
    let question = match &found {
        Some(bus) => question.with_resource_tags(&bus.tags),
        None => question,
    };
    Subject::new(found, question)
}

/// # Errors
/// `ResourceNotFoundException`.
pub fn check_bus(tables: &Tables, scope: &Scope, name: &str) -> Result<(), Rejection> {
    let is_there =
        name == DEFAULT_BUS || tables.event_buses.contains(&EventBusKey::new(scope, name));
    is_there.then_some(()).ok_or_else(|| Rejection::no_such_bus(name))
}

/// # Errors
/// `ResourceNotFoundException`, of the bus or of the rule.
pub fn there(
    tables: &Tables,
    scope: &Scope,
    name: &RuleName,
    found: Option<Arc<EventRule>>,
) -> Result<Arc<EventRule>, Rejection> {
    check_bus(tables, scope, &name.bus)?;
    found.ok_or_else(|| Rejection::no_such_rule(&name.name, &name.bus))
}

/// Whether the caller may hand a role to EventBridge.
pub fn pass_role(role: &str) -> Question {
    Question::new("iam:PassRole", role).with("iam:PassedToService", EVENTS_SERVICE)
}
