//! Policies of secrets on their way in.

use outport_model::AccountId;
use outport_permissions::with_ids;
use outport_policy::{Policy, PolicyKind};
use outport_store::Tables;
use serde_json::Value;

use crate::rejection::Rejection;

/// Checks a document.
///
/// # Errors
/// `MalformedPolicyDocumentException`.
pub fn check(document: Option<String>) -> Result<String, Rejection> {
    let document = document.unwrap_or_default();
    Policy::compile(&document, PolicyKind::Resource)
        .map_err(|malformed| Rejection::MalformedPolicyDocument(malformed.to_string()))?;
    Ok(document)
}

/// A document that was checked as it is kept: about the very users and roles that it names.
///
/// # Errors
/// `MalformedPolicyDocumentException`. Source of the text: answers as callers report them.
pub fn as_kept(tables: &Tables, account: &AccountId, document: &str) -> Result<String, Rejection> {
    with_ids(tables, account, document).map_err(|_| {
        let text = "This resource policy contains an unsupported principal.";
        Rejection::MalformedPolicyDocument(text.to_owned())
    })
}

/// Whether a document that was checked lets everyone in: a statement that allows something to every principal under no condition.
///
/// Source: user guide, "Permissions policies", BlockPublicPolicy: "broad access". AWS asks Zelkova, which also weighs
/// conditions; here any condition counts as narrow, which is a guess.
pub fn is_public(document: &str) -> bool {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        single => std::slice::from_ref(single),
    };
    statements.iter().any(|statement| {
        let has_condition = statement["Condition"].as_object().is_some_and(|it| !it.is_empty());
        statement["Effect"] == "Allow" && !has_condition && names_everyone(&statement["Principal"])
    })
}

fn names_everyone(principal: &Value) -> bool {
    match principal {
        Value::String(name) => name == "*",
        Value::Array(names) => names.iter().any(names_everyone),
        Value::Object(kinds) => kinds.values().any(names_everyone),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_public(statement: &str, expected: bool) {
        let of =
            |statements: &str| format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
        assert_eq!(is_public(&of(statement)), expected, "{statement}");
        assert_eq!(is_public(&of(&format!("[{statement}]"))), expected, "{statement}");
    }

    #[test]
    fn what_everyone_may_do_is_public() {
        check_public(r#"{"Effect":"Allow","Principal":"*","Action":"*"}"#, true);
        check_public(r#"{"Effect":"Allow","Principal":{"AWS":["a","*"]},"Action":"*"}"#, true);
        check_public(r#"{"Effect":"Deny","Principal":"*","Action":"*"}"#, false);
        check_public(r#"{"Effect":"Allow","Principal":{"AWS":"000000000000"}}"#, false);
        let condition = r#""Condition":{"StringEquals":{"aws:PrincipalAccount":"000000000000"}}"#;
        check_public(&format!(r#"{{"Effect":"Allow","Principal":"*",{condition}}}"#), false);
    }
}
