//! `UpdatePullThroughCacheRule`: other credentials.

use outport_aws_ecr::{
    EcrError, UpdatePullThroughCacheRuleRequest, UpdatePullThroughCacheRuleResponse,
};
use outport_identity::Call;

use super::create_pull_through_cache_rule::refuse_role;
use crate::EcrService;
use crate::pull_through::{Rules, check_secret, trimmed};
use crate::rejection::invalid_parameter;

pub(crate) async fn update_pull_through_cache_rule(
    service: &EcrService,
    call: &Call,
    input: UpdatePullThroughCacheRuleRequest,
) -> Result<UpdatePullThroughCacheRuleResponse, EcrError> {
    refuse_role(input.custom_role_arn.as_deref())?;
    let prefix = trimmed(input.ecr_repository_prefix.as_deref());
    let action = "ecr:UpdatePullThroughCacheRule";
    let whole = service.registry_of_caller(call, action, input.registry_id.as_deref())?;
    let Some(arn) = input.credential_arn else {
        return Err(invalid_parameter("credentialArn", "must not be null"));
    };
    let wanted = prefix.clone();
    whole
        .blocking(move |registry, scope| Rules::of(registry, scope)?.get(scope, &wanted).map(drop))
        .await?;
    check_secret(service.upstream(), &whole.scope, &arn).await?;
    let now_ms = call.now_ms;
    let rule = whole
        .blocking(move |registry, scope| {
            Rules::change(registry, scope, |rules| {
                rules.get(scope, &prefix)?;
                let rule = rules.rules.iter_mut().find(|rule| rule.prefix == prefix);
                Ok(rule.map(|rule| {
                    rule.credential_arn = Some(arn);
                    rule.updated_at_ms = now_ms;
                    rule.clone()
                }))
            })
        })
        .await?;
    let view = rule.map(|rule| rule.view(&whole.scope)).unwrap_or_default();
    Ok(UpdatePullThroughCacheRuleResponse {
        ecr_repository_prefix: view.ecr_repository_prefix,
        registry_id: view.registry_id,
        updated_at: view.updated_at,
        credential_arn: view.credential_arn,
        custom_role_arn: None,
        upstream_repository_prefix: view.upstream_repository_prefix,
    })
}
