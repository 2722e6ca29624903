//! AWS Systems Manager: its Parameter Store, and nothing else of it.
//!
//! **Invariant:** the value of a `SecureString` leaves the process in the answer to who may read it and asks for it in clear; what is
//! kept of it is sealed for its version of its parameter.

mod filter;
mod handler;
mod keys;
mod look;
mod names;
pub mod operations;
mod page;
mod quotas;
mod rejection;
mod service;
mod tags;
mod view;

#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;
pub use service::SsmService;
pub use view::place as value_place;
