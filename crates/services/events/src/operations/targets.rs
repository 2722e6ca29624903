//! Targets of rules: log groups, and tasks of ECS.

use std::collections::BTreeMap;

use outport_aws_events as wire;
use outport_aws_events::{
    PutTargetsRequest, PutTargetsResponse, RemoveTargetsRequest, RemoveTargetsResponse,
    RemoveTargetsResultEntry, TargetShape,
};
use outport_event_rules::input::check_template;
use outport_event_rules::json_path::JsonPath;
use outport_identity::Call;
use outport_model::event::{EcsTarget, EventRule, EventTarget, RetryPolicy, TargetInput};
use outport_model::{Arn, Scope};
use outport_store::Tables;
use serde_json::Value;

use crate::names::{RuleName, scope};
use crate::rejection::Rejection;
use crate::{EventsService, look, quotas, tags};

/// What an ARN is that events can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    LogGroup,
    Cluster,
}

pub async fn put_targets(
    service: &EventsService,
    call: &Call,
    input: PutTargetsRequest,
) -> Result<PutTargetsResponse, Rejection> {
    let scope = scope(call);
    let name = RuleName::parse(&scope, input.event_bus_name, input.rule)?;
    let given = input.targets.unwrap_or_default();
    let given = given.into_iter().map(|target| parse(&scope, target));
    let given: BTreeMap<String, EventTarget> = given.collect::<Result<_, _>>()?;
    let ask = |tables: &Tables| {
        let arns: Vec<String> = given.values().map(|target| target.arn.clone()).collect();
        let roles = given.values().filter_map(|target| target.role_arn.as_deref());
        look::rule(tables, &scope, &name, "events:PutTargets")
            .with("events:TargetArn", arns)
            .and_all(roles.map(look::pass_role))
    };
    service
        .store
        .write(call, ask, |tx, found| {
            let mut rule = EventRule::clone(&*look::there(tx, &scope, &name, found)?);
            rule.targets.extend(given.clone());
            if rule.targets.len() > quotas::TARGETS_PER_RULE {
                return Err(Rejection::too_many());
            }
            tx.put(rule);
            Ok(PutTargetsResponse { failed_entry_count: Some(0), failed_entries: Some(Vec::new()) })
        })
        .await
}

/// An id that the rule has not is a failed entry; the text is a guess.
pub async fn remove_targets(
    service: &EventsService,
    call: &Call,
    input: RemoveTargetsRequest,
) -> Result<RemoveTargetsResponse, Rejection> {
    let scope = scope(call);
    let name = RuleName::parse(&scope, input.event_bus_name, input.rule)?;
    let ids = input.ids.unwrap_or_default();
    let ask = |tables: &Tables| look::rule(tables, &scope, &name, "events:RemoveTargets");
    service
        .store
        .write_always(call, ask, |tx, found| {
            let mut rule = EventRule::clone(&*look::there(tx, &scope, &name, found)?);
            let mut failed = Vec::new();
            for id in &ids {
                if rule.targets.remove(id).is_none() {
                    let text =
                        format!("Rule {} does not have a target with the Id {id}.", rule.name);
                    failed.push(RemoveTargetsResultEntry {
                        target_id: Some(id.clone()),
                        error_code: Some("ResourceNotFoundException".to_owned()),
                        error_message: Some(text),
                    });
                }
            }
            tx.put(rule);
            Ok(RemoveTargetsResponse {
                failed_entry_count: i32::try_from(failed.len()).ok(),
                failed_entries: Some(failed),
            })
        })
        .await
}

fn parse(scope: &Scope, given: TargetShape) -> Result<(String, EventTarget), Rejection> {
    check_built(&given)?;
    let id = given.id.unwrap_or_default();
    let arn = given.arn.unwrap_or_default();
    let kind = kind(scope, &arn)?;
    let input = parse_input(&id, given.input, given.input_path, given.input_transformer)?;
    if kind == Kind::Cluster && given.role_arn.is_none() {
        return Err(Rejection::validation(format!("RoleArn is required for target {arn}.")));
    }
    let ecs = match (kind, given.ecs_parameters) {
        (Kind::Cluster, Some(parameters)) => Some(parse_ecs(parameters)?),
        (Kind::Cluster, None) => {
            let text = format!("Parameter EcsParameters must be specified for target: {id}.");
            return Err(Rejection::validation(text));
        }
        (Kind::LogGroup, Some(_)) => {
            let text = format!("Parameter(s) EcsParameters not valid for target: {id}.");
            return Err(Rejection::validation(text));
        }
        (Kind::LogGroup, None) => None,
    };
    let dead_letter_arn = given.dead_letter_config.and_then(|config| config.arn);
    if let Some(arn) = &dead_letter_arn
        && self::kind(scope, arn).ok() != Some(Kind::LogGroup)
    {
        return Err(Rejection::not_built(
            "A DeadLetterConfig whose Arn is not of a log group of this account and region",
        ));
    }
    let target = EventTarget {
        arn,
        role_arn: given.role_arn,
        input,
        ecs,
        dead_letter_arn,
        retry: parse_retry(given.retry_policy),
    };
    Ok((id, target))
}

