//! `GetCallerIdentity`: who signed the request. Nobody can be denied it.

use outport_aws_sts::{GetCallerIdentityRequest, GetCallerIdentityResponse, StsError};
use outport_aws_wire::WireError;
use outport_identity::{Call, ConditionContext};

pub fn get_caller_identity(
    call: &Call,
    _input: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, StsError> {
    call.authorize("sts:GetCallerIdentity", "*", &ConditionContext::new())
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
    use outport_identity::{AccessKeyId, Principal, RequestId};
    use outport_model::{AccountId, Region};

    use super::*;
    use crate::StsService;

    #[tokio::test]
    async fn the_root_is_its_account() {
        let account = AccountId::new("000000000000");
        let call = Call {
            principal: Principal::root(account.clone()),
            account,
            region: Region::new("us-east-1"),
            request_id: RequestId::new("request"),
            now_ms: 0,
            source_ip: std::net::Ipv4Addr::LOCALHOST.into(),
            user_agent: None,
            secure_transport: false,
            host: None,
            access_key_id: AccessKeyId::new("test"),
        };
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
}
