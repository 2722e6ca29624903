//! `GetLifecyclePolicy`.

use outport_aws_ecr::{EcrError, GetLifecyclePolicyRequest, GetLifecyclePolicyResponse};
use outport_aws_wire::Timestamp;
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;
use crate::service::Target;

/// `lastEvaluatedAt` is left out until the policy was carried out for the first time.
pub(crate) async fn get_lifecycle_policy(
    service: &EcrService,
    call: &Call,
    input: GetLifecyclePolicyRequest,
) -> Result<GetLifecyclePolicyResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:GetLifecyclePolicy", registry_id, name).await?;
    let found = target
        .blocking(|registry, target| {
            let found = registry.lifecycle_policy(&target.scope, &target.name);
            found.map_err(|error| target.reject(error))
        })
        .await?;
    let state = found.ok_or_else(|| none(&target))?;
    Ok(GetLifecyclePolicyResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        lifecycle_policy_text: Some(state.policy),
        last_evaluated_at: state.evaluated_at_ms.map(Timestamp::from_millis),
    })
}

/// Source of the text: ECR.
pub(crate) fn none(target: &Target) -> EcrError {
    let text = format!("Lifecycle policy does not exist for the {}", target.place());
    EcrError::lifecycle_policy_not_found_exception(text)
}
