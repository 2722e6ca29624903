//! `DescribePullThroughCacheRules`.

use outport_aws_ecr::{
    DescribePullThroughCacheRulesRequest, DescribePullThroughCacheRulesResponse, EcrError,
};
use outport_identity::Call;

use crate::EcrService;
use crate::page::Page;
use crate::pull_through::{Rules, trimmed};

pub(crate) async fn describe_pull_through_cache_rules(
    service: &EcrService,
    call: &Call,
    input: DescribePullThroughCacheRulesRequest,
) -> Result<DescribePullThroughCacheRulesResponse, EcrError> {
    let page = Page::parse(input.max_results, input.next_token.as_deref())?;
    let action = "ecr:DescribePullThroughCacheRules";
    let whole = service.registry_of_caller(call, action, input.registry_id.as_deref())?;
    let rules = whole.blocking(|registry, scope| Rules::of(registry, scope)).await?;
    let mut found = Vec::new();
    match &input.ecr_repository_prefixes {
        Some(prefixes) => {
            for prefix in prefixes {
                found.push(rules.get(&whole.scope, &trimmed(Some(prefix)))?.clone());
            }
        }
        None => found = rules.rules,
    }
    found.retain(|rule| page.after.as_deref().is_none_or(|after| rule.prefix.as_str() > after));
    let (found, next_token) = page.cut(found, |last| last.prefix.clone());
    let rules = found.iter().map(|rule| rule.view(&whole.scope)).collect();
    Ok(DescribePullThroughCacheRulesResponse { pull_through_cache_rules: Some(rules), next_token })
}
