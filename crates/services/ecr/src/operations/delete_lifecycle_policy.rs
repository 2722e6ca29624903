//! `DeleteLifecyclePolicy`.

use outport_aws_ecr::{DeleteLifecyclePolicyRequest, DeleteLifecyclePolicyResponse, EcrError};
use outport_aws_wire::Timestamp;
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;
use crate::operations::get_lifecycle_policy::none;

pub(crate) async fn delete_lifecycle_policy(
    service: &EcrService,
    call: &Call,
    input: DeleteLifecyclePolicyRequest,
) -> Result<DeleteLifecyclePolicyResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:DeleteLifecyclePolicy", registry_id, name).await?;
    let before = target
        .blocking(|registry, target| {
            let before = registry.put_lifecycle_policy(&target.scope, &target.name, None);
            before.map_err(|error| target.reject(error))
        })
        .await?;
    let before = before.ok_or_else(|| none(&target))?;
    Ok(DeleteLifecyclePolicyResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        lifecycle_policy_text: Some(before.policy),
        last_evaluated_at: before.evaluated_at_ms.map(Timestamp::from_millis),
    })
}
