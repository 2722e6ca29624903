//! `DeleteRegistryPolicy`.

use outport_aws_ecr::{DeleteRegistryPolicyRequest, DeleteRegistryPolicyResponse, EcrError};
use outport_identity::Call;
use outport_image_registry::RegistrySetting;

use crate::EcrService;
use crate::operations::get_registry_policy::none;
use crate::rejection::rejection;

pub(crate) async fn delete_registry_policy(
    service: &EcrService,
    call: &Call,
    _input: DeleteRegistryPolicyRequest,
) -> Result<DeleteRegistryPolicyResponse, EcrError> {
    let whole = service.whole_registry(call, "ecr:DeleteRegistryPolicy")?;
    let before = whole
        .blocking(|registry, scope| {
            let before = registry.put_setting(scope, RegistrySetting::Policy, None);
            before.map_err(|error| rejection(error, scope, None))
        })
        .await?;
    let kept = before.ok_or_else(|| none(&whole.scope))?;
    Ok(DeleteRegistryPolicyResponse {
        registry_id: Some(whole.scope.account.to_string()),
        policy_text: Some(service.principals.with_arns(&kept)),
    })
}
