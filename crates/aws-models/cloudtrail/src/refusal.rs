//! How CloudTrail words an input that breaks the model's constraints.
//!
//! Source: API reference, LookupEvents: errors of their own for the number of results, the attributes and the category. The texts are
//! those of AWS's common validation, which is a guess.

use outport_aws_wire::{CommonError, Violation, WireError, coral_message};

use crate::CloudTrailError;

/// The error for these violations (at least one) of an operation's input.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let text = coral_message(violations);
    let first = violations.first().and_then(|violation| violation.path.members().next());
    match first.unwrap_or_default() {
        "MaxResults" => CloudTrailError::invalid_max_results_exception(text).into(),
        "LookupAttributes" => CloudTrailError::invalid_lookup_attributes_exception(text).into(),
        "EventCategory" => CloudTrailError::invalid_event_category_exception(text).into(),
        _ => WireError::common(CommonError::InvalidInput, text),
    }
}
