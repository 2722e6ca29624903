//! `StartLifecyclePolicyPreview`.

use outport_aws_ecr::{
    EcrError, LifecyclePolicyPreviewStatus, StartLifecyclePolicyPreviewRequest,
    StartLifecyclePolicyPreviewResponse,
};
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;
use crate::operations::get_lifecycle_policy::none;
use crate::operations::put_lifecycle_policy::check;

/// Of the policy in the request, or of the repository's own. It is complete as soon as somebody looks.
pub(crate) async fn start_lifecycle_policy_preview(
    service: &EcrService,
    call: &Call,
    input: StartLifecyclePolicyPreviewRequest,
) -> Result<StartLifecyclePolicyPreviewResponse, EcrError> {
    if let Some(text) = &input.lifecycle_policy_text {
        check(text)?;
    }
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target =
        target(service, call, "ecr:StartLifecyclePolicyPreview", registry_id, name).await?;
    let (given, now_ms) = (input.lifecycle_policy_text, call.now_ms);
    let policy = target
        .blocking(move |registry, target| {
            let reject = |error| target.reject(error);
            let (scope, name) = (&target.scope, &target.name);
            let own = registry.lifecycle_policy(scope, name).map_err(reject)?;
            let policy = given.or(own.map(|state| state.policy)).ok_or_else(|| none(target))?;
            registry.start_lifecycle_preview(scope, name, &policy, now_ms).map_err(reject)?;
            Ok(policy)
        })
        .await?;
    Ok(StartLifecyclePolicyPreviewResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        lifecycle_policy_text: Some(policy),
        status: Some(LifecyclePolicyPreviewStatus::InProgress),
    })
}
