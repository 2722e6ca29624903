//! Which repository a request is about, and whether the caller may do what it asks.
//!
//! Source of actions, resources and condition keys: "Actions, resources, and condition keys for Amazon Elastic
//! Container Registry" in the Service Authorization Reference.

use outport_aws_ecr::EcrError;
use outport_identity::{Call, Question, ResourcePolicy, Subject};
use outport_image_registry::RepositoryName;
use outport_model::{AccountId, Scope, Tags};
use serde_json::{Value, json};

use crate::rejection::invalid_parameter;
use crate::service::{EcrService, Target};

/// May the caller do `action` to the repository with these tags and this repository policy? The same at both doors, the
/// API's and the registry's own.
pub(crate) fn question(
    action: &'static str,
    resource: &str,
    tags: &Tags,
    policy: Option<&str>,
) -> Question {
    let policy = policy.map(|text| ResourcePolicy::Repository(text.to_owned()));
    Question::new(action, resource).with_resource_tags_of("ecr", tags).with_resource_policy(policy)
}

/// The same by the policies that there are: the repository's, and the registry's.
pub(crate) fn question_by(
    action: &'static str,
    resource: &str,
    tags: &Tags,
    (policy, registry_policy): (Option<&str>, Option<&str>),
) -> Question {
    match registry_policy {
        Some(registry) => question_in_registry(action, resource, tags, (policy, registry)),
        None => question(action, resource, tags, policy),
    }
}

/// The same of an action that the registry policy is about, too. Source: user guide, "IAM permissions required to sync an upstream
/// registry": granted by the registry's policy, by an identity-based one or by the repository's. Both documents are asked as one, so
/// that a `Deny` in either counts; a repository's statements name no resource, which is the repository.
fn question_in_registry(
    action: &'static str,
    resource: &str,
    tags: &Tags,
    (policy, registry_policy): (Option<&str>, &str),
) -> Question {
    // A text that is no policy denies everything.
    let together = together(policy, registry_policy).unwrap_or_default();
    Question::new(action, resource)
        .with_resource_tags_of("ecr", tags)
        .with_resource_policy(Some(ResourcePolicy::Ordinary(together)))
}

/// Both documents as one. `None`: one of them cannot be read, and nobody knows what it denies.
fn together(policy: Option<&str>, registry_policy: &str) -> Option<String> {
    let mut all = statements(registry_policy)?;
    let of_repository = policy.map_or_else(|| Some(Vec::new()), statements)?;
    all.extend(of_repository.into_iter().map(|mut statement| {
        statement["Resource"] = "*".into();
        statement
    }));
    Some(json!({ "Version": "2012-10-17", "Statement": all }).to_string())
}

/// Of a document that was checked when it was set: each is an object.
fn statements(text: &str) -> Option<Vec<Value>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let statements = match document.get("Statement")? {
        Value::Array(statements) => statements.clone(),
        single => vec![single.clone()],
    };
    statements.iter().all(Value::is_object).then_some(statements)
}

/// The registry of a request: the caller's own, or that of the account in `registryId`.
pub(crate) fn scope(call: &Call, registry_id: Option<&str>) -> Scope {
    let account = registry_id.map_or_else(|| call.account.clone(), AccountId::new);
    Scope::new(account, call.region.clone())
}

pub(crate) fn repository_name(text: Option<&str>) -> Result<RepositoryName, EcrError> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| {
        let constraint = "must satisfy regular expression '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*'";
        invalid_parameter("repositoryName", constraint)
    })
}

/// The repository that a request names, for a caller who may do `action` to it.
pub(crate) async fn target(
    service: &EcrService,
    call: &Call,
    action: &'static str,
    registry_id: Option<&str>,
    name: Option<&str>,
) -> Result<Target, EcrError> {
    let (scope, name) = (scope(call, registry_id), repository_name(name)?);
    service.target(call, action, scope, name, Subject::from).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_policies_are_asked_as_one() {
        let one = r#"{"Version":"2012-10-17","Statement":{"Sid":"registry","Resource":"arn"}}"#;
        let other = r#"{"Statement":[{"Sid":"repository"}]}"#;
        let question =
            question_in_registry("ecr:CreateRepository", "arn", &Tags::new(), (Some(other), one));
        let expected = r#"{"Version":"2012-10-17","Statement":[{"Sid":"registry","Resource":"arn"},{"Sid":"repository","Resource":"*"}]}"#;
        assert_eq!(question.resource_policy, Some(ResourcePolicy::Ordinary(expected.to_owned())));
    }

    #[test]
    fn what_cannot_be_read_denies_everything() {
        let good = r#"{"Statement":[{"Sid":"a"}]}"#;
        for broken in ["", "{", "{}", r#"{"Statement":["x"]}"#] {
            for pair in [(Some(broken), good), (Some(good), broken)] {
                let question =
                    question_in_registry("ecr:CreateRepository", "a", &Tags::new(), pair);
                let text = ResourcePolicy::Ordinary(String::new());
                assert_eq!(question.resource_policy, Some(text), "{pair:?}");
            }
        }
    }
}
