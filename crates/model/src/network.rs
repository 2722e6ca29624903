//! The VPC as EC2 shows it, and how a task is attached to it.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{
    AttachmentId, DhcpOptionsId, NetworkInterfaceId, Scope, SecurityGroupId, SubnetId, Tags,
    TaskId, TimestampMs, VpcId,
};

/// An IPv4 range, such as `172.31.0.0/16`; the address has no bits behind the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ipv4Cidr {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl Ipv4Cidr {
    /// Reads `a.b.c.d/n`; `None` when it is malformed or has bits behind the prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let cidr = Self { address: address.parse().ok()?, prefix: prefix.parse().ok()? };
        let valid = cidr.prefix <= 32 && cidr.address.to_bits() & !cidr.mask() == 0;
        valid.then_some(cidr)
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.address.to_bits()
    }

    /// How many addresses it spans.
    pub fn size(self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    /// The address at `offset` from its start; `None` past its end.
    pub fn nth(self, offset: u64) -> Option<Ipv4Addr> {
        let offset = u32::try_from(offset).ok().filter(|_| offset < self.size())?;
        Some(Ipv4Addr::from_bits(self.address.to_bits() + offset))
    }
}

impl std::fmt::Display for Ipv4Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    pub scope: Scope,
    pub id: VpcId,
    pub cidr: Ipv4Cidr,
    pub is_default: bool,
    pub dhcp_options_id: DhcpOptionsId,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub scope: Scope,
    pub id: SubnetId,
    pub vpc_id: VpcId,
    pub cidr: Ipv4Cidr,
    /// Such as `us-east-1a`.
    pub availability_zone: String,
    /// Such as `use1-az1`.
    pub availability_zone_id: String,
    pub is_default_for_az: bool,
    pub map_public_ip_on_launch: bool,
    pub tags: Tags,
}

/// AWS keeps the first four addresses of a subnet and the last one.
/// Source: "Subnet CIDR blocks" in the Amazon VPC User Guide.
pub const SUBNET_RESERVED_FIRST: u64 = 4;
pub const SUBNET_RESERVED_LAST: u64 = 1;

impl Subnet {
    /// The address of its router: the second of the range.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.cidr.address.to_bits() + 1)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub scope: Scope,
    pub id: SecurityGroupId,
    pub name: String,
    pub description: String,
    pub vpc_id: VpcId,
    pub ingress: Vec<SecurityGroupRule>,
    pub egress: Vec<SecurityGroupRule>,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// `-1` for all, else `tcp`, `udp`, `icmp` or a number.
    pub protocol: String,
    pub ports: Option<(u16, u16)>,
    pub peer: SecurityGroupPeer,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SecurityGroupPeer {
    Cidr(Ipv4Cidr),
    Group(SecurityGroupId),
}

/// An elastic network interface: the address of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterface {
    pub scope: Scope,
    pub id: NetworkInterfaceId,
    pub vpc_id: VpcId,
    pub subnet_id: SubnetId,
    pub availability_zone: String,
    pub security_groups: Vec<SecurityGroupId>,
    pub private_ip: Ipv4Addr,
    /// `02:…`, lower case.
    pub mac_address: String,
    pub private_dns_name: String,
    pub description: String,
    pub task: TaskId,
    pub attachment_id: AttachmentId,
    pub created_at_ms: TimestampMs,
}

/// What the caller asked for in `networkConfiguration.awsvpcConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsvpcConfiguration {
    pub subnets: Vec<SubnetId>,
    pub security_groups: Vec<SecurityGroupId>,
    pub assign_public_ip: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_knows_its_addresses() {
        let cidr = Ipv4Cidr::parse("172.31.16.0/20").unwrap();
        assert_eq!(cidr.size(), 4096);
        assert_eq!(cidr.nth(4), Some(Ipv4Addr::new(172, 31, 16, 4)));
        assert_eq!(cidr.nth(4096), None);
        assert!(cidr.contains(Ipv4Addr::new(172, 31, 31, 255)));
        assert!(!cidr.contains(Ipv4Addr::new(172, 31, 32, 0)));
        assert_eq!(Ipv4Cidr::parse("0.0.0.0/0").unwrap().size(), 1 << 32);
        for text in ["172.31.0.1/16", "172.31.0.0", "172.31.0.0/33", "x/8"] {
            assert_eq!(Ipv4Cidr::parse(text), None, "{text}");
        }
    }
}
