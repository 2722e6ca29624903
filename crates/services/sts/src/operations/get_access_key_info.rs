//! `GetAccessKeyInfo`: the account that a key belongs to.

use outport_aws_sts::{GetAccessKeyInfoRequest, GetAccessKeyInfoResponse};
use outport_identity::{Call, Question, Subject};

use super::get_session_token::check_not_of_user;
use crate::StsService;
use crate::rejection::Rejection;

/// Knows the caller's own key and those that IAM keeps; AWS reads the account off any id, which ours do not say.
pub fn get_access_key_info(
    service: &StsService,
    call: &Call,
    input: GetAccessKeyInfoRequest,
) -> Result<GetAccessKeyInfoResponse, Rejection> {
    check_not_of_user(call, "GetAccessKeyInfo")?;
    call.open(Subject::from(Question::without_resource("sts:GetAccessKeyInfo")))?;
    let id = input.access_key_id.unwrap_or_default();
    let tables = service.store.snapshot();
    let account = if id == call.access_key_id.as_str() {
        Some(call.account.to_string())
    } else {
        tables.access_keys.get(&id).map(|key| key.account.to_string())
    };
    let account = account.ok_or_else(|| {
        // Source: answers as callers report them.
        Rejection::validation(format!("Invalid accessKeyId: {id}"))
    })?;
    Ok(GetAccessKeyInfoResponse { account: Some(account) })
}
