//! Rows as EC2 shows them.
//!
//! Source of the members that are always there: DescribeVpcs, DescribeSubnets, DescribeSecurityGroups and
//! DescribeNetworkInterfaces answers for the default VPC of a new account.

use outport_aws_ec2 as wire;
use outport_aws_wire::Timestamp;
use outport_model::network::{
    NetworkInterface, SUBNET_RESERVED_FIRST, SUBNET_RESERVED_LAST, SecurityGroup,
    SecurityGroupPeer, SecurityGroupRule, Subnet, Vpc,
};
use outport_model::{Arn, SecurityGroupId, Tags};
use outport_store::Tables;
use outport_store::keys::{SecurityGroupKey, SubnetKey};

use crate::resource_id;

/// Who asks EC2 for the interfaces of tasks. Source: DescribeNetworkInterfaces answers for Fargate tasks.
const ECS_REQUESTER: &str = "578734482556";

pub fn vpc(row: &Vpc) -> wire::Vpc {
    let association = wire::VpcCidrBlockAssociation {
        association_id: Some(resource_id::derived("vpc-cidr-assoc", &row.scope, row.id.as_str())),
        cidr_block: Some(row.cidr.to_string()),
        cidr_block_state: Some(wire::VpcCidrBlockState {
            state: Some(wire::VpcCidrBlockStateCode::Associated),
            status_message: None,
        }),
    };
    wire::Vpc {
        owner_id: Some(row.scope.account.to_string()),
        instance_tenancy: Some(wire::Tenancy::Default),
        cidr_block_association_set: Some(vec![association]),
        is_default: Some(row.is_default),
        tags: tags(&row.tags),
        block_public_access_states: Some(access_states()),
        vpc_id: Some(row.id.to_string()),
        state: Some(wire::VpcState::Available),
        cidr_block: Some(row.cidr.to_string()),
        dhcp_options_id: Some(row.dhcp_options_id.to_string()),
        ..wire::Vpc::default()
    }
}

/// `tables` tells how many of its addresses are taken.
pub fn subnet(tables: &Tables, row: &Subnet) -> wire::Subnet {
    wire::Subnet {
        availability_zone_id: Some(row.availability_zone_id.clone()),
        map_customer_owned_ip_on_launch: Some(false),
        owner_id: Some(row.scope.account.to_string()),
        assign_ipv6_address_on_creation: Some(false),
        ipv6_cidr_block_association_set: Some(Vec::new()),
        tags: tags(&row.tags),
        subnet_arn: Some(Arn::of("ec2", &row.scope, format!("subnet/{}", row.id)).to_string()),
        enable_dns64: Some(false),
        ipv6_native: Some(false),
        private_dns_name_options_on_launch: Some(wire::PrivateDnsNameOptionsOnLaunch {
            hostname_type: Some(wire::HostnameType::IpName),
            enable_resource_name_dns_a_record: Some(false),
            enable_resource_name_dns_aaaa_record: Some(false),
        }),
        block_public_access_states: Some(access_states()),
        subnet_id: Some(row.id.to_string()),
        state: Some(wire::SubnetState::Available),
        vpc_id: Some(row.vpc_id.to_string()),
        cidr_block: Some(row.cidr.to_string()),
        available_ip_address_count: Some(available_addresses(tables, row)),
        availability_zone: Some(row.availability_zone.clone()),
        default_for_az: Some(row.is_default_for_az),
        map_public_ip_on_launch: Some(row.map_public_ip_on_launch),
        ..wire::Subnet::default()
    }
}

/// All but AWS's own five and those of tasks.
pub fn available_addresses(tables: &Tables, row: &Subnet) -> i32 {
    let key = SubnetKey::new(&row.scope, row.id.clone());
    let taken = tables.network_interfaces.in_subnet(&key).len() as u64;
    let reserved = SUBNET_RESERVED_FIRST + SUBNET_RESERVED_LAST;
    i32::try_from(row.cidr.size().saturating_sub(reserved + taken)).unwrap_or(i32::MAX)
}

