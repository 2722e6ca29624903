//! `GetFederationToken`: some of a user's permissions, for somebody who has no user.

use outport_aws_sts::{FederatedUser, GetFederationTokenRequest, GetFederationTokenResponse};
use outport_identity::{Call, FederatingUser, Principal, Question, Session, Subject};

use crate::StsService;
use crate::operations::get_session_token::{check_long_term, duration};
use crate::rejection::Rejection;
use crate::session::{self, Limits};

pub fn get_federation_token(
    service: &StsService,
    call: &Call,
    input: GetFederationTokenRequest,
) -> Result<GetFederationTokenResponse, Rejection> {
    check_long_term(call, "GetFederationToken")?;
    let tags = session::tags(input.tags)?;
    let by = match &call.principal {
        Principal::User { path, name, id, .. } => {
            Some(FederatingUser { path: path.clone(), name: name.clone(), id: id.clone() })
        }
        _ => None,
    };
    let name = input.name.unwrap_or_default();
    let principal = Principal::FederatedUser { account: call.account.clone(), name, by };
    let question =
        Question::new("sts:GetFederationToken", principal.arn()).with_request_tags(&tags);
    let mut subject = Subject::from(question);
    if !tags.is_empty() {
        let question = Question::new("sts:TagSession", principal.arn()).with_request_tags(&tags);
        subject = subject.and(question);
    }
    call.open(subject)?;
    let tables = service.store.snapshot();
    let limits = Limits::parse(&tables, input.policy, input.policy_arns)?;
    let packed = limits.packed_size(&tags)?;
    let user =
        FederatedUser { federated_user_id: Some(principal.user_id()), arn: Some(principal.arn()) };
    let session = Session {
        issued_at_ms: call.now_ms,
        expires_at_ms: call.now_ms + duration(call, input.duration_seconds) * 1000,
        policy: limits.policy,
        policy_arns: limits.policy_arns,
        tags,
        ..Session::default()
    };
    Ok(GetFederationTokenResponse {
        credentials: Some(service.issue(principal, session)?),
        federated_user: Some(user),
        packed_policy_size: Some(packed),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{ADMIN, World, ann, text_of};

    const BOB: (&str, &str) = ("Name", "bob");
    const POLICY: (&str, &str) = (
        "Policy",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:GetAccessKeyInfo","Resource":"*"}]}"#,
    );

    #[tokio::test]
    async fn a_federated_user_has_what_both_allow() {
        let key = [("AccessKeyId", "AKIA0000000000000001")];
        let world = World::new(&[]).await;
        let text = "because no identity-based policy allows the sts:GetFederationToken action";
        world.refuses(&ann(), "GetFederationToken", &[BOB], "AccessDenied", text).await;

        let world = World::new(&[ADMIN]).await;
        let answer = world.call(&ann(), "GetFederationToken", &[BOB, POLICY]).await;
        assert_eq!(text_of(&answer, "FederatedUserId"), "000000000000:bob");
        let bob = world.credential(&answer);
        let who = world.call(&bob, "GetCallerIdentity", &[]).await;
        assert_eq!(text_of(&who, "Arn"), "arn:aws:sts::000000000000:federated-user/bob");
        assert_eq!(bob.session.as_ref().unwrap().policy.as_deref(), Some(POLICY.1));
        // Of STS it calls nothing else, whatever both allow.
        let text = "Cannot call GetAccessKeyInfo with session credentials";
        world.refuses(&bob, "GetAccessKeyInfo", &key, "AccessDenied", text).await;
        world.role("app", r#"{"AWS":"000000000000"}"#, "").await;
        let role =
            [("RoleArn", "arn:aws:iam::000000000000:role/app"), ("RoleSessionName", "build")];
        let text = "federated-user/bob is not authorized to perform: sts:AssumeRole";
        world.refuses(&bob, "AssumeRole", &role, "AccessDenied", text).await;
    }
}
