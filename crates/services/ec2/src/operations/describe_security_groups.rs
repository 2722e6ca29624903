//! `DescribeSecurityGroups`: the security groups of the account, with their rules.

use outport_aws_ec2::{DescribeSecurityGroupsRequest, DescribeSecurityGroupsResult, Ec2Error};
use outport_identity::Call;
use outport_model::network::{SecurityGroup, SecurityGroupPeer, SecurityGroupRule};

use crate::filter::Filters;
use crate::page::{PageRequest, check_ids};
use crate::{Ec2Service, scope, view};

const FILTERS: [&str; 15] = [
    "description",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "group-id",
    "group-name",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "owner-id",
    "vpc-id",
];

pub fn describe_security_groups(
    service: &Ec2Service,
    call: &Call,
    input: DescribeSecurityGroupsRequest,
) -> Result<DescribeSecurityGroupsResult, Ec2Error> {
    let scope = scope(call);
    let filters = Filters::parse(input.filters, true, |name| FILTERS.contains(&name))?;
    let ids = input.group_ids.unwrap_or_default();
    let names = input.group_names.unwrap_or_default();
    let names_ids = !ids.is_empty() || !names.is_empty();
    let tables = service.read(call, "ec2:DescribeSecurityGroups", input.dry_run)?;
    let rows = || tables.security_groups.iter().filter(|row| row.scope == scope);
    check_ids(
        &ids,
        |id| rows().any(|row| row.id == *id),
        "InvalidGroup.NotFound",
        "security group",
    )?;
    check_ids(
        &names,
        |name| rows().any(|row| row.name == name),
        "InvalidGroup.NotFound",
        "security group",
    )?;
    let request = PageRequest::parse(input.max_results, input.next_token, names_ids)?;
    let listed = rows()
        .filter(|row| ids.is_empty() || ids.iter().any(|id| row.id == *id.as_str()))
        .filter(|row| names.is_empty() || names.contains(&row.name))
        .filter(|row| filters.pass(&row.tags, |name| values(row, name)))
        .map(|row| (row.id.to_string(), view::security_group(row)));
    let (groups, next_token) = request.take(listed);
    Ok(DescribeSecurityGroupsResult { security_groups: Some(groups), next_token })
}

fn values(row: &SecurityGroup, name: &str) -> Vec<String> {
    if let Some(name) = name.strip_prefix("egress.ip-permission.") {
        return row.egress.iter().filter_map(|rule| rule_value(rule, name)).collect();
    }
    if let Some(name) = name.strip_prefix("ip-permission.") {
        return row.ingress.iter().filter_map(|rule| rule_value(rule, name)).collect();
    }
    vec![match name {
        "description" => row.description.clone(),
        "group-id" => row.id.to_string(),
        "group-name" => row.name.clone(),
        "owner-id" => row.scope.account.to_string(),
        "vpc-id" => row.vpc_id.to_string(),
        _ => return Vec::new(),
    }]
}

fn rule_value(rule: &SecurityGroupRule, name: &str) -> Option<String> {
    match (name, &rule.peer) {
        ("cidr", SecurityGroupPeer::Cidr(cidr)) => Some(cidr.to_string()),
        ("group-id", SecurityGroupPeer::Group(id)) => Some(id.to_string()),
        ("protocol", _) => Some(rule.protocol.clone()),
        ("from-port", _) => rule.ports.map(|(first, _)| first.to_string()),
        ("to-port", _) => rule.ports.map(|(_, last)| last.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn the_default_group_lets_its_members_talk() {
        let world = World::new();
        let query = "Filter.1.Name=group-name&Filter.1.Value.1=default";
        let answer = world.call(&format!("Action=DescribeSecurityGroups&{query}")).await;
        for part in [
            "<groupName>default</groupName>",
            "<groupDescription>default VPC security group</groupDescription>",
            "<cidrIp>0.0.0.0/0</cidrIp>",
            "<ipProtocol>-1</ipProtocol>",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        let answer = world.call("Action=DescribeSecurityGroups&GroupId.1=sg-1").await;
        assert!(answer.contains("<Code>InvalidGroup.NotFound</Code>"), "{answer}");
    }
}
