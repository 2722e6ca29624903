//! A role.

use serde::{Deserialize, Serialize};

use super::Policies;
use crate::{AccountId, Region, Tags, TimestampMs};

/// The row of a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub account: AccountId,
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `AROA…`: never used again, not by a later role of the same name either.
    pub id: String,
    pub created_at_ms: TimestampMs,
    /// Who may assume it.
    pub trust_policy: String,
    pub description: Option<String>,
    /// Seconds that a session may last at most, 3,600 to 43,200.
    pub max_session_duration: u32,
    pub policies: Policies,
    /// The ARN of a managed policy that says what the role may do at most.
    pub permissions_boundary: Option<String>,
    pub tags: Tags,
    pub last_use: Option<RoleUse>,
}

/// When and where a session of the role last called something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleUse {
    pub at_ms: TimestampMs,
    pub region: Region,
}

impl Role {
    /// `arn:aws:iam::<account>:role<path><name>`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }
}
