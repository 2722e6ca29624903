//! `ValidatePullThroughCacheRule`: asks the registry, as the rule's user.

use outport_aws_ecr::{
    EcrError, ValidatePullThroughCacheRuleRequest, ValidatePullThroughCacheRuleResponse,
};
use outport_identity::Call;
use outport_model::Scope;

use crate::EcrService;
use crate::pull_through::{Rule, Rules, UpstreamRepository, registry_of, trimmed};

pub(crate) async fn validate_pull_through_cache_rule(
    service: &EcrService,
    call: &Call,
    input: ValidatePullThroughCacheRuleRequest,
) -> Result<ValidatePullThroughCacheRuleResponse, EcrError> {
    let prefix = trimmed(input.ecr_repository_prefix.as_deref());
    let action = "ecr:ValidatePullThroughCacheRule";
    let whole = service.registry_of_caller(call, action, input.registry_id.as_deref())?;
    let rule = whole
        .blocking(move |registry, scope| Rules::of(registry, scope)?.get(scope, &prefix).cloned())
        .await?;
    let failure = ask(service, &whole.scope, &rule).await.err();
    let view = rule.view(&whole.scope);
    Ok(ValidatePullThroughCacheRuleResponse {
        ecr_repository_prefix: view.ecr_repository_prefix,
        registry_id: view.registry_id,
        upstream_registry_url: view.upstream_registry_url,
        credential_arn: view.credential_arn,
        custom_role_arn: None,
        upstream_repository_prefix: view.upstream_repository_prefix,
        is_valid: Some(failure.is_none()),
        failure,
    })
}

async fn ask(service: &EcrService, scope: &Scope, rule: &Rule) -> Result<(), String> {
    let upstream = service.upstream();
    let registry = registry_of(upstream, rule).map_err(|why| why.to_string())?;
    let user = match &rule.credential_arn {
        Some(arn) => Some(upstream.user(scope, arn).await.map_err(|why| why.to_string())?),
        None => None,
    };
    let of = UpstreamRepository { registry, name: String::new(), user };
    upstream.ping(&of).await.map_err(|why| why.to_string())
}
