//! `CreateRepositoryCreationTemplate`.

use outport_aws_ecr::{
    CreateRepositoryCreationTemplateRequest, CreateRepositoryCreationTemplateResponse, EcrError,
    EncryptionConfigurationForRepositoryCreationTemplate, EncryptionType, RCTAppliedFor,
};
use outport_identity::Call;
use outport_model::Scope;

use crate::operations::put_image_tag_mutability::tag_mutability;
use crate::operations::put_lifecycle_policy;
use crate::policies::{check_repository_policy, invalid_repository_policy};
use crate::pull_through::{Template, Templates, trimmed};
use crate::rejection::invalid_parameter;
use crate::{EcrService, resource_tags};

pub(crate) async fn create_repository_creation_template(
    service: &EcrService,
    call: &Call,
    input: CreateRepositoryCreationTemplateRequest,
) -> Result<CreateRepositoryCreationTemplateResponse, EcrError> {
    check_encryption(input.encryption_configuration.as_ref())?;
    let setting = tag_mutability(
        input.image_tag_mutability,
        input.image_tag_mutability_exclusion_filters.unwrap_or_default(),
    )?;
    let mut template = Template {
        prefix: trimmed(input.prefix.as_deref()),
        description: input.description,
        tags: resource_tags::parse(&input.resource_tags.unwrap_or_default())?,
        mutability: String::new(),
        mutability_filters: Vec::new(),
        repository_policy: given_policy(input.repository_policy)?,
        lifecycle_policy: given_lifecycle_policy(input.lifecycle_policy)?,
        applied_for: applied_for(input.applied_for.unwrap_or_default())?,
        custom_role_arn: input.custom_role_arn,
        created_at_ms: call.now_ms,
        updated_at_ms: call.now_ms,
    };
    template.set_tag_mutability(&setting);
    let whole = service.whole_registry(call, "ecr:CreateRepositoryCreationTemplate")?;
    template.repository_policy = kept_policy(service, &whole.scope, template.repository_policy)?;
    let added = template.clone();
    whole
        .blocking(move |registry, scope| {
            Templates::change(registry, scope, |templates| templates.add(scope, added))
        })
        .await?;
    Ok(CreateRepositoryCreationTemplateResponse {
        registry_id: Some(whole.scope.account.to_string()),
        repository_creation_template: Some(template.view(&*service.principals)),
    })
}

/// What makes repositories here is a pull-through cache; what nothing does is refused by name.
pub(crate) fn applied_for(given: Vec<RCTAppliedFor>) -> Result<Vec<String>, EcrError> {
    if given.is_empty() {
        return Err(invalid_parameter("appliedFor", "must have at least one value"));
    }
    if let Some(other) = given.iter().find(|one| **one != RCTAppliedFor::PullThroughCache) {
        let constraint = format!("{other} is not built here: only PULL_THROUGH_CACHE is");
        return Err(invalid_parameter("appliedFor", &constraint));
    }
    Ok(vec![RCTAppliedFor::PullThroughCache.to_string()])
}

pub(crate) fn check_encryption(
    given: Option<&EncryptionConfigurationForRepositoryCreationTemplate>,
) -> Result<(), EcrError> {
    let Some(given) = given else { return Ok(()) };
    let has_key = given.kms_key.as_ref().is_some_and(|key| !key.is_empty());
    match given.encryption_type {
        None | Some(EncryptionType::Aes256) if !has_key => Ok(()),
        _ => {
            let constraint = "the encryption type must be AES256: this registry has no KMS";
            Err(invalid_parameter("encryptionConfiguration", constraint))
        }
    }
}

/// An empty text takes a policy away.
pub(crate) fn given_policy(text: Option<String>) -> Result<Option<String>, EcrError> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| check_repository_policy(&text).map(|()| text)).transpose()
}

/// As it is kept.
pub(crate) fn kept_policy(
    service: &EcrService,
    scope: &Scope,
    given: Option<String>,
) -> Result<Option<String>, EcrError> {
    let kept = |text: String| {
        let kept = service.principals.with_ids(&scope.account, &text);
        kept.ok_or_else(invalid_repository_policy)
    };
    given.map(kept).transpose()
}

pub(crate) fn given_lifecycle_policy(text: Option<String>) -> Result<Option<String>, EcrError> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| put_lifecycle_policy::check(&text).map(|()| text)).transpose()
}
