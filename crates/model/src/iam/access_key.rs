//! An access key.

use serde::{Deserialize, Serialize};

use super::NameKey;
use crate::{AccountId, Region, TimestampMs};

/// The row of a long-term access key: of a user, or of the root of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: String,
    pub account: AccountId,
    /// `None`: the account's root.
    pub user: Option<NameKey>,
    pub status: AccessKeyStatus,
    pub created_at_ms: TimestampMs,
    /// The secret, sealed: a signature needs it as it is, so it cannot be hashed.
    pub sealed_secret: String,
    pub last_use: Option<LastUse>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKeyStatus {
    Active,
    Inactive,
}

/// When a key was last used, and what for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastUse {
    pub at_ms: TimestampMs,
    /// Such as `ecs`.
    pub service: String,
    pub region: Region,
}
