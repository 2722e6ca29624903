//! Who may sign requests, and what they may do: answered from the rows of IAM.
//!
//! ```text
//! access key id ──► StoredCredentials ──► who it is (a user, the session of a role, …)
//! question ───────► StoredPermissions ──► policies of user and groups, of role, of session, boundary ──► outport-policy
//! ```
//!
//! **Invariant:** what is not there, not known or cannot be read allows nothing: a user or a role that is gone has neither
//! credentials nor permissions, and neither has a later one of the same name what was given to the one before.

mod compiled;
mod context;
mod credentials;
mod decision;
mod gathered;
mod named;
mod permissive;
mod principal;
#[cfg(test)]
mod tests;
mod uses;

pub use credentials::{StoredCredentials, secret_place};
pub use decision::StoredPermissions;
pub use named::{NoSuchPrincipal, with_arns, with_ids};
pub use permissive::Permissive;
