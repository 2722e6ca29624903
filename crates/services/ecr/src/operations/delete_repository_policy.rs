//! `DeleteRepositoryPolicy`.

use outport_aws_ecr::{DeleteRepositoryPolicyRequest, DeleteRepositoryPolicyResponse, EcrError};
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;
use crate::operations::get_repository_policy::none;

pub(crate) async fn delete_repository_policy(
    service: &EcrService,
    call: &Call,
    input: DeleteRepositoryPolicyRequest,
) -> Result<DeleteRepositoryPolicyResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:DeleteRepositoryPolicy", registry_id, name).await?;
    let before = target
        .blocking(|registry, target| {
            let before = registry.put_repository_policy(&target.scope, &target.name, None);
            before.map_err(|error| target.reject(error))
        })
        .await?;
    let before = before.ok_or_else(|| none(&target))?;
    Ok(DeleteRepositoryPolicyResponse {
        policy_text: Some(service.principals.with_arns(&before)),
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
    })
}
