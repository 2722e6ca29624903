//! What a registry may make the node connect to.
//!
//! A node asks the registry that a task names, wherever that is; but where the registry then sends it, by a redirect
//! or as the realm of its tokens, is a stranger's word, and the node stands where a stranger does not: on its own
//! loopback, in a private network, beside a metadata service.
//!
//! | address | the registry itself | where it sends to |
//! |---|---|---|
//! | public | yes | yes |
//! | private (RFC 1918, RFC 6598, unique local) | yes | if the registry is private itself |
//! | loopback | yes | no |
//! | link-local, metadata services, unspecified, multicast | no | no |
//!
//! A port of loopback may be anybody's who runs a task in the network of the host: a registry there sends to itself and
//! nowhere else. Only the registry of this installation is believed there, and sends wherever it is itself.
//!
//! A registry whose name leads to a private address is there: that it is the one that was named is what its certificate
//! says. Only the registry of this installation is asked without one.
//!
//! **Invariant:** the address that is connected to is the one that was looked at: names are resolved by a resolver that
//! gives only addresses which may be reached, and addresses that are spelled out are looked at before each request.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
pub use outport_model::nearness::{Nearness, nearness};

/// Resolves names and judges addresses.
pub trait Network: Send + Sync + 'static {
    /// The addresses of a host name.
    fn resolve(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

    /// How near an address is; that of [`nearness`] but in tests, which have nothing but loopback.
    fn nearness(&self, address: IpAddr) -> Nearness {
        nearness(address)
    }
}

/// The host's resolver.
#[derive(Debug)]
pub struct HostNetwork;

impl Network for HostNetwork {
    fn resolve(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Resolves to addresses that are near at most `reach`; none is an error.
#[derive(Clone)]
pub struct Resolver {
    pub network: Arc<dyn Network>,
    pub reach: Nearness,
}

impl Resolver {
    /// Whether an address that is spelled out may be connected to.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.network.nearness(address) <= self.reach
    }
}

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = resolver.network.resolve(host.clone()).await?;
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| resolver.allows(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if allowed.is_empty() {
                return Err(refused(&host));
            }
            Ok(allowed.into_iter())
        })
    }
}

pub fn refused(host: &str) -> io::Error {
    let text = format!("{host} is an address that a registry may not send this node to");
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}
