//! `DescribeNetworkInterfaces`: the interfaces of tasks, of which there may be very many: costs those that are named, or
//! what a page walks over.

use std::collections::BTreeSet;
use std::sync::Arc;

use outport_aws_ec2::{
    DescribeNetworkInterfacesRequest, DescribeNetworkInterfacesResult, Ec2Error,
};
use outport_identity::Call;
use outport_model::network::NetworkInterface;
use outport_model::{NetworkInterfaceId, SecurityGroupId, Tags};
use outport_store::Tables;
use outport_store::keys::{NetworkInterfaceKey, SecurityGroupKey};

use crate::filter::Filters;
use crate::page::{PageRequest, check_ids};
use crate::{Ec2Service, scope, view};

const FILTERS: [&str; 20] = [
    "addresses.primary",
    "addresses.private-ip-address",
    "attachment.attachment-id",
    "attachment.status",
    "availability-zone",
    "description",
    "group-id",
    "group-name",
    "interface-type",
    "mac-address",
    "network-interface-id",
    "owner-id",
    "private-dns-name",
    "private-ip-address",
    "requester-managed",
    "source-dest-check",
    "status",
    "subnet-id",
    "vpc-id",
    "attachment.instance-id",
];

pub fn describe_network_interfaces(
    service: &Ec2Service,
    call: &Call,
    input: DescribeNetworkInterfacesRequest,
) -> Result<DescribeNetworkInterfacesResult, Ec2Error> {
    let scope = scope(call);
    let filters = Filters::parse(input.filters, true, |name| FILTERS.contains(&name))?;
    let ids = input.network_interface_ids.unwrap_or_default();
    let tables = service.read(call, "ec2:DescribeNetworkInterfaces", input.dry_run)?;
    let key = |id: &str| NetworkInterfaceKey::new(&scope, NetworkInterfaceId::new(id));
    let get = |id: &str| tables.network_interfaces.get(&key(id));
    let noun = "networkInterface ID";
    check_ids(&ids, |id| get(id).is_some(), "InvalidNetworkInterfaceID.NotFound", noun)?;
    let request = PageRequest::parse(input.max_results, input.next_token, !ids.is_empty())?;
    let passes = |row: &&Arc<NetworkInterface>| {
        filters.pass(&Tags::new(), |name| values(&tables, row, name))
    };
    let keyed = |row: &Arc<NetworkInterface>| (row.id.to_string(), Arc::clone(row));
    let (rows, next_token) = if ids.is_empty() {
        let start = key(request.after().unwrap_or_default());
        let rows = tables.network_interfaces.range(start..).take_while(|row| row.scope == scope);
        request.take(rows.filter(passes).map(keyed))
    } else {
        let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        request.take(ids.into_iter().filter_map(get).filter(passes).map(keyed))
    };
    let interfaces = rows.iter().map(|row| view::network_interface(&tables, row)).collect();
    Ok(DescribeNetworkInterfacesResult { network_interfaces: Some(interfaces), next_token })
}

fn values(tables: &Tables, row: &NetworkInterface, name: &str) -> Vec<String> {
    vec![match name {
        "addresses.primary" | "requester-managed" | "source-dest-check" => "true".to_owned(),
        "addresses.private-ip-address" | "private-ip-address" => row.private_ip.to_string(),
        "attachment.attachment-id" => row.attachment_id.to_string(),
        "attachment.status" => "attached".to_owned(),
        "availability-zone" => row.availability_zone.clone(),
        "description" => row.description.clone(),
        "group-id" => return row.security_groups.iter().map(ToString::to_string).collect(),
        "group-name" => {
            let key = |id: &SecurityGroupId| SecurityGroupKey::new(&row.scope, id.clone());
            let groups =
                row.security_groups.iter().filter_map(|id| tables.security_groups.get(&key(id)));
            return groups.map(|group| group.name.clone()).collect();
        }
        "interface-type" => "interface".to_owned(),
        "mac-address" => row.mac_address.clone(),
        "network-interface-id" => row.id.to_string(),
        "owner-id" => row.scope.account.to_string(),
        "private-dns-name" => row.private_dns_name.clone(),
        "status" => "in-use".to_owned(),
        "subnet-id" => row.subnet_id.to_string(),
        "vpc-id" => row.vpc_id.to_string(),
        _ => return Vec::new(),
    }]
}

