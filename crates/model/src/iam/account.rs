//! An account of the installation.

use serde::{Deserialize, Serialize};

use crate::{AccountId, TimestampMs};

/// The row of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    /// What the operator calls it.
    pub name: String,
    pub created_at_ms: TimestampMs,
    /// The alias of IAM, unique in the installation.
    pub alias: Option<String>,
    pub password_policy: Option<PasswordPolicy>,
    /// When a credential report was last asked for.
    #[serde(default)]
    pub report_asked_for_at_ms: Option<TimestampMs>,
}

impl Account {
    /// One that nothing is known of yet.
    pub fn new(id: AccountId, now_ms: TimestampMs) -> Self {
        Self {
            name: id.to_string(),
            id,
            created_at_ms: now_ms,
            alias: None,
            password_policy: None,
            report_asked_for_at_ms: None,
        }
    }
}

/// What passwords of users must be like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordPolicy {
    /// 6 to 128 characters.
    pub minimum_length: u32,
    pub require_symbols: bool,
    pub require_numbers: bool,
    pub require_uppercase: bool,
    pub require_lowercase: bool,
    pub allow_users_to_change: bool,
    /// Days after which a password expires, 1 to 1,095.
    pub max_age_days: Option<u32>,
    /// Earlier passwords that may not be used again, 1 to 24.
    pub reuse_prevention: Option<u32>,
    pub hard_expiry: bool,
}
