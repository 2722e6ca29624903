//! How EC2 words an input that breaks the model's constraints.

use outport_aws_wire::{Violation, ViolationKind, WireError};

use crate::Ec2Error;

/// The error for these violations (at least one): EC2 names the first one only, by the name of its parameter.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let Some(first) = violations.first() else {
        return WireError::internal("an input was refused without a violation");
    };
    let parameter = parameter_name(first);
    let value = first.value.as_deref().unwrap_or_default();
    match first.kind {
        ViolationKind::Required => Ec2Error::missing_parameter(format!(
            "The request must contain the parameter {parameter}"
        )),
        _ => Ec2Error::invalid_parameter_value(format!(
            "Value ( {value} ) for parameter {parameter} is invalid. {}",
            first.kind
        )),
    }
    .into()
}

/// EC2 writes `maxResults` for `MaxResults`.
fn parameter_name(violation: &Violation) -> String {
    violation.path.to_string().replace(".member", "")
}
