//! `CreatePullThroughCacheRule`.

use outport_aws_ecr::{
    CreatePullThroughCacheRuleRequest, CreatePullThroughCacheRuleResponse, EcrError,
    UpstreamRegistry,
};
use outport_aws_wire::Timestamp;
use outport_identity::Call;

use crate::EcrService;
use crate::pull_through::{Kind, ROOT, Rule, Rules, address, check_secret, trimmed};
use crate::rejection::invalid_parameter;

pub(crate) async fn create_pull_through_cache_rule(
    service: &EcrService,
    call: &Call,
    input: CreatePullThroughCacheRuleRequest,
) -> Result<CreatePullThroughCacheRuleResponse, EcrError> {
    let url = input.upstream_registry_url.unwrap_or_default();
    let address = address(&url)?.to_owned();
    refuse_role(input.custom_role_arn.as_deref())?;
    let kind = upstream(service, &address, input.upstream_registry)?;
    let credential_arn = input.credential_arn;
    if kind.as_ref().is_some_and(|kind| kind.needs_credentials) && credential_arn.is_none() {
        let constraint = "must be set: this upstream registry needs credentials";
        return Err(invalid_parameter("credentialArn", constraint));
    }
    let whole = service.registry_of_caller(
        call,
        "ecr:CreatePullThroughCacheRule",
        input.registry_id.as_deref(),
    )?;
    if let Some(arn) = &credential_arn {
        check_secret(service.upstream(), &whole.scope, arn).await?;
    }
    let rule = Rule {
        prefix: trimmed(input.ecr_repository_prefix.as_deref()),
        upstream_url: address,
        upstream: kind.map(|kind| kind.name.to_string()),
        credential_arn,
        upstream_prefix: trimmed(input.upstream_repository_prefix.as_deref().or(Some(ROOT))),
        created_at_ms: call.now_ms,
        updated_at_ms: call.now_ms,
    };
    let added = rule.clone();
    whole
        .blocking(move |registry, scope| {
            Rules::change(registry, scope, |rules| rules.add(scope, added))
        })
        .await?;
    Ok(CreatePullThroughCacheRuleResponse {
        upstream_registry: rule.upstream_registry(),
        ecr_repository_prefix: Some(rule.prefix),
        upstream_registry_url: Some(rule.upstream_url),
        created_at: Some(Timestamp::from_millis(rule.created_at_ms)),
        registry_id: Some(whole.scope.account.to_string()),
        credential_arn: rule.credential_arn,
        custom_role_arn: None,
        upstream_repository_prefix: Some(rule.upstream_prefix),
    })
}

/// A role is for a registry of ECR in another account of AWS.
pub(crate) fn refuse_role(custom_role_arn: Option<&str>) -> Result<(), EcrError> {
    match custom_role_arn {
        None => Ok(()),
        Some(_) => {
            let constraint = "is not built here: no role of AWS can be assumed, use credentialArn";
            Err(invalid_parameter("customRoleArn", constraint))
        }
    }
}

/// Which registry it is. One that AWS does not know has to be named by the operator: whoever makes rules would make this server ask
/// whatever it reaches.
fn upstream(
    service: &EcrService,
    address: &str,
    named: Option<UpstreamRegistry>,
) -> Result<Option<Kind>, EcrError> {
    let kind = Kind::of(address);
    if named.is_some_and(|named| kind.as_ref().is_none_or(|kind| kind.name != named)) {
        let constraint = "must be the name of the registry in upstreamRegistryUrl";
        return Err(invalid_parameter("upstreamRegistry", constraint));
    }
    match kind {
        Some(Kind { name: UpstreamRegistry::Ecr, .. }) => {
            Err(EcrError::unsupported_upstream_registry_exception(
                "The upstream registry ecr is not built here: a private registry of ECR is asked as a role of AWS.",
            ))
        }
        Some(kind) => Ok(Some(kind)),
        None if service.upstream().named_by_operator(address).is_some() => Ok(None),
        None => Err(EcrError::unsupported_upstream_registry_exception(format!(
            "The upstream registry {address} is not supported. The operator of this server names others with --upstream-registry."
        ))),
    }
}
