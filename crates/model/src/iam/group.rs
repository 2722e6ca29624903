//! A group of users. Who is in it stands with the users.

use serde::{Deserialize, Serialize};

use super::Policies;
use crate::{AccountId, TimestampMs};

/// The row of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub account: AccountId,
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `AGPA…`.
    pub id: String,
    pub created_at_ms: TimestampMs,
    pub policies: Policies,
}

impl Group {
    /// `arn:aws:iam::<account>:group<path><name>`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:group{}{}", self.account, self.path, self.name)
    }
}
