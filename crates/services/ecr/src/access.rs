//! Which repository a request is about, and whether the caller may do what it asks.
//!
//! Source of actions, resources and condition keys: "Actions, resources, and condition keys for Amazon Elastic
//! Container Registry" in the Service Authorization Reference.

use outport_aws_ecr::EcrError;
use outport_identity::{Call, Question, ResourcePolicy, Subject};
use outport_image_registry::RepositoryName;
use outport_model::{AccountId, Scope, Tags};

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
