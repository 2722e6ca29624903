//! `UpdateRepositoryCreationTemplate`: what is given is set, and nothing else. Repositories that were made stay as they are.

use outport_aws_ecr::{
    EcrError, UpdateRepositoryCreationTemplateRequest, UpdateRepositoryCreationTemplateResponse,
};
use outport_identity::Call;

use super::create_repository_creation_template::{
    applied_for, check_encryption, given_lifecycle_policy, given_policy, kept_policy,
};
use crate::operations::put_image_tag_mutability::tag_mutability;
use crate::pull_through::{Templates, trimmed};
use crate::{EcrService, resource_tags};

pub(crate) async fn update_repository_creation_template(
    service: &EcrService,
    call: &Call,
    input: UpdateRepositoryCreationTemplateRequest,
) -> Result<UpdateRepositoryCreationTemplateResponse, EcrError> {
    check_encryption(input.encryption_configuration.as_ref())?;
    let filters = input.image_tag_mutability_exclusion_filters;
    let setting = match input.image_tag_mutability {
        Some(setting) => Some(tag_mutability(Some(setting), filters.unwrap_or_default())?),
        None => None,
    };
    let tags = input.resource_tags.map(|tags| resource_tags::parse(&tags)).transpose()?;
    let policy = input.repository_policy.map(|text| given_policy(Some(text))).transpose()?;
    let lifecycle = input.lifecycle_policy.map(|text| given_lifecycle_policy(Some(text)));
    let lifecycle = lifecycle.transpose()?;
    let applied = input.applied_for.map(applied_for).transpose()?;
    let (description, role) = (input.description, input.custom_role_arn);
    let prefix = trimmed(input.prefix.as_deref());
    let whole = service.whole_registry(call, "ecr:UpdateRepositoryCreationTemplate")?;
    let policy = policy.map(|given| kept_policy(service, &whole.scope, given)).transpose()?;
    let now_ms = call.now_ms;
    let template = whole
        .blocking(move |registry, scope| {
            Templates::change(registry, scope, |templates| {
                let template = templates.get_mut(scope, &prefix)?;
                if let Some(setting) = &setting {
                    template.set_tag_mutability(setting);
                }
                template.tags = tags.unwrap_or_else(|| template.tags.clone());
                template.repository_policy =
                    policy.unwrap_or_else(|| template.repository_policy.clone());
                template.lifecycle_policy =
                    lifecycle.unwrap_or_else(|| template.lifecycle_policy.clone());
                template.applied_for = applied.unwrap_or_else(|| template.applied_for.clone());
                template.description = description.or_else(|| template.description.clone());
                template.custom_role_arn = role.or_else(|| template.custom_role_arn.clone());
                template.updated_at_ms = now_ms;
                Ok(template.clone())
            })
        })
        .await?;
    Ok(UpdateRepositoryCreationTemplateResponse {
        registry_id: Some(whole.scope.account.to_string()),
        repository_creation_template: Some(template.view(&*service.principals)),
    })
}
