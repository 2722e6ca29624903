//! AWS Secrets Manager: secrets, the versions of their values, and who may read them.
//!
//! **Invariant:** a value leaves the process in the answer to who may read it, and in nothing else: what is kept of it is sealed
//! for its version of its secret, and no type that holds it in clear can be printed. What is refused says nothing of
//! whether the secret exists.
//!
//! `operations` holds the operations by the noun that they are about.

mod filter;
mod handler;
mod keys;
mod look;
mod names;
pub mod operations;
mod page;
mod password;
mod policy;
mod quotas;
mod random;
mod rejection;
mod service;
mod tags;
mod value;
mod versions;
mod view;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;
pub use service::SecretsManagerService;
pub use value::place as value_place;
