//! A user.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{NameKey, Policies};
use crate::{AccountId, Tags, TimestampMs};

/// The row of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub account: AccountId,
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `AIDA…`: never used again, not by a later user of the same name either.
    pub id: String,
    pub created_at_ms: TimestampMs,
    pub policies: Policies,
    /// The ARN of a managed policy that says what the user may do at most.
    pub permissions_boundary: Option<String>,
    pub groups: BTreeSet<NameKey>,
    pub login_profile: Option<LoginProfile>,
    pub tags: Tags,
}

/// The password of a user for the console.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginProfile {
    pub created_at_ms: TimestampMs,
    /// Salted and hashed, in the form that names its own parameters.
    pub password_hash: String,
    pub must_be_changed: bool,
    /// When the password was last set; `None`: when the profile was made.
    #[serde(default)]
    pub changed_at_ms: Option<TimestampMs>,
    /// Of the passwords before, the latest first: at most as many as a policy can forbid to use again.
    #[serde(default)]
    pub earlier_hashes: Vec<String>,
}

impl LoginProfile {
    /// When the password was set.
    pub fn password_set_at_ms(&self) -> TimestampMs {
        self.changed_at_ms.unwrap_or(self.created_at_ms)
    }
}

impl User {
    /// `arn:aws:iam::<account>:user<path><name>`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:user{}{}", self.account, self.path, self.name)
    }
}
