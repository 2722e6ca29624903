//! How CloudWatch Logs words an input that breaks the model's constraints.
//!
//! Source: answers of AWS as two public test suites have recorded them.

use outport_aws_wire::{Violation, ViolationKind, WireError, coral_message};

use crate::LogsError;

/// Source: the model's `LogGroupName` and `LogStreamName`, and AWS's text.
const NAME_LENGTH_MAX: i64 = 512;
const NAME_TOO_LONG: &str =
    "Invalid LogGroup or LogStream, both must have length less than or equal to 512.";

/// The error for these violations (at least one) of an operation's input.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let message = match violations {
        violations if violations.iter().any(is_long_name) => NAME_TOO_LONG.to_owned(),
        [only] if is_identifier(only) => without_value(only),
        violations => coral_message(violations),
    };
    LogsError::invalid_parameter_exception(message).into()
}

fn member(violation: &Violation) -> &'static str {
    violation.path.members().last().unwrap_or_default()
}

fn is_long_name(violation: &Violation) -> bool {
    violation.kind == ViolationKind::LengthMax(NAME_LENGTH_MAX)
        && matches!(member(violation), "logGroupName" | "logStreamName")
}

/// Logs does not show the value of these.
fn is_identifier(violation: &Violation) -> bool {
    matches!(member(violation), "logGroupIdentifier" | "logGroupIdentifiers")
}

fn without_value(violation: &Violation) -> String {
    format!(
        "1 validation error detected: Value at '{}' failed to satisfy constraint: {}",
        violation.path, violation.kind
    )
}
