//! Policies of repositories and of the registry on their way in.
//!
//! Source of the texts: users of AWS report both; what is wrong with a document ECR does not say.

use outport_aws_ecr::EcrError;
use outport_policy::{Policy, PolicyKind};
use serde_json::Value;

use crate::rejection::invalid_parameter;

/// A repository policy names no resource: it is the repository. Source: users of AWS report that one with `Resource` is
/// refused.
///
/// # Errors
/// `InvalidParameterException`.
pub(crate) fn check_repository_policy(text: &str) -> Result<(), EcrError> {
    Policy::compile(text, PolicyKind::Repository).map_err(|_| invalid_repository_policy())?;
    if names_resources(text) { Err(invalid_repository_policy()) } else { Ok(()) }
}

/// # Errors
/// `InvalidParameterException`.
pub(crate) fn check_registry_policy(text: &str) -> Result<(), EcrError> {
    let compiled = Policy::compile(text, PolicyKind::Resource);
    compiled.map(drop).map_err(|_| invalid_registry_policy())
}

/// Of one that names a user or a role which is not there, too. Source: AWS prescriptive guidance on policies of repositories for
/// other accounts: "If the role doesn't exist, you'll receive an error similar to invalid repository policy provided".
pub(crate) fn invalid_repository_policy() -> EcrError {
    invalid_parameter("PolicyText", "Invalid repository policy provided")
}

pub(crate) fn invalid_registry_policy() -> EcrError {
    invalid_parameter("PolicyText", "Invalid registry policy provided")
}

fn names_resources(text: &str) -> bool {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let statements = match &document["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        single => std::slice::from_ref(single),
    };
    let named = |statement: &Value| {
        ["Resource", "NotResource"].iter().any(|member| statement.get(member).is_some())
    };
    statements.iter().any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(statement: &str, repository: bool, registry: bool) {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        assert_eq!(check_repository_policy(&text).is_ok(), repository, "{statement}");
        assert_eq!(check_registry_policy(&text).is_ok(), registry, "{statement}");
    }

    #[test]
    fn a_repositorys_names_no_resource_and_a_registrys_does() {
        let base =
            r#""Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:ReplicateImage""#;
        check(&format!("{{{base}}}"), true, false);
        check(&format!("[{{{base}}}]"), true, false);
        let resource = r#""Resource":"arn:aws:ecr:us-east-1:000000000000:repository/*""#;
        check(&format!("[{{{base},{resource}}}]"), false, true);
        check("7", false, false);
        check(r#"{"Effect":"Allow","Action":"ecr:*","Resource":"*"}"#, false, false);
    }
}
