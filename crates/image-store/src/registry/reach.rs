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
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;

/// Metadata services of clouds at addresses that are otherwise like others: Azure's wire server, Alibaba's service,
/// and that of AWS over IPv6.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// How close to the node an address is. The order is that of trust it takes to be sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nearness {
    /// Anybody reaches it.
    Public,
    /// The node's network.
    Private,
    /// The node itself.
    Loopback,
    /// Nobody has a registry there.
    Forbidden,
}

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

/// Judges an address by what it is registered for.
/// Source: IANA, "IPv4 Special-Purpose Address Registry" and "IPv6 Special-Purpose Address Registry".
pub fn nearness(address: IpAddr) -> Nearness {
    if METADATA.contains(&address) {
        return Nearness::Forbidden;
    }
    match address {
        IpAddr::V4(address) => nearness_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(embedded) => nearness(IpAddr::V4(embedded)),
            None => nearness_v6(address),
        },
    }
}

fn nearness_v4(address: Ipv4Addr) -> Nearness {
    match address.octets() {
        [127, ..] => Nearness::Loopback,
        // The first connects to the host itself; 240/4 is nobody's.
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Nearness::Forbidden,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Nearness::Private,
        // Carriers, protocol assignments, benchmarks, documentation.
        [100, 64..=127, ..] | [192, 0, 0 | 2, _] | [198, 18..=19, ..] => Nearness::Private,
        [198, 51, 100, _] | [203, 0, 113, _] => Nearness::Private,
        _ => Nearness::Public,
    }
}

fn nearness_v6(address: Ipv6Addr) -> Nearness {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Nearness::Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] => Nearness::Forbidden,
        [first, ..] if first & 0xffc0 == 0xfe80 || first & 0xff00 == 0xff00 => Nearness::Forbidden,
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Nearness::Private,
        [0x2000..=0x3fff, ..] => Nearness::Public,
        _ => Nearness::Private,
    }
}

/// The IPv4 address that is reached behind an IPv6 one: mapped, compatible, NAT64, 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(pair(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => Some(pair(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(pair(high, low)),
        [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_near_addresses_are() {
        use Nearness::{Forbidden, Loopback, Private, Public};
        for (address, expected) in [
            ("8.8.8.8", Public),
            ("127.0.0.1", Loopback),
            ("127.8.8.8", Loopback),
            ("0.0.0.0", Forbidden),
            ("0.1.2.3", Forbidden),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.32.0.1", Public),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("100.100.100.200", Forbidden),
            ("168.63.129.16", Forbidden),
            ("169.254.169.254", Forbidden),
            ("169.254.170.2", Forbidden),
            ("224.0.0.1", Forbidden),
            ("255.255.255.255", Forbidden),
            ("2606:4700::1", Public),
            ("::1", Loopback),
            ("::", Forbidden),
            ("fe80::1", Forbidden),
            ("ff02::1", Forbidden),
            ("fc00::1", Private),
            ("fd00:ec2::254", Forbidden),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", Forbidden),
            ("::127.0.0.1", Loopback),
            ("64:ff9b::169.254.169.254", Forbidden),
            ("64:ff9b::8.8.8.8", Public),
            ("2002:7f00:1::", Loopback),
            ("2002:a9fe:a9fe::1", Forbidden),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(nearness(address), expected, "{address}");
        }
    }
}
