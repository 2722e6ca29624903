//! A managed policy that a customer has made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AccountId, Tags, TimestampMs};

/// The row of a managed policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    pub account: AccountId,
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `ANPA…`.
    pub id: String,
    pub created_at_ms: TimestampMs,
    /// When a version was last made, or another one made the default.
    pub updated_at_ms: TimestampMs,
    pub description: Option<String>,
    /// By number: `v3` is 3. Not empty.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The version that counts: one of them.
    pub default_version: u32,
    /// The number of the next version: numbers are never used again.
    pub next_version: u32,
    pub tags: Tags,
}

/// One version of a managed policy. Never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    pub document: String,
    pub created_at_ms: TimestampMs,
}

impl ManagedPolicy {
    /// `arn:aws:iam::<account>:policy<path><name>`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:policy{}{}", self.account, self.path, self.name)
    }

    /// The document that counts.
    pub fn document(&self) -> Option<&str> {
        self.versions.get(&self.default_version).map(|version| version.document.as_str())
    }
}
