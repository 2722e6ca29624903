//! An instance profile: the name under which an EC2 instance is given a role.

use serde::{Deserialize, Serialize};

use super::NameKey;
use crate::{AccountId, Tags, TimestampMs};

/// The row of an instance profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceProfile {
    pub account: AccountId,
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `AIPA…`.
    pub id: String,
    pub created_at_ms: TimestampMs,
    /// At most one, as at AWS.
    pub role: Option<NameKey>,
    pub tags: Tags,
}

impl InstanceProfile {
    /// `arn:aws:iam::<account>:instance-profile<path><name>`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:instance-profile{}{}", self.account, self.path, self.name)
    }
}
