//! Session tags and the source identity that a token brings.
//!
//! Source: IAM user guide, "Pass session tags in AWS STS", "Passing session tags using AssumeRoleWithWebIdentity": the claim
//! `https://aws.amazon.com/tags`, nested or with its members as claims of their own; "Monitor and control actions taken with
//! assumed roles": `https://aws.amazon.com/source_identity`.

use outport_aws_sts::Tag;
use outport_model::Tags;
use outport_web_identity::WebToken;
use serde_json::Value;

use super::assume_role::has;
use crate::rejection::Rejection;
use crate::session;

const CLAIM: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";

#[derive(Debug, Default, PartialEq)]
pub(super) struct ClaimedTags {
    pub tags: Tags,
    pub transitive: Vec<String>,
    pub source_identity: Option<String>,
}

impl ClaimedTags {
    /// # Errors
    /// `InvalidIdentityToken` for claims of another form, whose text is a guess; `ValidationError` for tags that no session has.
    pub fn of(token: &WebToken) -> Result<Self, Rejection> {
        let mut found: Vec<Tag> = Vec::new();
        let mut transitive = Vec::new();
        if let Some(claim) = token.claim(CLAIM) {
            let tags =
                claim.get("principal_tags").map(|tags| tags.as_object().ok_or_else(malformed));
            for (key, value) in tags.transpose()?.into_iter().flatten() {
                found.push(tag(key, value)?);
            }
            if let Some(keys) = claim.get("transitive_tag_keys") {
                transitive.extend(texts(keys)?);
            }
        }
        for (name, value) in token.claims() {
            let Some(member) = name.strip_prefix(CLAIM).and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            if let Some(key) = member.strip_prefix("principal_tags/") {
                found.push(tag(key, value)?);
            } else if member == "transitive_tag_keys" {
                transitive.extend(texts(value)?);
            }
        }
        let tags = session::tags(Some(found))?;
        if let Some(key) = transitive.iter().find(|key| !has(&tags, key)) {
            return Err(Rejection::validation(format!(
                "The transitive tag key {key} is not among the session tags."
            )));
        }
        let source_identity = token.text(SOURCE_IDENTITY_CLAIM).map(str::to_owned);
        Ok(Self { tags, transitive, source_identity })
    }
}

/// A key has one value, which stands in a list.
fn tag(key: &str, value: &Value) -> Result<Tag, Rejection> {
    let mut values = texts(value)?;
    let value = values.pop().filter(|_| values.is_empty()).ok_or_else(malformed)?;
    Ok(Tag { key: Some(key.to_owned()), value: Some(value) })
}

fn texts(value: &Value) -> Result<Vec<String>, Rejection> {
    match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(values) => {
            let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(malformed);
            values.iter().map(text).collect()
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> Rejection {
    Rejection::InvalidIdentityToken(format!("The claim {CLAIM} is malformed."))
}
