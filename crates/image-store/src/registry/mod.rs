//! The client side of the OCI distribution API: manifests and blobs, by tag or digest.
//!
//! Its own client over hyper, which the house has anyway: `oci-client` would bring reqwest, a second HTTP client with
//! a TLS set-up of its own, for four kinds of request.
//!
//! **Invariant:** credentials go only to the endpoint they were given for and to the token service that the endpoint
//! itself names over a connection as secret as its own; a redirect to another host loses them.

mod challenge;
mod client;
mod endpoint;
mod error;

pub(crate) use client::{RegistryClient, Session};
pub use endpoint::{Credentials, RegistryEndpoint};
pub use error::RegistryError;
