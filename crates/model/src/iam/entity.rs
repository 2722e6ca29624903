//! What users, groups and roles have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// By what a user, a group, a role, a managed policy, an instance profile or a server certificate is found: its name,
/// whatever the case of its letters. The name as it was given stands in the row.
///
/// Source: API reference of IAM, CreateUser: "IAM user, group, role, and policy names must be unique within the account.
/// Names are not distinguished by case."
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameKey(Arc<str>);

impl NameKey {
    /// Of a name in any case.
    pub fn of(name: &str) -> Self {
        Self(name.to_ascii_lowercase().into())
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for NameKey {
    fn from(name: &str) -> Self {
        Self::of(name)
    }
}

impl From<&String> for NameKey {
    fn from(name: &String) -> Self {
        Self::of(name)
    }
}

impl From<&NameKey> for NameKey {
    fn from(key: &NameKey) -> Self {
        key.clone()
    }
}

/// What a user, a group or a role may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Policies {
    /// Inline policies: name to document.
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub attached: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_are_one_key() {
        assert_eq!(NameKey::of("Deploy"), NameKey::of("dePLOY"));
        assert_ne!(NameKey::of("deploy"), NameKey::of("deploy2"));
    }
}
