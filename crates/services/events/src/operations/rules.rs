//! Rules, one by one.

use outport_aws_events::{
    DeleteRuleRequest, DescribeRuleRequest, DescribeRuleResponse, DisableRuleRequest,
    EnableRuleRequest, PutRuleRequest, PutRuleResponse, RuleState,
};
use outport_event_rules::{Pattern, Schedule};
use outport_identity::{Call, Question, Subject};
use outport_model::event::{DEFAULT_BUS, EventRule, Hears, ScheduledRule};
use outport_model::{Scope, Tags};
use outport_store::keys::ScheduledRuleKey;
use outport_store::{Row, Tables, Transaction};
use serde_json::Value;

use crate::hears::hears;
use crate::names::{RuleName, scope};
use crate::rejection::Rejection;
use crate::{EventsService, look, quotas, tags};

/// What a request says of a rule.
struct Given {
    name: RuleName,
    pattern: Option<String>,
    schedule: Option<(String, Schedule)>,
    hears: Hears,
    is_enabled: bool,
    description: Option<String>,
    role_arn: Option<String>,
    tags: Tags,
}

impl Given {
    fn parse(scope: &Scope, input: PutRuleRequest) -> Result<Self, Rejection> {
        let name = RuleName::parse(scope, input.event_bus_name, input.name)?;
        let pattern = input.event_pattern.filter(|text| !text.is_empty());
        let schedule = input.schedule_expression.filter(|text| !text.is_empty());
        if pattern.is_none() && schedule.is_none() {
            return Err(Rejection::validation(
                "Parameter(s) EventPattern or ScheduleExpression must be specified.",
            ));
        }
        let schedule = schedule.map(|text| match Schedule::read(&text) {
            Some(_) if name.bus != DEFAULT_BUS => Err(Rejection::validation(
                "ScheduleExpression is supported only on the default event bus.",
            )),
            Some(schedule) => Ok((text, schedule)),
            None => Err(wrong_schedule()),
        });
        let schedule = schedule.transpose()?;
        let compiled = pattern.as_deref().map(Pattern::compile).transpose()?;
        let is_enabled = match input.state {
            None | Some(RuleState::Enabled) => true,
            Some(RuleState::Disabled) => false,
            Some(_) => {
                return Err(Rejection::not_built(
                    "The state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
                ));
            }
        };
        Ok(Self {
            hears: hears(&name.bus, compiled.as_ref()),
            name,
            pattern,
            schedule,
            is_enabled,
            description: input.description,
            role_arn: input.role_arn,
            tags: tags::parse(input.tags)?,
        })
    }

    fn look(&self, tables: &Tables, scope: &Scope) -> Subject<Option<std::sync::Arc<EventRule>>> {
        let subject = look::rule(tables, scope, &self.name, "events:PutRule");
        let subject =
            ["source", "detail-type"].into_iter().fold(
                subject,
                |subject, field| match exact_texts(self.pattern.as_deref(), field) {
                    texts if texts.is_empty() => subject,
                    texts => subject.with(&format!("events:{field}"), texts),
                },
            );
        let tagged = subject.with_request_tags(&self.tags);
        // A rule that is made with tags needs the permission to tag.
        let tagged = match self.tags.is_empty() {
            true => tagged,
            false => tagged.and(
                Question::new("events:TagResource", self.name.arn(scope).into_string())
                    .with_request_tags(&self.tags),
            ),
        };
        tagged.and_all(self.role_arn.as_deref().map(look::pass_role))
    }
}

fn wrong_schedule() -> Rejection {
    Rejection::validation("Parameter ScheduleExpression is not valid.")
}

