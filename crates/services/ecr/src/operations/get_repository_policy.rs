//! `GetRepositoryPolicy`.

use outport_aws_ecr::{EcrError, GetRepositoryPolicyRequest, GetRepositoryPolicyResponse};
use outport_identity::Call;

use crate::EcrService;
use crate::access::target;
use crate::service::Target;

pub(crate) async fn get_repository_policy(
    service: &EcrService,
    call: &Call,
    input: GetRepositoryPolicyRequest,
) -> Result<GetRepositoryPolicyResponse, EcrError> {
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:GetRepositoryPolicy", registry_id, name).await?;
    let found = target
        .blocking(|registry, target| {
            let found = registry.repository(&target.scope, &target.name);
            found.map_err(|error| target.reject(error))
        })
        .await?;
    let policy_text = found.policy.ok_or_else(|| none(&target))?;
    Ok(GetRepositoryPolicyResponse {
        registry_id: Some(target.scope.account.to_string()),
        repository_name: Some(target.name.to_string()),
        policy_text: Some(service.principals.with_arns(&policy_text)),
    })
}

/// Source of the text: ECR.
pub(crate) fn none(target: &Target) -> EcrError {
    let text = format!("Repository policy does not exist for the {}", target.place());
    EcrError::repository_policy_not_found_exception(text)
}
