//! Who is calling.

use outport_model::AccountId;
use serde::{Deserialize, Serialize};

/// An identity that a request is made by.
///
/// The account's root is the only kind there is; users, roles and sessions are further variants,
/// and everything that asks for an ARN or a user id works for them unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Principal {
    /// The account itself: it may do everything with what is its own.
    Root { account: AccountId },
}

impl Principal {
    /// The root of an account.
    pub fn root(account: AccountId) -> Self {
        Principal::Root { account }
    }

    /// The account that the principal belongs to.
    pub fn account(&self) -> &AccountId {
        match self {
            Principal::Root { account } => account,
        }
    }

    /// `arn:aws:iam::000000000000:root`.
    pub fn arn(&self) -> String {
        match self {
            Principal::Root { account } => format!("arn:aws:iam::{account}:root"),
        }
    }

    /// `UserId` of STS GetCallerIdentity and `aws:userid`: a root's is its account id.
    pub fn user_id(&self) -> String {
        match self {
            Principal::Root { account } => account.to_string(),
        }
    }

    /// The condition key `aws:PrincipalType`.
    pub fn principal_type(&self) -> &'static str {
        match self {
            Principal::Root { .. } => "Account",
        }
    }
}
