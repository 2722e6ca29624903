//! How near an address is, for who is sent somewhere by a stranger's word: this host stands where a stranger does not, on its own
//! loopback, in a private network, beside a metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services of clouds at addresses that are otherwise like others: Azure's wire server, Alibaba's service,
/// and that of AWS over IPv6.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// How close to this host an address is. The order is that of trust it takes to be sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nearness {
    /// Anybody reaches it.
    Public,
    /// The host's network.
    Private,
    /// The host itself.
    Loopback,
    /// Nobody has a server there that a stranger may name.
    Forbidden,
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
