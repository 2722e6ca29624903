//! AWS IAM: users, groups, roles, policies, access keys and what hangs on them.
//!
//! **Invariant:** a document that cannot be understood is refused when it comes, with AWS's text; what is stored can be
//! decided by. A secret is shown once, when it is made, and kept sealed.
//!
//! Where users, groups and roles have operations that differ in nothing but that, a file of `operations` holds all three.

mod account;
mod certificate;
mod document;
mod entity;
mod handler;
mod ids;
mod managed_policy;
pub mod operations;
mod page;
mod password;
mod quotas;
mod rejection;
mod service;
mod simulation;
mod tags;
mod view;

#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;
pub use service::IamService;
