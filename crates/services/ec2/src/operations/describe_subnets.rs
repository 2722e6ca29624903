//! `DescribeSubnets`: the subnets of the account, with how many addresses are left.

use outport_aws_ec2::{DescribeSubnetsRequest, DescribeSubnetsResult, Ec2Error};
use outport_identity::Call;
use outport_model::Arn;
use outport_model::network::Subnet;
use outport_store::Tables;

use crate::filter::Filters;
use crate::page::{PageRequest, check_ids};
use crate::{Ec2Service, scope, view};

const FILTERS: [&str; 17] = [
    "availability-zone",
    "availabilityZone",
    "availability-zone-id",
    "availabilityZoneId",
    "available-ip-address-count",
    "cidr",
    "cidr-block",
    "cidrBlock",
    "default-for-az",
    "defaultForAz",
    "map-public-ip-on-launch",
    "owner-id",
    "state",
    "subnet-arn",
    "subnet-id",
    "vpc-id",
    "ipv6-native",
];

pub fn describe_subnets(
    service: &Ec2Service,
    call: &Call,
    input: DescribeSubnetsRequest,
) -> Result<DescribeSubnetsResult, Ec2Error> {
    let scope = scope(call);
    let filters = Filters::parse(input.filters, true, |name| FILTERS.contains(&name))?;
    let ids = input.subnet_ids.unwrap_or_default();
    let tables = service.read(call, "ec2:DescribeSubnets", input.dry_run)?;
    let rows = || tables.subnets.iter().filter(|row| row.scope == scope);
    check_ids(&ids, |id| rows().any(|row| row.id == *id), "InvalidSubnetID.NotFound", "subnet ID")?;
    let request = PageRequest::parse(input.max_results, input.next_token, !ids.is_empty())?;
    let mut listed: Vec<_> = rows()
        .filter(|row| ids.is_empty() || ids.iter().any(|id| row.id == *id.as_str()))
        .filter(|row| filters.pass(&row.tags, |name| values(&tables, row, name)))
        .map(|row| (order(row), view::subnet(&tables, row)))
        .collect();
    listed.sort_by(|(left, _), (right, _)| left.cmp(right));
    let (subnets, next_token) = request.take(listed);
    Ok(DescribeSubnetsResult { subnets: Some(subnets), next_token })
}

/// By zone, so that a script that takes the first subnet takes that of the first zone, each time.
fn order(row: &Subnet) -> String {
    format!("{} {}", row.availability_zone, row.id)
}

fn values(tables: &Tables, row: &Subnet, name: &str) -> Vec<String> {
    vec![match name {
        "availability-zone" | "availabilityZone" => row.availability_zone.clone(),
        "availability-zone-id" | "availabilityZoneId" => row.availability_zone_id.clone(),
        "available-ip-address-count" => view::available_addresses(tables, row).to_string(),
        "cidr" | "cidr-block" | "cidrBlock" => row.cidr.to_string(),
        "default-for-az" | "defaultForAz" => row.is_default_for_az.to_string(),
        "map-public-ip-on-launch" => row.map_public_ip_on_launch.to_string(),
        "owner-id" => row.scope.account.to_string(),
        "state" => "available".to_owned(),
        "subnet-arn" => Arn::of("ec2", &row.scope, format!("subnet/{}", row.id)).to_string(),
        "subnet-id" => row.id.to_string(),
        "vpc-id" => row.vpc_id.to_string(),
        "ipv6-native" => "false".to_owned(),
        _ => return Vec::new(),
    }]
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn each_zone_has_a_default_subnet() {
        let world = World::new();
        let answer = world.call("Action=DescribeSubnets").await;
        assert_eq!(answer.matches("<defaultForAz>true</defaultForAz>").count(), 6, "{answer}");
        let zones: Vec<&str> = answer
            .split("<availabilityZone>")
            .skip(1)
            .filter_map(|rest| rest.split('<').next())
            .collect();
        let in_order = ["a", "b", "c", "d", "e", "f"].map(|zone| format!("us-east-1{zone}"));
        assert_eq!(zones, in_order, "{answer}");
        assert_eq!(
            answer.matches("<availableIpAddressCount>4091</availableIpAddressCount>").count(),
            6
        );
        let query = "Filter.1.Name=availability-zone&Filter.1.Value.1=us-east-1b&Filter.2.Name=default-for-az&Filter.2.Value.1=true";
        let answer = world.call(&format!("Action=DescribeSubnets&{query}")).await;
        assert_eq!(answer.matches("<subnetId>").count(), 1, "{answer}");
        assert!(answer.contains("<cidrBlock>172.31.16.0/20</cidrBlock>"), "{answer}");
    }

    #[tokio::test]
    async fn pages_cover_everything() {
        let world = World::new();
        let first = world.call("Action=DescribeSubnets&MaxResults=5").await;
        assert_eq!(first.matches("<subnetId>").count(), 5);
        let token = first.split("<nextToken>").nth(1).unwrap().split('<').next().unwrap();
        let second =
            world.call(&format!("Action=DescribeSubnets&MaxResults=5&NextToken={token}")).await;
        assert_eq!(second.matches("<subnetId>").count(), 1);
        assert!(!second.contains("<nextToken>"), "{second}");
    }

    #[tokio::test]
    async fn an_unknown_subnet_is_named() {
        let world = World::new();
        let answer = world.call("Action=DescribeSubnets&SubnetId.1=subnet-1").await;
        assert!(answer.contains("<Code>InvalidSubnetID.NotFound</Code>"), "{answer}");
        assert!(answer.contains("subnet-1"), "{answer}");
    }
}
