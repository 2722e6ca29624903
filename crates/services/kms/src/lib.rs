//! AWS Key Management Service: keys, who may use them, and what is done with them.
//!
//! **Invariant:** key material never leaves `outport-kms-keys`, and what is decrypted leaves the process in the answer to who may decrypt
//! it, and in nothing else. The key policy is the root of trust: nobody may do with a key what neither it nor a grant says, an
//! administrator's policies included.
//!
//! `operations` holds the operations by the noun that they are about.

mod context;
mod handler;
mod look;
pub mod operations;
mod page;
mod policy;
mod quotas;
mod random;
mod rejection;
mod service;
mod tags;
mod view;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod testing;

pub use rejection::Rejection;
pub use service::KmsService;
