//! How ECS words an input that breaks the model's constraints.
//!
//! A missing member of the input is a `ClientException` (`Family can not be blank.`), one of a part of it too
//! (`Container.image should not be null or empty.`). A name that an enum does not have is an
//! `InvalidParameterException` in words of ECS's own (`launch type should be one of [EC2,FARGATE,…]`), and everything
//! else one in the words of AWS's common validation.
//!
//! Source of the words: what callers report of ECS and what public test suites expect of it, for `launchType`,
//! `schedulingStrategy`, `include` and the names of account settings. Those of the other members are formed alike, which is a guess.

use outport_aws_wire::{Violation, ViolationKind, WireError, coral_message};

use crate::EcsError;

/// The error for these violations (at least one) of an operation's input.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let missing = violations.iter().find(|violation| violation.kind == ViolationKind::Required);
    if let Some(missing) = missing {
        return EcsError::client_exception(missing_member(missing)).into();
    }
    let message = violations.iter().find_map(unknown_name);
    EcsError::invalid_parameter_exception(message.unwrap_or_else(|| coral_message(violations)))
        .into()
}

/// The message for a name that an enum does not have; ECS names the first one only.
fn unknown_name(violation: &Violation) -> Option<String> {
    let names = violation.kind.allowed_names()?;
    let member = violation.path.members().last().unwrap_or("value");
    let what = match (member, violation.path.members().count()) {
        ("schedulingStrategy", _) => "Scheduling strategy".to_owned(),
        // The name of an account setting is repeated where others are described.
        ("name", 1) => violation.value.clone().unwrap_or_default(),
        _ => words(member),
    };
    Some(format!("{what} should be one of [{}]", names.join(",")))
}

/// `launchType` is `launch type`.
fn words(member: &str) -> String {
    let mut words = String::with_capacity(member.len() + 4);
    for character in member.chars() {
        if character.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
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