#[cfg(test)]
mod tests {
    use outport_model::network::NetworkInterface;
    use outport_model::{AttachmentId, NetworkInterfaceId, Region, TaskId};

    use crate::testing::World;

    fn interface(world: &World, number: u64) -> NetworkInterface {
        let tables = world.store.snapshot();
        let subnet = tables.subnets.iter().next().unwrap().clone();
        let group = tables.security_groups.iter().next().unwrap().clone();
        NetworkInterface {
            scope: world.scope.clone(),
            id: NetworkInterfaceId::new(format!("eni-{number:02}")),
            vpc_id: subnet.vpc_id.clone(),
            subnet_id: subnet.id.clone(),
            availability_zone: subnet.availability_zone.clone(),
            security_groups: vec![group.id.clone()],
            private_ip: subnet.cidr.nth(3 + number).unwrap(),
            mac_address: "02:00:00:00:00:01".to_owned(),
            private_dns_name: "ip-172-31-0-4.ec2.internal".to_owned(),
            description: "arn:aws:ecs:us-east-1:000000000000:attachment/1".to_owned(),
            task: TaskId::new("1"),
            attachment_id: AttachmentId::new("eni-attach-01"),
            created_at_ms: 0,
        }
    }

    #[tokio::test]
    async fn the_interface_of_a_task_is_shown() {
        let world = World::new();
        let subnet = world.store.snapshot().subnets.iter().next().unwrap().clone();
        world.put(interface(&world, 1));
        let query = format!(
            "Filter.1.Name=addresses.private-ip-address&Filter.1.Value.1={}",
            subnet.cidr.nth(4).unwrap()
        );
        let answer = world.call(&format!("Action=DescribeNetworkInterfaces&{query}")).await;
        for part in [
            "<networkInterfaceId>eni-01</networkInterfaceId>",
            "<status>in-use</status>",
            "<groupName>default</groupName>",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        let answer = world.call(&format!("Action=DescribeSubnets&SubnetId.1={}", subnet.id)).await;
        assert!(
            answer.contains("<availableIpAddressCount>4090</availableIpAddressCount>"),
            "{answer}"
        );
        let answer =
            world.call("Action=DescribeNetworkInterfaces&NetworkInterfaceId.1=eni-02").await;
        assert!(answer.contains("<Code>InvalidNetworkInterfaceID.NotFound</Code>"), "{answer}");
    }
    fn ids(answer: &str) -> Vec<&str> {
        let parts = answer.split("<networkInterfaceId>").skip(1);
        parts.filter_map(|rest| rest.split('<').next()).collect()
    }

    #[tokio::test]
    async fn pages_cover_the_interfaces_of_the_account_once() {
        let world = World::new();
        (1..=12).for_each(|number| world.put(interface(&world, number)));
        let mut other = interface(&world, 13);
        other.scope.region = Region::new("us-west-2");
        world.put(other);
        let (mut found, mut query) = (Vec::new(), String::new());
        loop {
            let answer =
                world.call(&format!("Action=DescribeNetworkInterfaces&MaxResults=5{query}")).await;
            found.push(ids(&answer).join(" "));
            let Some(rest) = answer.split("<nextToken>").nth(1) else { break };
            query = format!("&NextToken={}", rest.split('<').next().unwrap());
        }
        let expected = [
            "eni-01 eni-02 eni-03 eni-04 eni-05",
            "eni-06 eni-07 eni-08 eni-09 eni-10",
            "eni-11 eni-12",
        ];
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn those_that_are_named_are_shown_once_and_filtered() {
        let world = World::new();
        (1..=12).for_each(|number| world.put(interface(&world, number)));
        let named =
            "NetworkInterfaceId.1=eni-07&NetworkInterfaceId.2=eni-03&NetworkInterfaceId.3=eni-07";
        let answer = world.call(&format!("Action=DescribeNetworkInterfaces&{named}")).await;
        assert_eq!(ids(&answer), ["eni-03", "eni-07"]);
        let filter = "Filter.1.Name=network-interface-id&Filter.1.Value.1=eni-07";
        let answer =
            world.call(&format!("Action=DescribeNetworkInterfaces&{named}&{filter}")).await;
        assert_eq!(ids(&answer), ["eni-07"]);
        let answer =
            world.call(&format!("Action=DescribeNetworkInterfaces&{named}&MaxResults=5")).await;
        assert!(answer.contains("<Code>InvalidParameterCombination</Code>"), "{answer}");
    }
}
