//! How ECR words an input that breaks the model's constraints.
//!
//! Source: the texts as callers report them and as public test suites expect them. `repositoryName` is checked by ECR
//! itself, in words of its own (`must satisfy regular expression '…'`); everything else by AWS's common validation
//! (`Member must …`). Of a list of repository names AWS says the same as of one.

use outport_aws_wire::{Violation, ViolationKind, WireError};

use crate::{EcrError, ImageTagMutability};

/// The order in which ECR names them, which is not the model's.
const TAG_MUTABILITIES: &str =
    "IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION";

/// The error for these violations (at least one): ECR names the first one only.
pub fn refuse_input(_operation: &str, violations: &[Violation]) -> WireError {
    let Some(first) = violations.first() else {
        return WireError::internal("an input was refused without a violation");
    };
    let (path, constraint) = match (first.path.to_string(), &first.kind) {
        (path, kind) if path == "repositoryName" => (path, of_repository_name(kind)),
        // Names in a list are checked one by one.
        (path, ViolationKind::Items(kinds)) if path == "repositoryNames" => {
            let pattern = kinds.iter().find(|kind| matches!(kind, ViolationKind::Pattern(_)));
            let constraint = of_repository_name(pattern.unwrap_or(&first.kind));
            ("repositoryName".to_owned(), constraint)
        }
        (path, kind) => (path, common(kind)),
    };
    let message =
        format!("Invalid parameter at '{path}' failed to satisfy constraint: '{constraint}'");
    EcrError::invalid_parameter_exception(message).into()
}

fn common(kind: &ViolationKind) -> String {
    match kind {
        ViolationKind::Enum(names) if *names == ImageTagMutability::NAMES => {
            format!("Member must satisfy enum value set: [{TAG_MUTABILITIES}]")
        }
        kind => kind.to_string(),
    }
}

/// The model writes its pattern with `\/`, ECR with `/`.
fn of_repository_name(kind: &ViolationKind) -> String {
    match kind {
        ViolationKind::Pattern(pattern) => {
            format!("must satisfy regular expression '{}'", pattern.replace("\\/", "/"))
        }
        kind => kind.to_string().replacen("Member ", "", 1),
    }
}
