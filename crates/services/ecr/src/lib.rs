//! Amazon ECR's API over the image registry: one file per operation in `operations`.
//!
//! ```text
//! typed input -> parse (names, digests) -> authorize on the repository's ARN -> one call of the registry -> typed output
//! ```
//!
//! **Invariant:** an operation keeps nothing: the registry is the only state, and the passwords that
//! `GetAuthorizationToken` gives out say for themselves what they are. Reasons of the registry become AWS's
//! exceptions in one place, `rejection`.

mod access;
mod address;
#[cfg(test)]
mod answers;
mod authorizer;
#[cfg(test)]
mod doors;
mod handler;
mod image_id;
mod operations;
mod page;
mod password;
mod policies;
mod principals;
mod pull_through;
mod rejection;
mod resource_tags;
mod scanning;
mod service;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;
mod views;

pub use address::RegistryAddress;
pub use authorizer::{EcrAuthorizer, PullSource, RequestSink};
pub use password::{PULL_PASSWORD_LIFETIME_MS, Pull, USER, pull_password};
pub use principals::{AnyPrincipals, NamedPrincipals};
pub use pull_through::{
    NoUpstreams, PullThroughCache, Upstream, UpstreamError, UpstreamManifest, UpstreamRepository,
    UpstreamUser,
};
pub use service::EcrService;
