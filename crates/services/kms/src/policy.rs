//! Key policies on their way in.

use outport_identity::{Call, Question, ResourcePolicy, Subject};
use outport_model::{AccountId, Arn};
use outport_permissions::with_ids;
use outport_policy::{Policy, PolicyKind};
use outport_store::Tables;

use crate::quotas::POLICY_BYTES;
use crate::rejection::{Reason, Rejection};

/// The only name that a key's policy has. Source: API reference, PutKeyPolicy, PolicyName.
pub const NAME: &str = "default";

/// Checks a document by itself.
///
/// # Errors
/// `MalformedPolicyDocumentException`, `LimitExceededException`.
pub fn check(document: &str) -> Result<(), Rejection> {
    if document.len() > POLICY_BYTES {
        let text = format!("A key policy has {POLICY_BYTES} bytes at most.");
        return Err(Rejection::new(Reason::LimitExceeded, text));
    }
    Policy::compile(document, PolicyKind::Resource)
        .map(drop)
        .map_err(|malformed| Rejection::new(Reason::MalformedPolicy, malformed.to_string()))
}

/// A policy as it is kept: about the very users and roles that it names.
///
/// # Errors
/// `MalformedPolicyDocumentException`. Source of the text: answers of PutKeyPolicy, as callers report them.
pub fn as_kept(document: &str, tables: &Tables, account: &AccountId) -> Result<String, Rejection> {
    with_ids(tables, account, document).map_err(|_| {
        let text = "Policy contains a statement with one or more invalid principals.";
        Rejection::new(Reason::MalformedPolicy, text)
    })
}

/// Refuses a policy under which the caller could not put another one: nobody might be able to, ever. What the caller's own policies allow
/// does not matter, they can be changed.
///
/// Source: KMS developer guide, "PutKeyPolicy": the lockout safety check; of the text, answers as callers report them.
///
/// # Errors
/// `MalformedPolicyDocumentException`.
pub fn check_lockout(call: &Call, key: &Arn, document: &str) -> Result<(), Rejection> {
    let question = Question::new("kms:PutKeyPolicy", key.as_str())
        .with("kms:CallerAccount", call.principal.account().as_str())
        .with_resource_policy(Some(ResourcePolicy::Key(document.to_owned())));
    match call.open(Subject::from(question)).map_err(Rejection::from) {
        Err(refused) if refused.is_by_key_policy() => {
            let text =
                "The new key policy will not allow you to update the key policy in the future.";
            Err(Rejection::new(Reason::MalformedPolicy, text))
        }
        _ => Ok(()),
    }
}
