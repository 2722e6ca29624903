//! How ECS words an input that breaks the model's constraints.
//!
//! A missing member of the input is a `ClientException` (`Family can not be blank.`), one of a part of it too
//! (`Container.image should not be null or empty.`); everything else is an `InvalidParameterException` in the words of
//! AWS's common validation.

use outport_aws_wire::{Violation, ViolationKind, WireError, coral_message};

use crate::EcsError;

/// The error for these violations (at least one) of an operation's input.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let missing = violations.iter().find(|violation| violation.kind == ViolationKind::Required);
    match missing {
        Some(missing) => EcsError::client_exception(missing_member(missing)).into(),
        None => EcsError::invalid_parameter_exception(coral_message(violations)).into(),
    }
}

fn missing_member(violation: &Violation) -> String {
    let members: Vec<&str> = violation.path.members().collect();
    match members.as_slice() {
        [member] => format!("{} can not be blank.", capitalised(member)),
        [.., part, member] => {
            format!("{}.{member} should not be null or empty.", capitalised(part))
        }
        [] => "The input can not be blank.".to_owned(),
    }
}

fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_uppercase(), characters.as_str())
    })
}
