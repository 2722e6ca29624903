//! How EventBridge words an input that breaks the model's constraints.
//!
//! Source: answers of AWS as callers report them: a `ValidationException` in the words of AWS's common validation.

use outport_aws_wire::{CommonError, Violation, WireError, coral_message};

/// The error for these violations (at least one) of an operation's input.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    WireError::common(CommonError::InvalidInput, coral_message(violations))
}