pub fn security_group(row: &SecurityGroup) -> wire::SecurityGroup {
    let arn = Arn::of("ec2", &row.scope, format!("security-group/{}", row.id));
    wire::SecurityGroup {
        group_id: Some(row.id.to_string()),
        ip_permissions_egress: Some(row.egress.iter().map(|rule| permission(row, rule)).collect()),
        tags: tags(&row.tags),
        vpc_id: Some(row.vpc_id.to_string()),
        security_group_arn: Some(arn.to_string()),
        owner_id: Some(row.scope.account.to_string()),
        group_name: Some(row.name.clone()),
        description: Some(row.description.clone()),
        ip_permissions: Some(row.ingress.iter().map(|rule| permission(row, rule)).collect()),
    }
}

fn permission(group: &SecurityGroup, rule: &SecurityGroupRule) -> wire::IpPermission {
    let (mut groups, mut ranges) = (Vec::new(), Vec::new());
    match &rule.peer {
        SecurityGroupPeer::Group(id) => groups.push(wire::UserIdGroupPair {
            user_id: Some(group.scope.account.to_string()),
            group_id: Some(id.to_string()),
            ..wire::UserIdGroupPair::default()
        }),
        SecurityGroupPeer::Cidr(cidr) => {
            ranges.push(wire::IpRange { description: None, cidr_ip: Some(cidr.to_string()) });
        }
    }
    wire::IpPermission {
        ip_protocol: Some(rule.protocol.clone()),
        from_port: rule.ports.map(|(first, _)| i32::from(first)),
        to_port: rule.ports.map(|(_, last)| i32::from(last)),
        user_id_group_pairs: Some(groups),
        ip_ranges: Some(ranges),
        ipv6_ranges: Some(Vec::new()),
        prefix_list_ids: Some(Vec::new()),
    }
}

/// `tables` gives the names of its security groups.
pub fn network_interface(tables: &Tables, row: &NetworkInterface) -> wire::NetworkInterface {
    let group = |id: &SecurityGroupId| wire::GroupIdentifier {
        group_id: Some(id.to_string()),
        group_name: tables
            .security_groups
            .get(&SecurityGroupKey::new(&row.scope, id.clone()))
            .map(|group| group.name.clone()),
    };
    let address = row.private_ip.to_string();
    wire::NetworkInterface {
        attachment: Some(wire::NetworkInterfaceAttachment {
            attach_time: Some(Timestamp::from_millis(row.created_at_ms)),
            attachment_id: Some(row.attachment_id.to_string()),
            delete_on_termination: Some(true),
            device_index: Some(1),
            network_card_index: Some(0),
            instance_owner_id: Some(ECS_REQUESTER.to_owned()),
            status: Some(wire::AttachmentStatus::Attached),
            ..wire::NetworkInterfaceAttachment::default()
        }),
        availability_zone: Some(row.availability_zone.clone()),
        description: Some(row.description.clone()),
        groups: Some(row.security_groups.iter().map(group).collect()),
        interface_type: Some(wire::NetworkInterfaceType::Interface),
        ipv6_addresses: Some(Vec::new()),
        mac_address: Some(row.mac_address.clone()),
        network_interface_id: Some(row.id.to_string()),
        owner_id: Some(row.scope.account.to_string()),
        private_dns_name: Some(row.private_dns_name.clone()),
        private_ip_address: Some(address.clone()),
        private_ip_addresses: Some(vec![wire::NetworkInterfacePrivateIpAddress {
            primary: Some(true),
            private_dns_name: Some(row.private_dns_name.clone()),
            private_ip_address: Some(address),
            ..wire::NetworkInterfacePrivateIpAddress::default()
        }]),
        requester_id: Some(ECS_REQUESTER.to_owned()),
        requester_managed: Some(true),
        source_dest_check: Some(true),
        status: Some(wire::NetworkInterfaceStatus::InUse),
        subnet_id: Some(row.subnet_id.to_string()),
        tag_set: Some(Vec::new()),
        vpc_id: Some(row.vpc_id.to_string()),
        ..wire::NetworkInterface::default()
    }
}

/// EC2 shows no tag set for what carries none.
fn tags(tags: &Tags) -> Option<Vec<wire::Tag>> {
    let list: Vec<wire::Tag> = tags
        .iter()
        .map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) })
        .collect();
    Some(list).filter(|list| !list.is_empty())
}

fn access_states() -> wire::BlockPublicAccessStates {
    wire::BlockPublicAccessStates {
        internet_gateway_block_mode: Some(wire::BlockPublicAccessMode::Off),
    }
}
