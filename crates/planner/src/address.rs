//! Chooses the private address of a task in its subnet.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use outport_model::capacity::SubnetSpace;
use outport_model::network::{SUBNET_RESERVED_FIRST, SUBNET_RESERVED_LAST};

/// The subnet in the zone with the fewest tasks of those that are counted, of these the one with the most free addresses, the
/// first of equals, and the address in it. `None` when none of them has one left.
///
/// Source: "Amazon ECS services": on Fargate the scheduler attempts to maintain balance across Availability Zones.
pub fn choose<'s, 'a>(
    spaces: &'s mut [SubnetSpace<'a>],
    of_zones: &BTreeMap<String, u64>,
) -> Option<(&'s mut SubnetSpace<'a>, Ipv4Addr)> {
    let mut by_room: Vec<usize> = (0..spaces.len()).collect();
    by_room.sort_by_key(|index| {
        let space = &spaces[*index];
        let tasks = of_zones.get(&space.subnet.availability_zone).copied().unwrap_or(0);
        (tasks, Reverse(free(space)))
    });
    let found = by_room.into_iter().find_map(|index| Some((index, next(&spaces[index])?)));
    found.map(|(index, address)| (&mut spaces[index], address))
}

fn usable(space: &SubnetSpace<'_>) -> std::ops::Range<u64> {
    let end = space.subnet.cidr.size().saturating_sub(SUBNET_RESERVED_LAST);
    SUBNET_RESERVED_FIRST.min(end)..end
}

fn free(space: &SubnetSpace<'_>) -> u64 {
    let range = usable(space);
    (range.end - range.start).saturating_sub(space.taken as u64)
}

/// The first free address behind the one that was given out last, round and round: an address rests
/// for as long as possible before it means another task.
fn next(space: &SubnetSpace<'_>) -> Option<Ipv4Addr> {
    if free(space) == 0 {
        return None;
    }
    let range = usable(space);
    let count = range.end - range.start;
    let base = u64::from(space.subnet.cidr.address.to_bits());
    let after_last = space
        .last
        .filter(|last| space.subnet.cidr.contains(*last))
        .map_or(0, |last| (u64::from(last.to_bits()) - base + 1).saturating_sub(range.start));
    (0..count)
        .filter_map(|step| space.subnet.cidr.nth(range.start + (after_last + step) % count))
        .find(|address| !space.given.contains(address) && !(space.is_taken)(*address))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use outport_model::network::{Ipv4Cidr, Subnet};
    use outport_model::{AccountId, Region, Scope, SubnetId, Tags, VpcId};

    use super::*;

    /// `cidr`, the taken addresses' last bytes, the last byte given out -> the chosen last byte.
    #[track_caller]
    fn check(cidr: &str, taken: &str, last: Option<u8>, expected: Option<u8>) {
        let cidr = Ipv4Cidr::parse(cidr).unwrap();
        let taken: Vec<u8> = taken.split_whitespace().map(|text| text.parse().unwrap()).collect();
        let at = |byte: u8| {
            let [a, b, c, _] = cidr.address.octets();
            Ipv4Addr::new(a, b, c, byte)
        };
        let mut space = SubnetSpace {
            subnet: Arc::new(Subnet {
                scope: Scope::new(AccountId::new("0"), Region::new("us-east-1")),
                id: SubnetId::new("subnet-1"),
                vpc_id: VpcId::new("vpc-1"),
                cidr,
                availability_zone: "us-east-1a".into(),
                availability_zone_id: "use1-az1".into(),
                is_default_for_az: true,
                map_public_ip_on_launch: true,
                tags: Tags::new(),
            }),
            default_security_group: None,
            taken: taken.len(),
            is_taken: Box::new(move |address| taken.contains(&address.octets()[3])),
            given: BTreeSet::new(),
            last: last.map(at),
        };
        let chosen =
            choose(std::slice::from_mut(&mut space), &BTreeMap::new()).map(|(_, address)| address);
        assert_eq!(chosen, expected.map(at));
    }

    #[test]
    fn aws_keeps_the_first_four_and_the_last() {
        check("10.0.0.0/28", "", None, Some(4));
        check("10.0.0.0/28", "4 5 6 7 8 9 10 11 12 13", None, Some(14));
        check("10.0.0.0/28", "4 5 6 7 8 9 10 11 12 13 14", None, None);
        check("10.0.0.0/30", "", None, None);
        check("10.0.0.0/32", "", None, None);
    }

    #[test]
    fn an_address_rests_before_it_comes_again() {
        check("10.0.0.0/28", "", Some(4), Some(5));
        check("10.0.0.0/28", "5", Some(4), Some(6));
        check("10.0.0.0/28", "", Some(14), Some(4));
        check("10.0.0.16/28", "", Some(30), Some(20));
    }
}
