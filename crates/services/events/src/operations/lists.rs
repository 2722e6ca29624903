//! Lists of rules and targets.

use outport_aws_events as wire;
use outport_aws_events::{
    ListRuleNamesByTargetRequest, ListRuleNamesByTargetResponse, ListRulesRequest,
    ListRulesResponse, ListTargetsByRuleRequest, ListTargetsByRuleResponse,
};
use outport_identity::{Call, Question, Subject};
use outport_model::event::EventRule;

use crate::names::{self, RuleName, scope};
use crate::operations::rules::state;
use crate::page::PageRequest;
use crate::rejection::Rejection;
use crate::{EventsService, look, quotas, view};

pub async fn list_rules(
    service: &EventsService,
    call: &Call,
    input: ListRulesRequest,
) -> Result<ListRulesResponse, Rejection> {
    let scope = scope(call);
    let bus = names::bus(&scope, input.event_bus_name)?;
    let request =
        PageRequest::parse(input.limit, quotas::ITEMS_PER_PAGE, input.next_token.as_deref())?;
    let question = Question::without_resource("events:ListRules");
    let (tables, ()) = service.store.read(call, |_| Subject::from(question))?;
    look::check_bus(&tables, &scope, &bus)?;
    let prefix = input.name_prefix.unwrap_or_default();
    let rules = tables.event_rules.of_bus(&scope, &bus);
    let meant = rules.filter(|rule| rule.name.starts_with(&prefix));
    let page = request.take(meant.map(|rule| (rule.name.clone(), shown(rule))));
    Ok(ListRulesResponse { rules: Some(page.items), next_token: page.next_token })
}

fn shown(rule: &EventRule) -> wire::Rule {
    wire::Rule {
        arn: Some(rule.arn().into_string()),
        name: Some(rule.name.clone()),
        event_pattern: rule.pattern.clone(),
        schedule_expression: rule.schedule.clone(),
        state: Some(state(rule)),
        description: rule.description.clone(),
        role_arn: rule.role_arn.clone(),
        event_bus_name: Some(rule.bus.clone()),
        managed_by: None,
    }
}

pub async fn list_targets_by_rule(
    service: &EventsService,
    call: &Call,
    input: ListTargetsByRuleRequest,
) -> Result<ListTargetsByRuleResponse, Rejection> {
    let scope = scope(call);
    let name = RuleName::parse(&scope, input.event_bus_name, input.rule)?;
    let request =
        PageRequest::parse(input.limit, quotas::ITEMS_PER_PAGE, input.next_token.as_deref())?;
    let (tables, found) = service
        .store
        .read(call, |tables| look::rule(tables, &scope, &name, "events:ListTargetsByRule"))?;
    let rule = look::there(&tables, &scope, &name, found)?;
    let targets = rule.targets.iter().map(|(id, target)| (id.clone(), view::target(id, target)));
    let page = request.take(targets);
    Ok(ListTargetsByRuleResponse { targets: Some(page.items), next_token: page.next_token })
}

pub async fn list_rule_names_by_target(
    service: &EventsService,
    call: &Call,
    input: ListRuleNamesByTargetRequest,
) -> Result<ListRuleNamesByTargetResponse, Rejection> {
    let scope = scope(call);
    let bus = names::bus(&scope, input.event_bus_name)?;
    let arn = input.target_arn.unwrap_or_default();
    let request =
        PageRequest::parse(input.limit, quotas::ITEMS_PER_PAGE, input.next_token.as_deref())?;
    let question = Question::without_resource("events:ListRuleNamesByTarget");
    let (tables, ()) = service.store.read(call, |_| Subject::from(question))?;
    look::check_bus(&tables, &scope, &bus)?;
    let is_meant =
        |rule: &&std::sync::Arc<EventRule>| rule.targets.values().any(|target| target.arn == arn);
    let rules = tables.event_rules.of_bus(&scope, &bus).filter(is_meant);
    let page = request.take(rules.map(|rule| (rule.name.clone(), rule.name.clone())));
    Ok(ListRuleNamesByTargetResponse { rule_names: Some(page.items), next_token: page.next_token })
}
