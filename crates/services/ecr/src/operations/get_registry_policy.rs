//! `GetRegistryPolicy`.

use outport_aws_ecr::{EcrError, GetRegistryPolicyRequest, GetRegistryPolicyResponse};
use outport_identity::Call;
use outport_image_registry::RegistrySetting;
use outport_model::Scope;

use crate::EcrService;
use crate::rejection::rejection;

pub(crate) async fn get_registry_policy(
    service: &EcrService,
    call: &Call,
    _input: GetRegistryPolicyRequest,
) -> Result<GetRegistryPolicyResponse, EcrError> {
    let whole = service.whole_registry(call, "ecr:GetRegistryPolicy")?;
    let found = whole
        .blocking(|registry, scope| {
            let found = registry.setting(scope, RegistrySetting::Policy);
            found.map_err(|error| rejection(error, scope, None))
        })
        .await?;
    let kept = found.ok_or_else(|| none(&whole.scope))?;
    Ok(GetRegistryPolicyResponse {
        registry_id: Some(whole.scope.account.to_string()),
        policy_text: Some(service.principals.with_arns(&kept)),
    })
}

/// Source of the text: ECR, as public test suites expect it.
pub(crate) fn none(scope: &Scope) -> EcrError {
    let text =
        format!("Registry policy does not exist in the registry with id '{}'", scope.account);
    EcrError::registry_policy_not_found_exception(text)
}
