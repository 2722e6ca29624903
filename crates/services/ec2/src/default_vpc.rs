//! What a new account has in every region: a default VPC with a default subnet per zone and a default security group.
//!
//! Source: "Default VPCs" and "Default security groups for your VPCs" in the Amazon VPC User Guide.

use outport_model::network::{
    Ipv4Cidr, SecurityGroup, SecurityGroupPeer, SecurityGroupRule, Subnet, Vpc,
};
use outport_model::{DhcpOptionsId, Scope, SecurityGroupId, SubnetId, Tags, VpcId};
use outport_store::Transaction;

use crate::{resource_id, zones};

/// The range of a default VPC on AWS.
pub const DEFAULT_CIDR: &str = "172.31.0.0/16";
/// The widest and the narrowest range of a default VPC. A subnet of it is 16 times smaller, and the smallest subnet on
/// AWS is a /28. Source: "VPC CIDR blocks" and "Subnet sizing" in the Amazon VPC User Guide.
pub const PREFIX_MIN: u8 = 16;
pub const PREFIX_MAX: u8 = 24;
/// A default subnet takes a sixteenth of its VPC.
const SUBNET_PREFIX_BITS: u8 = 4;
/// Source: "Subnet sizing" in the Amazon VPC User Guide.
const SUBNET_PREFIX_MAX: u8 = 28;

/// The rows of a default VPC.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultVpc {
    pub vpc: Vpc,
    /// One per zone, in the order of the zones.
    pub subnets: Vec<Subnet>,
    pub security_group: SecurityGroup,
}

/// Why a range cannot be a default VPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("the range of a default VPC is /{PREFIX_MIN} to /{PREFIX_MAX}")]
    Size,
    #[error("too little of the range is left for another account or region")]
    Full,
}

/// The default VPC of a scope on `cidr`. The same scope and range give the same rows, ids and all. `taken` are the subnets
/// of other scopes in it: the machines of an installation route one range, which the default VPCs of all of its accounts and
/// regions share until each VPC has a network of its own.
///
/// # Errors
/// [`CidrError::Size`] when the range is too wide or too narrow for a subnet per zone, [`CidrError::Full`] when too little of
/// it is left.
pub fn rows(scope: &Scope, cidr: Ipv4Cidr, taken: &[Ipv4Cidr]) -> Result<DefaultVpc, CidrError> {
    if !(PREFIX_MIN..=PREFIX_MAX).contains(&cidr.prefix) {
        return Err(CidrError::Size);
    }
    let vpc = Vpc {
        scope: scope.clone(),
        id: VpcId::new(resource_id::derived("vpc", scope, "default")),
        cidr,
        is_default: true,
        dhcp_options_id: DhcpOptionsId::new(resource_id::derived("dopt", scope, "default")),
        tags: Tags::new(),
    };
    let zones = zones::of(&scope.region);
    let ranges = subnet_ranges(cidr, taken, zones.len()).ok_or(CidrError::Full)?;
    let subnets = zones.into_iter().zip(ranges).map(|(zone, range)| subnet(&vpc, zone, range));
    let subnets = subnets.collect();
    let security_group = security_group(&vpc);
    Ok(DefaultVpc { vpc, subnets, security_group })
}

fn subnet(vpc: &Vpc, zone: zones::Zone, cidr: Ipv4Cidr) -> Subnet {
    Subnet {
        scope: vpc.scope.clone(),
        id: SubnetId::new(resource_id::derived("subnet", &vpc.scope, &zone.name)),
        vpc_id: vpc.id.clone(),
        cidr,
        availability_zone: zone.name,
        availability_zone_id: zone.id,
        is_default_for_az: true,
        map_public_ip_on_launch: true,
        tags: Tags::new(),
    }
}

/// The first gets what AWS gives, a sixteenth of the VPC for each zone. Who comes later takes together a sixteenth of what is
/// left, so that there is always something left: about 100 accounts and regions fit a /16.
fn subnet_ranges(cidr: Ipv4Cidr, taken: &[Ipv4Cidr], count: usize) -> Option<Vec<Ipv4Cidr>> {
    let taken: Vec<Ipv4Cidr> =
        taken.iter().copied().filter(|taken| cidr.contains(taken.address)).collect();
    let widest = cidr.prefix + SUBNET_PREFIX_BITS;
    let prefix = if taken.is_empty() {
        widest
    } else {
        let left = cidr.size().saturating_sub(taken.iter().map(|taken| taken.size()).sum());
        let share = left / (1 << SUBNET_PREFIX_BITS) / u64::try_from(count).ok()?;
        let bits = u8::try_from(share.checked_ilog2().unwrap_or(0)).ok()?;
        (32 - bits).clamp(widest, SUBNET_PREFIX_MAX)
    };
    let size = 1_u64 << (32 - u32::from(prefix));
    let steps = (0..cidr.size() / size).filter_map(|step| cidr.nth(step * size));
    let free = steps
        .map(|address| Ipv4Cidr { address, prefix })
        .filter(|range| !taken.iter().any(|taken| overlaps(*taken, *range)));
    let found: Vec<Ipv4Cidr> = free.take(count).collect();
    (found.len() == count).then_some(found)
}

