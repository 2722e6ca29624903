//! Finds out whether the host uses an address range already.

use crate::error::NetworkError;
use crate::route::Occupied;
use ipnet::Ipv4Net;

/// Fails when a route or address of a link that is not the instance's own overlaps `cidr`. Default routes overlap
/// everything and mean nothing.
pub fn check(
    cidr: Ipv4Net,
    occupied: &[Occupied],
    links: &[(u32, String)],
    own_prefix: &str,
) -> Result<(), NetworkError> {
    for route in occupied.iter().filter(|route| route.prefix_length > 0) {
        let name = links.iter().find(|(index, _)| *index == route.link_index);
        let link = name.map_or("?", |(_, name)| name.as_str());
        let Ok(other) = Ipv4Net::new(route.destination, route.prefix_length) else { continue };
        let overlaps = cidr.contains(&other.network()) || other.contains(&cidr.network());
        if overlaps && !link.starts_with(own_prefix) {
            let link = link.to_owned();
            return Err(NetworkError::AddressClash { cidr, other: other.trunc(), link });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_clash(route: &str, link: &str, clashes: bool) {
        let route: Ipv4Net = route.parse().unwrap();
        let occupied = [Occupied {
            destination: route.addr(),
            prefix_length: route.prefix_len(),
            link_index: 2,
        }];
        let links = [(1, "lo".to_owned()), (2, link.to_owned())];
        let found = check("172.31.0.0/16".parse().unwrap(), &occupied, &links, "op12345");
        assert_eq!(found.is_err(), clashes, "{route} on {link}");
    }

    #[test]
    fn an_overlap_with_anything_but_our_own_links_is_a_clash() {
        check_clash("172.31.16.0/20", "eth0", true);
        check_clash("172.16.0.0/12", "docker0", true);
        check_clash("172.31.0.1/32", "op99999router", true);
        check_clash("172.31.0.1/32", "op12345router", false);
        check_clash("0.0.0.0/0", "eth0", false);
        check_clash("192.168.0.0/16", "eth0", false);
        check_clash("172.30.0.0/16", "eth0", false);
    }
}
