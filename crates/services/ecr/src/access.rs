//! Which repository a request is about, and whether the caller may do what it asks.
//!
//! Source of actions, resources and condition keys: "Actions, resources, and condition keys for Amazon Elastic
//! Container Registry" in the Service Authorization Reference.

use outport_aws_ecr::EcrError;
use outport_aws_wire::WireError;
use outport_identity::{Call, ConditionContext};
use outport_image_registry::{RegistryError, RepositoryName, repository_arn};
use outport_model::{AccountId, Scope};

use crate::EcrService;
use crate::rejection::{invalid_parameter, rejection};

/// A repository, existing or not, that the caller may act on.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) scope: Scope,
    pub(crate) name: RepositoryName,
}

impl Target {
    pub(crate) fn reject(&self, error: RegistryError) -> EcrError {
        rejection(error, &self.scope, Some(&self.name))
    }

    /// `in the repository with name … in the registry with id …`, with which many of ECR's texts end.
    pub(crate) fn place(&self) -> String {
        format!(
            "repository with name '{}' in the registry with id '{}'",
            self.name, self.scope.account
        )
    }
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

/// Asks whether the caller may do `action` to the repository; the tags of an existing one are among the
/// conditions.
pub(crate) async fn target(
    service: &EcrService,
    call: &Call,
    action: &str,
    registry_id: Option<&str>,
    name: Option<&str>,
) -> Result<Target, EcrError> {
    let target = Target { scope: scope(call, registry_id), name: repository_name(name)? };
    let context = resource_context(service, &target).await?;
    authorize(call, action, &repository_arn(&target.scope, &target.name), &context)?;
    Ok(target)
}

/// # Errors
/// `RepositoryNotFoundException`.
pub(crate) async fn existing_repository(
    service: &EcrService,
    target: &Target,
) -> Result<(), EcrError> {
    let wanted = target.clone();
    service
        .blocking(move |registry| {
            let found = registry.repository(&wanted.scope, &wanted.name);
            found.map(drop).map_err(|error| wanted.reject(error))
        })
        .await
}

/// The condition keys of a repository's own tags; none if it does not exist.
pub(crate) async fn resource_context(
    service: &EcrService,
    target: &Target,
) -> Result<ConditionContext, EcrError> {
    let wanted = target.clone();
    let found = service
        .blocking(move |registry| match registry.repository(&wanted.scope, &wanted.name) {
            Err(RegistryError::RepositoryNotFound { .. }) => Ok(None),
            Err(error) => Err(wanted.reject(error)),
            Ok(repository) => Ok(Some(repository)),
        })
        .await?;
    let tags = found.map(|repository| repository.tags).unwrap_or_default();
    let own = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut context = ConditionContext::new().with_resource_tags(own);
    for (key, value) in &tags {
        context.set(format!("ecr:ResourceTag/{key}"), value.as_str());
    }
    Ok(context)
}

pub(crate) fn authorize(
    call: &Call,
    action: &str,
    resource: &str,
    context: &ConditionContext,
) -> Result<(), EcrError> {
    let allowed = call.authorize(action, resource, context);
    allowed.map_err(|denied| WireError::access_denied(denied.message).into())
}
