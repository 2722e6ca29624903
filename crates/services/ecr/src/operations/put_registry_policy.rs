//! `PutRegistryPolicy`: kept and shown. What it governs on AWS, replication and pull through a cache, is not built.

use outport_aws_ecr::{EcrError, PutRegistryPolicyRequest, PutRegistryPolicyResponse};
use outport_identity::Call;
use outport_image_registry::RegistrySetting;

use crate::EcrService;
use crate::policies::{check_registry_policy, invalid_registry_policy};
use crate::rejection::rejection;

pub(crate) async fn put_registry_policy(
    service: &EcrService,
    call: &Call,
    input: PutRegistryPolicyRequest,
) -> Result<PutRegistryPolicyResponse, EcrError> {
    let text = input.policy_text.unwrap_or_default();
    check_registry_policy(&text)?;
    let whole = service.whole_registry(call, "ecr:PutRegistryPolicy")?;
    let kept = service.principals.with_ids(&whole.scope.account, &text);
    let kept = kept.ok_or_else(invalid_registry_policy)?;
    whole
        .blocking(move |registry, scope| {
            let put = registry.put_setting(scope, RegistrySetting::Policy, Some(&kept));
            put.map_err(|error| rejection(error, scope, None))
        })
        .await?;
    let registry_id = Some(whole.scope.account.to_string());
    Ok(PutRegistryPolicyResponse { registry_id, policy_text: Some(text) })
}
