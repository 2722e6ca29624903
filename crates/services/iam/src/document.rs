//! Policy documents on their way in and out.

use outport_model::AccountId;
use outport_model::iam::Role;
use outport_permissions::{NoSuchPrincipal, with_arns, with_ids};
use outport_policy::{Policy, PolicyKind, counted_characters};
use outport_store::Tables;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::quotas::TRUST_CHARS;
use crate::rejection::Rejection;

/// Source: API reference, GetRolePolicy: "Policies returned by this operation are URL-encoded compliant with RFC 3986."
const RFC_3986: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Checks a document that was given, and how long it is without white space.
///
/// # Errors
/// `MalformedPolicyDocument`, `LimitExceeded`.
pub fn check(
    document: Option<String>,
    kind: PolicyKind,
    chars_max: usize,
    whose: &str,
) -> Result<String, Rejection> {
    let document = document.unwrap_or_default();
    Policy::compile(&document, kind)
        .map_err(|malformed| Rejection::MalformedPolicyDocument(malformed.to_string()))?;
    check_length(counted_characters(&document), chars_max, whose)?;
    Ok(document)
}

/// Checks a trust policy that was given.
///
/// # Errors
/// `MalformedPolicyDocument`, `LimitExceeded`. Source of the latter's text: answers as callers report them.
pub fn check_trust(document: Option<String>) -> Result<String, Rejection> {
    let document = document.unwrap_or_default();
    Policy::compile(&document, PolicyKind::RoleTrust)
        .map_err(|malformed| Rejection::MalformedPolicyDocument(malformed.to_string()))?;
    if counted_characters(&document) > TRUST_CHARS {
        let text = format!("Cannot exceed quota for ACLSizePerRole: {TRUST_CHARS}");
        return Err(Rejection::LimitExceeded(text));
    }
    Ok(document)
}

/// A trust policy as it is kept: about the very users and roles that it names.
///
/// # Errors
/// `MalformedPolicyDocument`. Source: AWS re:Post, "How do I resolve the error MalformedPolicyDocumentException"; the text as callers
/// report it.
pub fn trust_as_kept(
    tables: &Tables,
    account: &AccountId,
    document: &str,
) -> Result<String, Rejection> {
    with_ids(tables, account, document).map_err(|NoSuchPrincipal { kind, name }| {
        let text = format!(r#"Invalid principal in policy: "{kind}":"{name}""#);
        Rejection::MalformedPolicyDocument(text)
    })
}

/// A trust policy as it is shown.
pub fn shown_trust(tables: &Tables, role: &Role) -> String {
    encoded(&with_arns(tables, &role.trust_policy))
}

/// # Errors
/// `LimitExceeded`. Source: answers as callers report them: "Maximum policy size of 2048 bytes exceeded for user ann".
pub fn check_length(chars: usize, chars_max: usize, whose: &str) -> Result<(), Rejection> {
    if chars > chars_max {
        let text = format!("Maximum policy size of {chars_max} bytes exceeded for {whose}");
        return Err(Rejection::LimitExceeded(text));
    }
    Ok(())
}

/// As it is shown.
pub fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RFC_3986).to_string()
}
