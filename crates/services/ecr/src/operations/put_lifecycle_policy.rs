//! `PutLifecyclePolicy`.

use outport_aws_ecr::{EcrError, PutLifecyclePolicyRequest, PutLifecyclePolicyResponse};
use outport_identity::Call;
use outport_image_registry::LifecyclePolicy;

use crate::EcrService;
use crate::access::target;
use crate::rejection::invalid_parameter;

pub(crate) async fn put_lifecycle_policy(
    service: &EcrService,
    call: &Call,
    input: PutLifecyclePolicyRequest,
) -> Result<PutLifecyclePolicyResponse, EcrError> {
    let text = input.lifecycle_policy_text.unwrap_or_default();
    check(&text)?;
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:PutLifecyclePolicy", registry_id, name).await?;
    let policy = text.clone();
    target
        .blocking(move |registry, target| {
            let put = registry.put_lifecycle_policy(&target.scope, &target.name, Some(&policy));
            put.map_err(|error| target.reject(error))
        })
        .await?;
    Ok(PutLifecyclePolicyResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        lifecycle_policy_text: Some(text),
    })
}

/// # Errors
/// `InvalidParameterException`.
pub(crate) fn check(text: &str) -> Result<(), EcrError> {
    let parsed = LifecyclePolicy::parse(text);
    let invalid = |reason: String| invalid_parameter("LifecyclePolicyText", &reason);
    parsed.map(drop).map_err(|malformed| invalid(malformed.to_string()))
}
