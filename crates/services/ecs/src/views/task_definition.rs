//! A revision of a task definition: its document, and what the row knows beside it.

use outport_aws_ecs as wire;
use outport_model::Arn;
use outport_model::task_definition::TaskDefinition;

use super::timestamp;

/// A revision as RegisterTaskDefinition and DescribeTaskDefinition show it.
pub fn view(row: &TaskDefinition) -> wire::TaskDefinition {
    view_of(row, super::stored(&row.document).unwrap_or_default())
}

/// The same, of a row whose document is at hand.
pub fn view_of(row: &TaskDefinition, document: wire::TaskDefinition) -> wire::TaskDefinition {
    let status = wire::TaskDefinitionStatus::from_name(row.status.as_str());
    wire::TaskDefinition {
        task_definition_arn: Some(arn(row)),
        family: Some(row.family.to_string()),
        revision: Some(i32::try_from(row.revision).unwrap_or(i32::MAX)),
        status,
        registered_at: timestamp(Some(row.registered_at_ms)),
        registered_by: Some(row.registered_by.clone()),
        deregistered_at: timestamp(row.deregistered_at_ms),
        delete_requested_at: timestamp(row.delete_requested_at_ms),
        ..document
    }
}

/// `arn:…:task-definition/family:revision`.
pub fn arn(row: &TaskDefinition) -> String {
    Arn::task_definition(&row.scope, &row.family, row.revision).to_string()
}
