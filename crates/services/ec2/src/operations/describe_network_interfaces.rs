//! `DescribeNetworkInterfaces`: the interfaces of tasks.

use outport_aws_ec2::{
    DescribeNetworkInterfacesRequest, DescribeNetworkInterfacesResult, Ec2Error,
};
use outport_identity::Call;
use outport_model::network::NetworkInterface;
use outport_model::{SecurityGroupId, Tags};
use outport_store::Tables;
use outport_store::keys::SecurityGroupKey;

use crate::filter::Filters;
use crate::page::{check_ids, page};
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
    let tables = service.read(call, "ec2:DescribeNetworkInterfaces", input.dry_run)?;
    let ids = input.network_interface_ids.unwrap_or_default();
    let rows = || tables.network_interfaces.iter().filter(|row| row.scope == scope);
    let found = rows().map(|row| row.id.as_str());
    check_ids(&ids, found, "InvalidNetworkInterfaceID.NotFound", "networkInterface ID")?;
    let listed = rows()
        .filter(|row| ids.is_empty() || ids.iter().any(|id| row.id == *id.as_str()))
        .filter(|row| filters.pass(&Tags::new(), |name| values(&tables, row, name)))
        .map(|row| (row.id.to_string(), view::network_interface(&tables, row)))
        .collect();
    let (interfaces, next_token) =
        page(listed, input.max_results, input.next_token, !ids.is_empty())?;
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
    use outport_model::{AttachmentId, NetworkInterfaceId, TaskId};

    use crate::testing::World;

    #[tokio::test]
    async fn the_interface_of_a_task_is_shown() {
        let world = World::new();
        let tables = world.store.snapshot();
        let subnet = tables.subnets.iter().next().unwrap().clone();
        let group = tables.security_groups.iter().next().unwrap().clone();
        world.put(NetworkInterface {
            scope: world.scope.clone(),
            id: NetworkInterfaceId::new("eni-01"),
            vpc_id: subnet.vpc_id.clone(),
            subnet_id: subnet.id.clone(),
            availability_zone: subnet.availability_zone.clone(),
            security_groups: vec![group.id.clone()],
            private_ip: subnet.cidr.nth(4).unwrap(),
            mac_address: "02:00:00:00:00:01".to_owned(),
            private_dns_name: "ip-172-31-0-4.ec2.internal".to_owned(),
            description: "arn:aws:ecs:us-east-1:000000000000:attachment/1".to_owned(),
            task: TaskId::new("1"),
            attachment_id: AttachmentId::new("eni-attach-01"),
            created_at_ms: 0,
        });
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
}
