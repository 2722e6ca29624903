//! `GetCallerIdentity`: who signed the request. Nobody can be denied it.

use outport_aws_sts::{GetCallerIdentityRequest, GetCallerIdentityResponse};
use outport_identity::{Call, Question, Subject};

use crate::StsService;
use crate::rejection::Rejection;

pub fn get_caller_identity(
    _service: &StsService,
    call: &Call,
    _input: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, Rejection> {
    call.open(Subject::from(Question::without_resource("sts:GetCallerIdentity")))?;
    let principal = &call.principal;
    Ok(GetCallerIdentityResponse {
        user_id: Some(principal.user_id()),
        account: Some(principal.account().to_string()),
        arn: Some(principal.arn()),
    })
}

#[cfg(test)]
mod tests {
    use outport_aws_sts::MODEL;
    use outport_aws_wire::OperationModel;
    use outport_identity::Credential;

    use crate::testing::{World, ann, text_of};

    /// Open to everybody whom AWS knows: no policy can take it away.
    #[tokio::test]
    async fn nobody_is_denied_it() {
        let world = World::new(&[]).await;
        let answer = world.call(&ann(), "GetCallerIdentity", &[]).await;
        assert_eq!(text_of(&answer, "Arn"), "arn:aws:iam::000000000000:user/ann");
        assert_eq!(text_of(&answer, "UserId"), "AIDA1");
        assert_eq!(text_of(&answer, "Account"), "000000000000");
    }

    /// Every other operation is denied to who may nothing, but for credentials of one's own.
    #[tokio::test]
    async fn everything_else_needs_a_permission() {
        let world = World::new(&[]).await;
        let stranger: Credential = ann();
        let arn = ("RoleArn", "arn:aws:iam::000000000000:role/app");
        let input = [
            arn,
            ("RoleSessionName", "build"),
            ("AccessKeyId", "AKIA1AKIA1AKIA1AKIA1"),
            ("Name", "bob"),
            ("EncodedMessage", "x"),
        ];
        // Of the anonymous ones, a token is what lets somebody in.
        let is_asked = |one: &&OperationModel| one.is_implemented && !one.is_anonymous;
        for operation in MODEL.operations.iter().filter(is_asked) {
            let (status, answer) = world.reply(&stranger, operation.name, &input).await;
            let is_open = ["GetCallerIdentity", "GetSessionToken"].contains(&operation.name);
            let expected = if is_open { 200 } else { 403 };
            assert_eq!(status, expected, "{} {answer}", operation.name);
        }
    }
}
