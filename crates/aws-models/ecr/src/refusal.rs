//! How ECR words an input that breaks the model's constraints.

use outport_aws_wire::{Violation, ViolationKind, WireError};

use crate::EcrError;

/// The error for these violations (at least one): ECR names the first one only.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let Some(first) = violations.first() else {
        return WireError::internal("an input was refused without a violation");
    };
    let constraint = match &first.kind {
        ViolationKind::Required => "must not be null".to_owned(),
        ViolationKind::LengthMin(min) => format!("must have length greater than or equal to {min}"),
        ViolationKind::LengthMax(max) => format!("must have length less than or equal to {max}"),
        ViolationKind::ValueMin(min) => format!("must be greater than or equal to {min}"),
        ViolationKind::ValueMax(max) => format!("must be less than or equal to {max}"),
        ViolationKind::Pattern(pattern) => format!("must satisfy regular expression '{pattern}'"),
        ViolationKind::Enum(names) => {
            format!("must satisfy enum value set: [{}]", names.join(", "))
        }
    };
    let path = &first.path;
    let message =
        format!("Invalid parameter at '{path}' failed to satisfy constraint: '{constraint}'");
    EcrError::invalid_parameter_exception(message).into()
}
