//! The row of a revision that is registered.

use outport_aws_ecs as wire;
use outport_model::task_definition::{TaskDefinition, TaskDefinitionStatus};
use outport_model::{Family, Revision, Scope, Tags, TimestampMs};

/// What the store and the caller add to a definition.
pub struct Registration {
    pub scope: Scope,
    pub revision: Revision,
    pub registered_at_ms: TimestampMs,
    /// The ARN of who registered it.
    pub registered_by: String,
    pub tags: Tags,
    /// What `mode` of a log configuration is when it is not said (account setting `defaultLogDriverMode`).
    pub non_blocking_logs: bool,
}

/// The row of a normalised definition.
pub fn row(definition: &wire::TaskDefinition, registration: Registration) -> TaskDefinition {
    let Registration { scope, revision, registered_at_ms, registered_by, tags, non_blocking_logs } =
        registration;
    TaskDefinition {
        scope,
        family: Family::new(definition.family.clone().unwrap_or_default()),
        revision,
        status: TaskDefinitionStatus::Active,
        document: outport_aws_wire::to_json(definition),
        non_blocking_logs,
        registered_at_ms,
        registered_by,
        deregistered_at_ms: None,
        delete_requested_at_ms: None,
        tags,
    }
}