fn overlaps(one: Ipv4Cidr, other: Ipv4Cidr) -> bool {
    one.contains(other.address) || other.contains(one.address)
}

/// Members reach each other on everything, and everything outside.
fn security_group(vpc: &Vpc) -> SecurityGroup {
    let id = SecurityGroupId::new(resource_id::derived("sg", &vpc.scope, "default"));
    let all = |peer| SecurityGroupRule { protocol: "-1".to_owned(), ports: None, peer };
    let anywhere = Ipv4Cidr { address: std::net::Ipv4Addr::UNSPECIFIED, prefix: 0 };
    SecurityGroup {
        scope: vpc.scope.clone(),
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
        vpc_id: vpc.id.clone(),
        ingress: vec![all(SecurityGroupPeer::Group(id.clone()))],
        egress: vec![all(SecurityGroupPeer::Cidr(anywhere))],
        tags: Tags::new(),
        id,
    }
}

/// Makes the default VPC of a scope that has none. The one that is there stays, whatever its range.
///
/// # Errors
/// [`CidrError`].
pub fn ensure(tx: &mut Transaction<'_>, scope: &Scope, cidr: Ipv4Cidr) -> Result<(), CidrError> {
    if tx.vpcs.iter().any(|vpc| vpc.scope == *scope && vpc.is_default) {
        return Ok(());
    }
    let taken: Vec<Ipv4Cidr> = tx.subnets.iter().map(|subnet| subnet.cidr).collect();
    let DefaultVpc { vpc, subnets, security_group } = rows(scope, cidr, &taken)?;
    tx.put(vpc);
    for subnet in subnets {
        tx.put(subnet);
    }
    tx.put(security_group);
    Ok(())
}

#[cfg(test)]
mod tests {
    use outport_model::{AccountId, Region};

    use super::*;

    #[track_caller]
    fn check(cidr: &str, expected: &str) {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("eu-west-1"));
        let made = rows(&scope, Ipv4Cidr::parse(cidr).unwrap(), &[]);
        let actual = match made {
            Ok(made) => {
                let subnets = made.subnets.iter();
                let subnets: Vec<String> = subnets
                    .map(|subnet| format!("{} {}", subnet.availability_zone, subnet.cidr))
                    .collect();
                subnets.join(", ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected);
    }

    #[test]
    fn each_zone_has_a_sixteenth_of_the_range() {
        check(
            "172.31.0.0/16",
            "eu-west-1a 172.31.0.0/20, eu-west-1b 172.31.16.0/20, eu-west-1c 172.31.32.0/20",
        );
        check(
            "10.9.8.0/24",
            "eu-west-1a 10.9.8.0/28, eu-west-1b 10.9.8.16/28, eu-west-1c 10.9.8.32/28",
        );
        check("10.0.0.0/8", "the range of a default VPC is /16 to /24");
        check("10.0.0.0/25", "the range of a default VPC is /16 to /24");
    }

    #[test]
    fn us_east_1_has_six_subnets() {
        let scope = Scope::new(AccountId::new("000000000000"), Region::new("us-east-1"));
        let made = rows(&scope, Ipv4Cidr::parse(DEFAULT_CIDR).unwrap(), &[]).unwrap();
        assert_eq!(made.subnets.len(), 6);
        assert_eq!(made.subnets[5].cidr.to_string(), "172.31.80.0/20");
        assert_eq!(made.security_group.vpc_id, made.vpc.id);
    }

    /// How many scopes of three zones fit a range, and the subnets of the second one.
    #[track_caller]
    fn check_many(cidr: &str, count: std::ops::Range<usize>, second: &str) {
        let cidr = Ipv4Cidr::parse(cidr).unwrap();
        let mut made: Vec<Vec<Ipv4Cidr>> = Vec::new();
        let error = loop {
            let account = AccountId::new(format!("{:012}", made.len()));
            let scope = Scope::new(account, Region::new("eu-west-1"));
            match rows(&scope, cidr, &made.concat()) {
                Ok(vpc) => made.push(vpc.subnets.iter().map(|subnet| subnet.cidr).collect()),
                Err(error) => break error,
            }
        };
        assert_eq!(error, CidrError::Full);
        assert!(count.contains(&made.len()), "{}", made.len());
        let shown: Vec<String> = made[1].iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(", "), second);
        let all = made.concat();
        for (position, one) in all.iter().enumerate() {
            assert!(cidr.contains(one.address) && one.prefix <= SUBNET_PREFIX_MAX);
            assert!(all.iter().skip(position + 1).all(|other| !overlaps(*one, *other)), "{one}");
        }
    }

    #[test]
    fn accounts_and_regions_share_one_range() {
        let second = "172.31.48.0/22, 172.31.52.0/22, 172.31.56.0/22";
        check_many("172.31.0.0/16", 80..130, second);
        check_many("10.9.8.0/24", 4..6, "10.9.8.48/28, 10.9.8.64/28, 10.9.8.80/28");
    }
}
