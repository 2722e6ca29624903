//! A target, as it was given.

use outport_aws_events as wire;
use outport_model::event::{EcsTarget, EventTarget, TargetInput};

use crate::tags;

pub fn target(id: &str, row: &EventTarget) -> wire::TargetShape {
    let mut shown = wire::TargetShape {
        id: Some(id.to_owned()),
        arn: Some(row.arn.clone()),
        role_arn: row.role_arn.clone(),
        ecs_parameters: row.ecs.as_ref().map(ecs),
        dead_letter_config: row
            .dead_letter_arn
            .as_ref()
            .map(|arn| wire::DeadLetterConfig { arn: Some(arn.clone()) }),
        retry_policy: row.retry.is_given.then(|| wire::RetryPolicy {
            maximum_retry_attempts: i32::try_from(row.retry.retries_max).ok(),
            maximum_event_age_in_seconds: i32::try_from(row.retry.age_s_max).ok(),
        }),
        ..Default::default()
    };
    match &row.input {
        TargetInput::Event => {}
        TargetInput::Constant(text) => shown.input = Some(text.clone()),
        TargetInput::Path(path) => shown.input_path = Some(path.clone()),
        TargetInput::Template { paths, template } => {
            shown.input_transformer = Some(wire::InputTransformer {
                input_paths_map: (!paths.is_empty()).then(|| paths.clone().into_iter().collect()),
                input_template: Some(template.clone()),
            });
        }
    }
    shown
}

fn ecs(row: &EcsTarget) -> wire::EcsParameters {
    let texts = |texts: &Vec<String>| (!texts.is_empty()).then(|| texts.clone());
    let network = (!row.subnets.is_empty()).then(|| wire::NetworkConfiguration {
        awsvpc_configuration: Some(wire::AwsVpcConfiguration {
            subnets: texts(&row.subnets),
            security_groups: texts(&row.security_groups),
            assign_public_ip: row
                .assign_public_ip
                .as_deref()
                .and_then(wire::AssignPublicIp::from_name),
        }),
    });
    wire::EcsParameters {
        task_definition_arn: Some(row.task_definition_arn.clone()),
        task_count: row.task_count,
        launch_type: row.launch_type.as_deref().and_then(wire::LaunchType::from_name),
        network_configuration: network,
        platform_version: row.platform_version.clone(),
        group: row.group.clone(),
        enable_ecs_managed_tags: row.enable_ecs_managed_tags,
        propagate_tags: row.propagate_tags.as_deref().and_then(wire::PropagateTags::from_name),
        tags: row.tags.as_ref().map(tags::view),
        ..Default::default()
    }
}
