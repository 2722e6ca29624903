//! ECS account settings: per principal, or the default of the account.

use serde::{Deserialize, Serialize};

use crate::Scope;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSetting {
    pub scope: Scope,
    /// The principal that it holds for; the account's root ARN holds for the whole account.
    pub principal_arn: String,
    /// Such as `taskLongArnFormat`.
    pub name: String,
    pub value: String,
}
