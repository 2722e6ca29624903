//! `GetSessionToken`: the caller's own permissions, with credentials that end.

use outport_aws_sts::{GetSessionTokenRequest, GetSessionTokenResponse};
use outport_identity::{Call, Principal, Session};

use crate::StsService;
use crate::rejection::Rejection;

/// Source: API reference, GetSessionToken, DurationSeconds: 12 hours by default, 36 at most; an hour for the account's root.
const DURATION_DEFAULT_SECONDS: i64 = 43_200;
pub(super) const ROOT_DURATION_MAX_SECONDS: i64 = 3_600;

/// Nobody needs a permission for it, nor can be denied it.
/// Source: API reference, GetSessionToken, Permissions: "No permissions are required".
pub fn get_session_token(
    service: &StsService,
    call: &Call,
    input: GetSessionTokenRequest,
) -> Result<GetSessionTokenResponse, Rejection> {
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(Rejection::not_built("SerialNumber"));
    }
    check_long_term(call, "GetSessionToken")?;
    let session = Session {
        issued_at_ms: call.now_ms,
        expires_at_ms: call.now_ms + duration(call, input.duration_seconds) * 1000,
        ..Session::default()
    };
    Ok(GetSessionTokenResponse {
        credentials: Some(service.issue(call.principal.clone(), session)?),
        ..Default::default()
    })
}

/// Source: API reference, GetSessionToken and GetFederationToken: "You must call … using the long-term security
/// credentials of an IAM user"; the text as callers report it.
pub(super) fn check_long_term(call: &Call, operation: &str) -> Result<(), Rejection> {
    match call.session {
        Some(_) => Err(Rejection::AccessDenied(format!(
            "Cannot call {operation} with session credentials"
        ))),
        None => Ok(()),
    }
}

/// Source: API reference, GetSessionToken: "You cannot call any AWS STS API except AssumeRole or GetCallerIdentity";
/// GetFederationToken has the same of all but GetCallerIdentity. The text is that of other operations which want long-term keys.
pub(super) fn check_not_of_user(call: &Call, operation: &str) -> Result<(), Rejection> {
    match call.principal {
        Principal::AssumedRole { .. } => Ok(()),
        _ => check_long_term(call, operation),
    }
}

/// The model holds what is given between 15 minutes and 36 hours.
pub(super) fn duration(call: &Call, given: Option<i32>) -> i64 {
    let seconds = given.map_or(DURATION_DEFAULT_SECONDS, i64::from);
    match call.principal {
        Principal::Root { .. } => seconds.min(ROOT_DURATION_MAX_SECONDS),
        _ => seconds,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, ann, text_of};

    #[tokio::test]
    async fn a_user_gets_credentials_that_end() {
        let world = World::new(&[]).await;
        let answer = world.call(&ann(), "GetSessionToken", &[]).await;
        assert_eq!(text_of(&answer, "Expiration"), "2026-01-01T12:00:00Z");
        let session = world.credential(&answer);
        assert_eq!(session.principal, ann().principal);
        let text = "Cannot call GetSessionToken with session credentials";
        world.refuses(&session, "GetSessionToken", &[], "AccessDenied", text).await;
        let device =
            [("SerialNumber", "arn:aws:iam::000000000000:mfa/ann"), ("TokenCode", "123456")];
        world.refuses(&ann(), "GetSessionToken", &device, "NotImplemented", "SerialNumber").await;
    }
}
