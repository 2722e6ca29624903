//! What requests for sessions have in common: duration, policies, tags.

use std::collections::BTreeSet;

use outport_aws_sts::{PolicyDescriptorType, Tag};
use outport_model::Tags;
use outport_model::tag::{self, TAGS_PER_RESOURCE_MAX};
use outport_policy::{Policy, PolicyKind};
use outport_store::Tables;

use crate::rejection::Rejection;

/// Source: API reference, AssumeRole, PolicyArns: "up to 10 managed policy ARNs".
const POLICY_ARNS_MAX: usize = 10;
/// Characters of policies, their ARNs and tags together. AWS packs them in a way of its own and says how full that is; this
/// is what fits into a session token here.
const PACKED_CHARS_MAX: usize = 4_096;

/// The limits that a session is made with.
#[derive(Debug, Default)]
pub struct Limits {
    pub policy: Option<String>,
    pub policy_arns: Vec<String>,
}

impl Limits {
    /// # Errors
    /// `MalformedPolicyDocument` with AWS's text, also for a policy that there is not; `PackedPolicyTooLarge`.
    pub fn parse(
        tables: &Tables,
        policy: Option<String>,
        arns: Option<Vec<PolicyDescriptorType>>,
    ) -> Result<Self, Rejection> {
        if let Some(document) = &policy {
            Policy::compile(document, PolicyKind::Session)
                .map_err(|malformed| Rejection::MalformedPolicyDocument(malformed.to_string()))?;
        }
        let arns = arns.unwrap_or_default().into_iter();
        let policy_arns: Vec<String> = arns.map(|arn| arn.arn.unwrap_or_default()).collect();
        if policy_arns.len() > POLICY_ARNS_MAX {
            let text = format!("No more than {POLICY_ARNS_MAX} managed policies can be passed.");
            return Err(Rejection::PackedPolicyTooLarge(text));
        }
        if let Some(arn) = policy_arns.iter().find(|arn| !is_there(tables, arn)) {
            return Err(Rejection::MalformedPolicyDocument(format!(
                "Policy {arn} does not exist or is not attachable."
            )));
        }
        Ok(Self { policy, policy_arns })
    }

    /// How full the session is, in hundredths.
    ///
    /// # Errors
    /// `PackedPolicyTooLarge`.
    pub fn packed_size(&self, tags: &Tags) -> Result<i32, Rejection> {
        let tags: usize = tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        let policies = self.policy.iter().chain(&self.policy_arns).map(String::len).sum::<usize>();
        let percent = (policies + tags) * 100 / PACKED_CHARS_MAX;
        if percent > 100 {
            return Err(Rejection::PackedPolicyTooLarge(format!(
                "Packed size of session tags consumes {percent}% of allotted space."
            )));
        }
        Ok(i32::try_from(percent).unwrap_or(100))
    }
}

fn is_there(tables: &Tables, arn: &str) -> bool {
    tables.managed_policies.by_arn(arn).is_some()
        || outport_aws_managed_policies::find(arn).is_some()
}

/// # Errors
/// `ValidationError`: a key twice in any case of its letters, a reserved one, or more than 50.
pub fn tags(given: Option<Vec<Tag>>) -> Result<Tags, Rejection> {
    let (mut tags, mut folded) = (Tags::new(), BTreeSet::new());
    for Tag { key, value } in given.unwrap_or_default() {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        if tag::check(&key, &value).is_err() {
            return Err(Rejection::validation(format!("The session tag {key} is not valid.")));
        }
        if !folded.insert(key.to_ascii_lowercase()) {
            let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(Rejection::validation(text));
        }
        tags.insert(key, value);
    }
    if tags.len() > TAGS_PER_RESOURCE_MAX {
        return Err(Rejection::validation("No more than 50 session tags can be passed."));
    }
    Ok(tags)
}
