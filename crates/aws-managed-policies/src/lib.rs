//! The managed policies that AWS publishes, as far as the services here go: `arn:aws:iam::aws:policy/…`.
//!
//! `facts/policies.json` has them with the statements, versions and dates of the AWS Managed Policy Reference Guide. What is
//! not among them does not exist here.
//!
//! **Invariant:** pure and never changed at run time. Read once, when the first of them is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A managed policy of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsPolicy {
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `arn:aws:iam::aws:policy<path><name>`.
    pub arn: String,
    /// The number of the version that counts, the only one that is kept: `v3` is 3.
    pub version: u32,
    /// Unix milliseconds.
    pub created_at_ms: i64,
    /// Unix milliseconds.
    pub updated_at_ms: i64,
    pub document: String,
}

#[derive(Deserialize)]
struct Fact {
    name: String,
    path: String,
    version: String,
    created: String,
    updated: String,
    document: Value,
}

static POLICIES: LazyLock<BTreeMap<String, Arc<AwsPolicy>>> = LazyLock::new(|| {
    let facts: Vec<Fact> = serde_json::from_str(include_str!("../facts/policies.json"))
        .expect("a test reads the same file");
    facts
        .into_iter()
        .map(AwsPolicy::of)
        .map(|policy| (policy.arn.clone(), Arc::new(policy)))
        .collect()
});

impl AwsPolicy {
    fn of(fact: Fact) -> Self {
        let ms = |text: &str| {
            let time = OffsetDateTime::parse(text, &Rfc3339).expect("a test reads the same file");
            time.unix_timestamp() * 1000
        };
        Self {
            arn: format!("arn:aws:iam::aws:policy{}{}", fact.path, fact.name),
            version: fact
                .version
                .trim_start_matches('v')
                .parse()
                .expect("a test reads the same file"),
            created_at_ms: ms(&fact.created),
            updated_at_ms: ms(&fact.updated),
            document: fact.document.to_string(),
            name: fact.name,
            path: fact.path,
        }
    }
}

impl AwsPolicy {
    /// `ANPA…`, always the same. AWS's own ids are not published; these are made of the ARN (FNV-1a).
    pub fn id(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        for byte in self.arn.bytes() {
            hash =
                (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
        let digit =
            |place: u32| char::from(ALPHABET[usize::from((hash >> (5 * place)) as u8 & 31)]);
        "ANPA".chars().chain((0..17).map(digit)).collect()
    }
}

/// The policy with this ARN.
pub fn find(arn: &str) -> Option<Arc<AwsPolicy>> {
    POLICIES.get(arn).cloned()
}

/// All of them, in the order of their ARNs.
pub fn all() -> impl Iterator<Item = &'static Arc<AwsPolicy>> {
    POLICIES.values()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_read() {
        let execution =
            find("arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy")
                .expect("it is there");
        assert!(execution.document.contains("\"ecr:GetAuthorizationToken\""), "{execution:?}");
        assert!(execution.created_at_ms > 1_500_000_000_000);
        assert!(all().count() > 100);
        let ids: std::collections::BTreeSet<String> = all().map(|policy| policy.id()).collect();
        assert_eq!(ids.len(), all().count());
        assert!(all().all(|policy| policy.path.starts_with('/') && policy.path.ends_with('/')));
        assert_eq!(find("arn:aws:iam::aws:policy/AmazonECSTaskExecutionRolePolicy"), None);
    }
}
