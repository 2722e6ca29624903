//! How CloudWatch Logs words an input that breaks the model's constraints.

use outport_aws_wire::{Violation, WireError, coral_message};

use crate::LogsError;

/// The error for these violations (at least one) of an operation's input.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    LogsError::invalid_parameter_exception(coral_message(violations)).into()
}
