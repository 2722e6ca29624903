//! `GetCallerIdentity`: who signed the request. Nobody can be denied it.

use outport_aws_sts::{GetCallerIdentityRequest, GetCallerIdentityResponse, StsError};
use outport_aws_wire::WireError;
use outport_identity::{Call, Question, Subject};

pub fn get_caller_identity(
    call: &Call,
    _input: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, StsError> {
    call.open(Subject::from(Question::without_resource("sts:GetCallerIdentity")))
        .map_err(|denied| WireError::access_denied(denied.message))?;
    let principal = &call.principal;
    Ok(GetCallerIdentityResponse {
        user_id: Some(principal.user_id()),
        account: Some(principal.account().to_string()),
        arn: Some(principal.arn()),
    })
}

#[cfg(test)]
mod tests {
    use outport_aws_sts::{MODEL, dispatch};
    use outport_aws_wire::{Exchange, Protocol, Request};

    use super::*;
    use crate::StsService;

    #[tokio::test]
    async fn the_root_is_its_account() {
        let call = Call::for_tests();
        let request = Request {
            service: &MODEL,
            protocol: Protocol::Query,
            operation: "GetCallerIdentity",
            body: b"Action=GetCallerIdentity&Version=2011-06-15",
            request_id: "request",
        };
        let mut exchange = Exchange::new(request).unwrap();
        dispatch(&StsService::new(), &call, "GetCallerIdentity", &mut exchange).await.unwrap();
        let answer = String::from_utf8(exchange.into_reply().body).unwrap();
        for part in [
            "<GetCallerIdentityResult>",
            "<Arn>arn:aws:iam::000000000000:root</Arn>",
            "<UserId>000000000000</UserId>",
            "<Account>000000000000</Account>",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
    }

    /// The only operation, and open to everybody whom AWS knows: no policy can take it away.
    #[tokio::test]
    async fn nobody_is_denied_it() {
        use outport_identity::testing::WatchedPermissions;
        let implemented: Vec<_> =
            MODEL.operations.iter().filter(|one| one.is_implemented).collect();
        assert!(matches!(implemented[..], [one] if one.name == "GetCallerIdentity"));
        let refusing = WatchedPermissions::refusing();
        let call = Call::for_tests().asking(refusing.clone());
        assert!(get_caller_identity(&call, GetCallerIdentityRequest::default()).is_ok());
        assert!(refusing.asked().is_empty());
    }
}
