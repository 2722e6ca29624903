//! Which bridges of the host lead to the outside, and which are somebody's network of containers or machines.
//!
//! Tasks pass the host's own firewall, see [`crate::forwarding`], and with it what an engine such as Docker keeps
//! others out of its containers with. So their packets go to no bridge but these:
//!
//! | a bridge | is the outside |
//! |---|---|
//! | that a default route leads to | yes: the way out of the host, whatever else is on it |
//! | that a network card is a port of, or a VLAN or a bond of some | yes: a segment of a network of the host's |
//! | of nothing but ends of pairs and taps (`docker0`, `br-…`, `cni0`, `virbr0`), or of nothing | no |
//!
//! Links that are no bridges are as they were: cards, VLANs, tunnels. What somebody publishes of his network is reached
//! as from anywhere, by the address that it is published on.
//!
//! **Invariant:** a bridge is foreign until something says that it is the outside.

use crate::route::{Link, RouteSocket};
use netlink_packet_route::link::InfoKind;
use std::collections::BTreeSet;
use std::io;

/// The bridges of this namespace that are the outside.
pub fn bridges() -> io::Result<BTreeSet<String>> {
    let mut socket = RouteSocket::open()?;
    Ok(outward(&socket.all_links()?, &socket.default_route_links()?))
}

fn outward(links: &[Link], default_routes: &[u32]) -> BTreeSet<String> {
    let is_card = |link: &Link| match &link.kind {
        None | Some(InfoKind::Vlan | InfoKind::Bond) => true,
        Some(InfoKind::Other(kind)) => kind == "team",
        Some(_) => false,
    };
    let is_outward = |bridge: &&Link| {
        bridge.kind == Some(InfoKind::Bridge)
            && (default_routes.contains(&bridge.index)
                || links.iter().any(|port| port.port_of == Some(bridge.index) && is_card(port)))
    };
    links.iter().filter(is_outward).map(|bridge| bridge.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name:kind[>bridge]`, indices from 1 in this order.
    #[track_caller]
    fn check(links: &str, default_routes: &[u32], expected: &[&str]) {
        let names: Vec<&str> =
            links.split_whitespace().filter_map(|link| link.split(':').next()).collect();
        let index = |name: &str| 1 + names.iter().position(|one| *one == name).unwrap() as u32;
        let links: Vec<Link> = links
            .split_whitespace()
            .map(|link| {
                let (link, port_of) = link
                    .split_once('>')
                    .map_or((link, None), |(link, bridge)| (link, Some(index(bridge))));
                let (name, kind) = link.split_once(':').unwrap();
                let kind = match kind {
                    "card" => None,
                    "bridge" => Some(InfoKind::Bridge),
                    "vlan" => Some(InfoKind::Vlan),
                    "veth" => Some(InfoKind::Veth),
                    "tun" => Some(InfoKind::Tun),
                    other => Some(InfoKind::Other(other.to_owned())),
                };
                Link { index: index(name), name: name.to_owned(), kind, port_of }
            })
            .collect();
        let found: Vec<String> = outward(&links, default_routes).into_iter().collect();
        assert_eq!(found, expected, "{names:?}");
    }

    #[test]
    fn a_bridge_is_foreign_until_something_says_otherwise() {
        check("eth0:card docker0:bridge v1:veth>docker0", &[1], &[]);
        check("eth0:card virbr0:bridge tap0:tun>virbr0 empty:bridge", &[1], &[]);
        check("br0:bridge eth0:card>br0 docker0:bridge v1:veth>docker0", &[1], &["br0"]);
        check("lan:bridge eth1:card>lan wan:card", &[3], &["lan"]);
        check("a:bridge x:vlan>a b:bridge y:team>b c:bridge z:veth>c", &[], &["a", "b"]);
        check("br0:bridge v1:veth>br0", &[1], &["br0"]);
        check("eth0:card wg0:wireguard", &[1, 2], &[]);
    }
}
