//! `DeletePullThroughCacheRule`. What was taken stays.

use outport_aws_ecr::{
    DeletePullThroughCacheRuleRequest, DeletePullThroughCacheRuleResponse, EcrError,
};
use outport_identity::Call;

use crate::EcrService;
use crate::pull_through::{Rules, trimmed};

pub(crate) async fn delete_pull_through_cache_rule(
    service: &EcrService,
    call: &Call,
    input: DeletePullThroughCacheRuleRequest,
) -> Result<DeletePullThroughCacheRuleResponse, EcrError> {
    let prefix = trimmed(input.ecr_repository_prefix.as_deref());
    let action = "ecr:DeletePullThroughCacheRule";
    let whole = service.registry_of_caller(call, action, input.registry_id.as_deref())?;
    let gone = whole
        .blocking(move |registry, scope| {
            Rules::change(registry, scope, |rules| {
                let gone = rules.get(scope, &prefix)?.clone();
                rules.rules.retain(|rule| rule.prefix != prefix);
                Ok(gone)
            })
        })
        .await?;
    let view = gone.view(&whole.scope);
    Ok(DeletePullThroughCacheRuleResponse {
        ecr_repository_prefix: view.ecr_repository_prefix,
        upstream_registry_url: view.upstream_registry_url,
        created_at: view.created_at,
        registry_id: view.registry_id,
        credential_arn: view.credential_arn,
        custom_role_arn: None,
        upstream_repository_prefix: view.upstream_repository_prefix,
    })
}
