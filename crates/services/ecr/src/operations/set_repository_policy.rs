//! `SetRepositoryPolicy`.

use outport_aws_ecr::{EcrError, SetRepositoryPolicyRequest, SetRepositoryPolicyResponse};
use outport_identity::{Call, Subject};

use crate::EcrService;
use crate::access::target;
use crate::policies::{check_repository_policy, invalid_repository_policy};
use crate::rejection::invalid_parameter;
use crate::service::{Target, open};

/// The text is ours: AWS's is not known.
const LOCKS_OUT: &str = "The repository policy would keep you from setting another one. Set it with force if that is what you want";

pub(crate) async fn set_repository_policy(
    service: &EcrService,
    call: &Call,
    input: SetRepositoryPolicyRequest,
) -> Result<SetRepositoryPolicyResponse, EcrError> {
    let text = input.policy_text.unwrap_or_default();
    check_repository_policy(&text)?;
    let (registry_id, name) = (input.registry_id.as_deref(), input.repository_name.as_deref());
    let target = target(service, call, "ecr:SetRepositoryPolicy", registry_id, name).await?;
    let kept = service.principals.with_ids(&target.scope.account, &text);
    let kept = kept.ok_or_else(invalid_repository_policy)?;
    if !input.force.unwrap_or_default() {
        refuse_lockout(call, &target, &kept)?;
    }
    let (registry_id, repository_name) =
        (Some(target.scope.account.to_string()), Some(target.name.to_string()));
    target
        .blocking(move |registry, target| {
            let put = registry.put_repository_policy(&target.scope, &target.name, Some(&kept));
            put.map_err(|error| target.reject(error))
        })
        .await?;
    Ok(SetRepositoryPolicyResponse { registry_id, repository_name, policy_text: Some(text) })
}

/// Source: API reference, `force`: "If the policy you are attempting to set on a repository policy would prevent you from
/// setting another policy in the future, you must force the SetRepositoryPolicy operation."
fn refuse_lockout(call: &Call, target: &Target, policy: &str) -> Result<(), EcrError> {
    let next = target.question_under("ecr:SetRepositoryPolicy", policy);
    open(call, Subject::from(next)).map_err(|_| invalid_parameter("PolicyText", LOCKS_OUT))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use outport_aws_ecr::{DeleteRepositoryPolicyRequest, EcrHandler, GetRepositoryPolicyRequest};
    use outport_identity::{AuthorizationRequest, Denied, PermissionSource, ResourcePolicy};

    use super::*;
    use crate::testing::Fixture;

    /// Allows everything that no repository policy with `Deny` is about.
    #[derive(Debug)]
    struct UnlessDenied;

    impl PermissionSource for UnlessDenied {
        fn decide(&self, request: &AuthorizationRequest<'_>) -> Result<(), Denied> {
            match request.resource_policy {
                Some(ResourcePolicy::Repository(text)) if text.contains("Deny") => {
                    Err(Denied::by_no_identity_based_policy(request))
                }
                _ => Ok(()),
            }
        }
    }

    fn policy(effect: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":"*","Action":"ecr:*"}}]}}"#
        )
    }

    async fn set(fixture: &Fixture, text: &str, force: bool) -> Result<(), EcrError> {
        let input = SetRepositoryPolicyRequest {
            repository_name: Some("app".into()),
            policy_text: Some(text.to_owned()),
            force: Some(force),
            ..Default::default()
        };
        set_repository_policy(&fixture.service, &fixture.call, input).await.map(drop)
    }

    #[tokio::test]
    async fn a_policy_is_kept_shown_and_taken_away() {
        let fixture = Fixture::new();
        fixture.create("app").await;
        let text = policy("Allow");
        set(&fixture, &text, false).await.expect("set");
        let (service, call) = (&fixture.service, &fixture.call);
        let name = Some("app".to_owned());
        let get =
            GetRepositoryPolicyRequest { repository_name: name.clone(), ..Default::default() };
        let shown = service.get_repository_policy(call, get.clone()).await.expect("the policy");
        assert_eq!(shown.policy_text.as_deref(), Some(text.as_str()));
        let delete = DeleteRepositoryPolicyRequest { repository_name: name, ..Default::default() };
        let deleted = service.delete_repository_policy(call, delete.clone()).await;
        assert_eq!(deleted.expect("the policy").policy_text, Some(text));
        assert!(service.get_repository_policy(call, get).await.is_err());
        let again = service.delete_repository_policy(call, delete).await.expect_err("none is left");
        assert!(again.to_string().starts_with("RepositoryPolicyNotFoundException"), "{again}");
    }

    #[tokio::test]
    async fn who_locks_himself_out_has_to_say_so() {
        let mut fixture = Fixture::new();
        fixture.create("app").await;
        fixture.call = fixture.call.clone().asking(Arc::new(UnlessDenied));
        let refused = set(&fixture, &policy("Deny"), false).await;
        assert_eq!(refused, Err(invalid_parameter("PolicyText", LOCKS_OUT)));
        set(&fixture, &policy("Allow"), false).await.expect("it locks nobody out");
        set(&fixture, &policy("Deny"), true).await.expect("forced");
        let denied = set(&fixture, &policy("Allow"), true).await.expect_err("locked out");
        assert!(denied.to_string().contains("not authorized"), "{denied}");
    }
}
