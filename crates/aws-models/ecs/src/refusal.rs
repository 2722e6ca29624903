//! How ECS words an input that breaks the model's constraints.
//!
//! A missing member is a `ClientException`; everything else an `InvalidParameterException` in the words of AWS's common
//! validation.

use outport_aws_wire::{Violation, ViolationKind, WireError, coral_message};

use crate::EcsError;

/// The error for these violations (at least one) of an operation's input.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let missing = violations.iter().find(|violation| violation.kind == ViolationKind::Required);
    match missing {
        Some(missing) => {
            let path = missing.path.to_string();
            EcsError::client_exception(format!("{path} can not be blank.")).into()
        }
        None => EcsError::invalid_parameter_exception(coral_message(violations)).into(),
    }
}
