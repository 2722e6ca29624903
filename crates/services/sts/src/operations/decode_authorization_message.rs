//! `DecodeAuthorizationMessage`: why a call was refused, for who may know.

use outport_aws_sts::{DecodeAuthorizationMessageRequest, DecodeAuthorizationMessageResponse};
use outport_identity::{Call, Question, RefusalReport, Subject};

use super::get_session_token::check_not_of_user;
use crate::StsService;
use crate::rejection::Rejection;

/// Of another account, a message is as good as none. Source of the text: answers as callers report them.
pub fn decode_authorization_message(
    service: &StsService,
    call: &Call,
    input: DecodeAuthorizationMessageRequest,
) -> Result<DecodeAuthorizationMessageResponse, Rejection> {
    check_not_of_user(call, "DecodeAuthorizationMessage")?;
    call.open(Subject::from(Question::without_resource("sts:DecodeAuthorizationMessage")))?;
    let message = input.encoded_message.unwrap_or_default();
    let decoded = RefusalReport::open(&service.sealer, &message, &call.account, call.now_ms);
    let decoded = decoded.ok_or_else(|| {
        Rejection::InvalidAuthorizationMessage(
            "Encoded authorization message is invalid or has expired.".to_owned(),
        )
    })?;
    Ok(DecodeAuthorizationMessageResponse { decoded_message: Some(decoded) })
}

#[cfg(test)]
mod tests {
    use outport_identity::{AccountRoots, Principal, SEAL_NONCE_BYTES, Sealer};

    use super::*;
    use crate::testing::{ADMIN, NOW_MS, World, ann, text_of};

    const OPERATION: &str = "DecodeAuthorizationMessage";
    const DENIED: &str = "not authorized to perform: sts:DecodeAuthorizationMessage";

    /// The message of a refusal in an account, sealed as other services seal it.
    fn message(account: &str) -> String {
        let user = Principal::User {
            account: outport_model::AccountId::new(account),
            path: "/".into(),
            name: "bob".into(),
            id: "AIDA2".into(),
        };
        let call = Call::for_tests().by(user).asking(std::sync::Arc::new(AccountRoots));
        let denied = call.open(Subject::from(Question::without_resource("ec2:DescribeVpcs")));
        let report = denied.unwrap_err().report.unwrap();
        report.seal(&Sealer::new(&[1; 32]), NOW_MS, [9; SEAL_NONCE_BYTES])
    }

    #[tokio::test]
    async fn who_may_know_is_told_why() {
        let sealed = message("000000000000");
        let input = [("EncodedMessage", sealed.as_str())];
        World::new(&[]).await.refuses(&ann(), OPERATION, &input, "AccessDenied", DENIED).await;
        let world = World::new(&[ADMIN]).await;
        let decoded = text_of(&world.call(&ann(), OPERATION, &input).await, "DecodedMessage");
        let decoded: serde_json::Value = serde_json::from_str(&decoded).unwrap();
        assert_eq!(decoded["context"]["action"], "ec2:DescribeVpcs");
        assert_eq!(decoded["context"]["principal"]["id"], "AIDA2");
        let (code, text) = ("InvalidAuthorizationMessageException", "invalid or has expired");
        for other in [message("111111111111").as_str(), "x", &sealed[1..]] {
            let input = [("EncodedMessage", other)];
            world.refuses(&ann(), OPERATION, &input, code, text).await;
        }
    }
}
