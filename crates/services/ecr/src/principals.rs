//! The users and roles that policies name. The registry keeps their unique ids, as AWS does, so that a policy is about these very
//! users and roles; who they are the store of IAM knows, which this crate does not see.

use outport_model::AccountId;

/// Names of users and roles, and their unique ids.
pub trait NamedPrincipals: Send + Sync {
    /// A policy of something of `owner`, as it is kept. `None`: a user or a role that it names is not there.
    fn with_ids(&self, owner: &AccountId, document: &str) -> Option<String>;

    /// A policy that is kept, as it is shown.
    fn with_arns(&self, document: &str) -> String;
}

/// Where there is no IAM: policies are kept as they are given.
pub struct AnyPrincipals;

impl NamedPrincipals for AnyPrincipals {
    fn with_ids(&self, _: &AccountId, document: &str) -> Option<String> {
        Some(document.to_owned())
    }

    fn with_arns(&self, document: &str) -> String {
        document.to_owned()
    }
}