/// The texts that a field of the pattern is to be equal to, as condition keys take them.
fn exact_texts(pattern: Option<&str>, field: &str) -> Vec<String> {
    let read = pattern.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let values = read.as_ref().and_then(|read| read.get(field)?.as_array());
    let texts = values.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// A rule that is there is replaced; it keeps its targets and its tags.
/// Source: API reference, PutRule.
pub async fn put_rule(
    service: &EventsService,
    call: &Call,
    input: PutRuleRequest,
) -> Result<PutRuleResponse, Rejection> {
    let scope = scope(call);
    let given = Given::parse(&scope, input)?;
    service
        .store
        .write(
            call,
            |tables| given.look(tables, &scope),
            |tx, found| {
                look::check_bus(tx, &scope, &given.name.bus)?;
                if found.is_none()
                    && tx.event_rules.of_bus(&scope, &given.name.bus).count()
                        >= quotas::RULES_PER_BUS
                {
                    return Err(Rejection::too_many());
                }
                let old = found.as_deref();
                let rule = EventRule {
                    scope: scope.clone(),
                    bus: given.name.bus.clone(),
                    name: given.name.name.clone(),
                    pattern: given.pattern.clone(),
                    schedule: given.schedule.as_ref().map(|(text, _)| text.clone()),
                    is_enabled: given.is_enabled,
                    description: given.description.clone(),
                    role_arn: given.role_arn.clone(),
                    tags: old.map_or_else(|| given.tags.clone(), |old| old.tags.clone()),
                    targets: old.map(|old| old.targets.clone()).unwrap_or_default(),
                    hears: given.hears,
                };
                settle_schedule(tx, &rule, old)?;
                let rule_arn = Some(rule.arn().into_string());
                tx.put(rule);
                Ok(PutRuleResponse { rule_arn })
            },
        )
        .await
}

/// Says when the rule is due: one that goes on as it was keeps its time.
///
/// # Errors
/// `ValidationException` for a schedule that never fires.
fn settle_schedule(
    tx: &mut Transaction<'_>,
    rule: &EventRule,
    old: Option<&EventRule>,
) -> Result<(), Rejection> {
    if rule.bus != DEFAULT_BUS {
        return Ok(());
    }
    let key = ScheduledRuleKey::new(&rule.scope, rule.name.as_str());
    let Some(text) = &rule.schedule else {
        tx.remove::<ScheduledRule>(&key);
        return Ok(());
    };
    let goes_on = old.is_some_and(|old| old.is_enabled && old.schedule.as_ref() == Some(text));
    if goes_on && rule.is_enabled && tx.scheduled_rules.contains(&key) {
        return Ok(());
    }
    let now_ms = tx.now_ms();
    let due = Schedule::read(text).and_then(|schedule| schedule.next_after(now_ms, now_ms));
    let Some(due_at_ms) = due else { return Err(wrong_schedule()) };
    if !rule.is_enabled {
        tx.remove::<ScheduledRule>(&key);
        return Ok(());
    }
    tx.put(ScheduledRule {
        scope: rule.scope.clone(),
        rule: rule.name.clone(),
        since_ms: now_ms,
        due_at_ms,
    });
    Ok(())
}

pub async fn delete_rule(
    service: &EventsService,
    call: &Call,
    input: DeleteRuleRequest,
) -> Result<(), Rejection> {
    let scope = scope(call);
    let name = RuleName::parse(&scope, input.event_bus_name, input.name)?;
    let ask = |tables: &Tables| look::rule(tables, &scope, &name, "events:DeleteRule");
    service
        .store
        .write_always(call, ask, |tx, found| {
            look::check_bus(tx, &scope, &name.bus)?;
            // Source: AWS answers with success where there is no such rule.
            let Some(rule) = found else { return Ok(()) };
            if !rule.targets.is_empty() {
                return Err(Rejection::validation("Rule can't be deleted since it has targets."));
            }
            tx.remove::<EventRule>(&rule.key());
            if rule.bus == DEFAULT_BUS {
                tx.remove::<ScheduledRule>(&ScheduledRuleKey::new(&scope, rule.name.as_str()));
            }
            Ok(())
        })
        .await
}

pub async fn describe_rule(
    service: &EventsService,
    call: &Call,
    input: DescribeRuleRequest,
) -> Result<DescribeRuleResponse, Rejection> {
    let scope = scope(call);
    let name = RuleName::parse(&scope, input.event_bus_name, input.name)?;
    let (tables, found) = service
        .store
        .read(call, |tables| look::rule(tables, &scope, &name, "events:DescribeRule"))?;
    let rule = look::there(&tables, &scope, &name, found)?;
    Ok(DescribeRuleResponse {
        arn: Some(rule.arn().into_string()),
        name: Some(rule.name.clone()),
        event_pattern: rule.pattern.clone(),
        schedule_expression: rule.schedule.clone(),
        state: Some(state(&rule)),
        description: rule.description.clone(),
        role_arn: rule.role_arn.clone(),
        event_bus_name: Some(rule.bus.clone()),
        created_by: Some(scope.account.to_string()),
        managed_by: None,
    })
}

pub fn state(rule: &EventRule) -> RuleState {
    if rule.is_enabled { RuleState::Enabled } else { RuleState::Disabled }
}

pub async fn enable_rule(
    service: &EventsService,
    call: &Call,
    input: EnableRuleRequest,
) -> Result<(), Rejection> {
    let name = RuleName::parse(&scope(call), input.event_bus_name, input.name)?;
    switch(service, call, name, "events:EnableRule", true).await
}

pub async fn disable_rule(
    service: &EventsService,
    call: &Call,
    input: DisableRuleRequest,
) -> Result<(), Rejection> {
    let name = RuleName::parse(&scope(call), input.event_bus_name, input.name)?;
    switch(service, call, name, "events:DisableRule", false).await
}

async fn switch(
    service: &EventsService,
    call: &Call,
    name: RuleName,
    action: &'static str,
    is_enabled: bool,
) -> Result<(), Rejection> {
    let scope = scope(call);
    let ask = |tables: &Tables| look::rule(tables, &scope, &name, action);
    service
        .store
        .write_always(call, ask, |tx, found| {
            let old = look::there(tx, &scope, &name, found)?;
            let rule = EventRule { is_enabled, ..EventRule::clone(&old) };
            settle_schedule(tx, &rule, Some(&old))?;
            tx.put(rule);
            Ok(())
        })
        .await
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
