//! The client side of the OCI distribution API: manifests and blobs, by tag or digest.
//!
//! Its own client over hyper, which the house has anyway: `oci-client` would bring reqwest, a second HTTP client with
//! a TLS set-up of its own, for four kinds of request.
//!
//! What a registry may make the node connect to is in [`reach`].
//!
//! **Invariant:** credentials go only to the endpoint they were given for and to the token service that the endpoint
//! itself names, which is the endpoint or has TLS; a redirect to another host loses them. Redirects are bounded, and
//! lead no nearer to the node than the registry is itself.

mod challenge;
mod client;
mod endpoint;
mod error;
mod own;
mod reach;

pub use client::RawManifest;
pub(crate) use client::{RegistryClient, Session};
pub use endpoint::{Credentials, RegistryEndpoint};
pub use error::RegistryError;
pub use own::OwnRegistry;
pub use reach::{HostNetwork, Nearness, Network, nearness};