fn check_built(given: &TargetShape) -> Result<(), Rejection> {
    for (is_given, what) in [
        (given.kinesis_parameters.is_some(), "KinesisParameters"),
        (given.run_command_parameters.is_some(), "RunCommandParameters"),
        (given.batch_parameters.is_some(), "BatchParameters"),
        (given.sqs_parameters.is_some(), "SqsParameters"),
        (given.http_parameters.is_some(), "HttpParameters"),
        (given.redshift_data_parameters.is_some(), "RedshiftDataParameters"),
        (given.sage_maker_pipeline_parameters.is_some(), "SageMakerPipelineParameters"),
        (given.app_sync_parameters.is_some(), "AppSyncParameters"),
    ] {
        if is_given {
            return Err(Rejection::not_built(what));
        }
    }
    Ok(())
}

fn kind(scope: &Scope, text: &str) -> Result<Kind, Rejection> {
    let Some(arn) = Arn::parse(text) else {
        return Err(Rejection::validation(format!(
            "Parameter {text} is not valid. Reason: Provided Arn is not in correct format."
        )));
    };
    let kind = match (arn.service(), arn.resource()) {
        ("logs", resource) if resource.starts_with("log-group:") => Kind::LogGroup,
        ("ecs", resource) if resource.starts_with("cluster/") => Kind::Cluster,
        (service, _) => {
            return Err(Rejection::not_built(&format!(
                "A target of {service}, which is neither a log group nor a cluster of ECS,"
            )));
        }
    };
    match arn.is_in(scope) {
        true => Ok(kind),
        false => Err(Rejection::not_built("A target of another account or region")),
    }
}

fn parse_input(
    id: &str,
    constant: Option<String>,
    path: Option<String>,
    transformer: Option<wire::InputTransformer>,
) -> Result<TargetInput, Rejection> {
    match (constant, path, transformer) {
        (None, None, None) => Ok(TargetInput::Event),
        (Some(constant), None, None) => match serde_json::from_str::<Value>(&constant) {
            Ok(_) => Ok(TargetInput::Constant(constant)),
            Err(_) => Err(Rejection::validation(format!(
                "Parameter Input of target {id} is not valid JSON."
            ))),
        },
        (None, Some(path), None) if JsonPath::read(&path).is_none() => {
            Err(Rejection::validation(format!("InputPath for target {id} is invalid.")))
        }
        (None, Some(path), None) => Ok(TargetInput::Path(path)),
        (None, None, Some(transformer)) => {
            let paths: BTreeMap<_, _> =
                transformer.input_paths_map.unwrap_or_default().into_iter().collect();
            let template = transformer.input_template.unwrap_or_default();
            check_template(&paths, &template).map_err(|fault| {
                Rejection::validation(format!("Invalid InputTemplate for target {id} : {fault}."))
            })?;
            Ok(TargetInput::Template { paths, template })
        }
        _ => Err(Rejection::validation(format!(
            "Only one of Input, InputPath, or InputTransformer must be provided for target {id}."
        ))),
    }
}

fn parse_ecs(given: wire::EcsParameters) -> Result<EcsTarget, Rejection> {
    for (is_given, what) in [
        (given.capacity_provider_strategy.is_some(), "CapacityProviderStrategy of EcsParameters"),
        (given.enable_execute_command == Some(true), "EnableExecuteCommand"),
        (given.placement_constraints.is_some(), "PlacementConstraints of EcsParameters"),
        (given.placement_strategy.is_some(), "PlacementStrategy of EcsParameters"),
        (given.reference_id.is_some(), "ReferenceId"),
    ] {
        if is_given {
            return Err(Rejection::not_built(what));
        }
    }
    let vpc = given.network_configuration.and_then(|network| network.awsvpc_configuration);
    let vpc = vpc.unwrap_or_default();
    Ok(EcsTarget {
        task_definition_arn: given.task_definition_arn.unwrap_or_default(),
        task_count: given.task_count,
        launch_type: given.launch_type.map(|one| one.as_str().to_owned()),
        platform_version: given.platform_version,
        group: given.group,
        subnets: vpc.subnets.unwrap_or_default(),
        security_groups: vpc.security_groups.unwrap_or_default(),
        assign_public_ip: vpc.assign_public_ip.map(|one| one.as_str().to_owned()),
        enable_ecs_managed_tags: given.enable_ecs_managed_tags,
        propagate_tags: given.propagate_tags.map(|one| one.as_str().to_owned()),
        tags: given.tags.map(|given| tags::parse(Some(given))).transpose()?,
    })
}

fn parse_retry(given: Option<wire::RetryPolicy>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let Some(given) = given else { return default };
    let number = |given: Option<i32>, default| {
        given.and_then(|it| u32::try_from(it).ok()).unwrap_or(default)
    };
    RetryPolicy {
        retries_max: number(given.maximum_retry_attempts, default.retries_max),
        age_s_max: number(given.maximum_event_age_in_seconds, default.age_s_max),
        is_given: true,
    }
}

#[cfg(test)]
#[path = "targets_test.rs"]
mod tests;
