//! What may stand in `Principal` and `NotPrincipal`.

use outport_model::Arn;

use super::texts::is_partition;
use crate::document::RawPrincipal;
use crate::malformed::Malformed;
use crate::principal::PrincipalEntry;

/// Identity providers that need no ARN. Source: IAM user guide, "Web identity session principals".
const PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
];

/// Characters of a unique id behind those that say of what it is: 17 with AWS, 12 at least (`userIdType` of the IAM API).
const UNIQUE_ID_REST_MIN: usize = 12;

/// Digits of an account id.
const ACCOUNT_DIGITS: usize = 12;

/// `is_trust`: of a role, where AWS wants an object always.
pub(super) fn read_principals(
    principal: &RawPrincipal,
    is_trust: bool,
) -> Result<Vec<PrincipalEntry>, Malformed> {
    let kinds = match principal {
        RawPrincipal::Text(text) if text == "*" && !is_trust => {
            return Ok(vec![PrincipalEntry::Everyone]);
        }
        RawPrincipal::Text(_) if is_trust => return Err(Malformed::PrincipalNoObject),
        RawPrincipal::Text(text) => return Err(invalid("AWS", text)),
        RawPrincipal::Kinds(kinds) => kinds,
    };
    let mut entries = Vec::new();
    for (kind, values) in kinds {
        for text in values {
            let entry = match kind.as_str() {
                "AWS" => read_aws(text),
                "Service" => {
                    is_service(text).then(|| PrincipalEntry::Service(text.as_str().into()))
                }
                "Federated" => {
                    is_provider(text).then(|| PrincipalEntry::Provider(text.as_str().into()))
                }
                // `CanonicalUser` is of S3's policies only.
                _ => None,
            };
            entries.push(entry.ok_or_else(|| invalid(kind, text))?);
        }
    }
    if entries.is_empty() { Err(Malformed::Empty("Principal")) } else { Ok(entries) }
}

fn invalid(kind: &str, text: &str) -> Malformed {
    Malformed::InvalidPrincipal(kind.to_ascii_uppercase(), text.to_owned())
}

/// No wildcard stands for a part of a principal.
fn read_aws(text: &str) -> Option<PrincipalEntry> {
    if text == "*" {
        return Some(PrincipalEntry::Everyone);
    }
    if is_account(text) {
        return Some(PrincipalEntry::Account(text.into()));
    }
    if is_unique_id(text) {
        return Some(PrincipalEntry::Named(text.into()));
    }
    let arn = Arn::parse(text)?;
    let is_global = is_partition(arn.partition()) && arn.region().is_empty();
    if !is_global || !is_account(arn.account()) || text.contains(['*', '?']) {
        return None;
    }
    let (kind, name) = arn.resource().split_once('/').unwrap_or((arn.resource(), ""));
    match (arn.service(), kind) {
        ("iam", "root") if arn.resource() == "root" => {
            Some(PrincipalEntry::Account(arn.account().into()))
        }
        ("iam", "user" | "role") | ("sts", "federated-user") if !name.is_empty() => {
            Some(PrincipalEntry::Named(text.into()))
        }
        ("sts", "assumed-role") => {
            let (role, session) = name.split_once('/')?;
            (!role.is_empty() && !session.is_empty()).then(|| PrincipalEntry::Named(text.into()))
        }
        _ => None,
    }
}

/// Of a user, a role or, with the session's name behind it, of a session: under what AWS keeps them.
///
/// Source: IAM user guide, "IAM identifiers", Unique identifiers.
fn is_unique_id(text: &str) -> bool {
    let (id, session) =
        text.split_once(':').map_or((text, None), |(id, session)| (id, Some(session)));
    let kinds: &[&str] = if session.is_some() { &["AROA"] } else { &["AIDA", "AROA"] };
    let is_id = |rest: &str| {
        rest.len() >= UNIQUE_ID_REST_MIN
            && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    kinds.iter().any(|kind| id.strip_prefix(kind).is_some_and(is_id))
        && session.is_none_or(|name| !name.is_empty() && !name.contains(['*', '?']))
}

fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `ecs-tasks.amazonaws.com`. Which services there are is not looked up.
fn is_service(text: &str) -> bool {
    let name = text.strip_suffix(".cn").unwrap_or(text).strip_suffix(".amazonaws.com");
    let is_name_byte =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_name_byte))
}

fn is_provider(text: &str) -> bool {
    let is_of_iam = |arn: Arn| {
        let kind = arn.resource().split_once('/').map(|(kind, _)| kind);
        is_partition(arn.partition())
            && arn.service() == "iam"
            && is_account(arn.account())
            && matches!(kind, Some("oidc-provider" | "saml-provider"))
    };
    PROVIDERS.contains(&text) || Arn::parse(text).is_some_and(is_of_iam)
}
