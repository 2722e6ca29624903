//! How STS words an input that breaks the model's constraints.

use outport_aws_wire::{CommonError, Violation, WireError, coral_message};

/// The error for these violations (at least one): `ValidationError`, as all query services say.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    WireError::common(CommonError::InvalidInput, coral_message(violations))
}
