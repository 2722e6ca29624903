//! `DescribeVpcs`: the VPCs of the account.

use outport_aws_ec2::{DescribeVpcsRequest, DescribeVpcsResult, Ec2Error};
use outport_identity::Call;
use outport_model::network::Vpc;

use crate::filter::Filters;
use crate::page::{PageRequest, check_ids};
use crate::{Ec2Service, scope, view};

const FILTERS: [&str; 11] = [
    "cidr",
    "cidr-block",
    "cidr-block-association.cidr-block",
    "cidr-block-association.state",
    "dhcp-options-id",
    "is-default",
    "isDefault",
    "owner-id",
    "state",
    "vpc-id",
    "instance-tenancy",
];

pub fn describe_vpcs(
    service: &Ec2Service,
    call: &Call,
    input: DescribeVpcsRequest,
) -> Result<DescribeVpcsResult, Ec2Error> {
    let scope = scope(call);
    let filters = Filters::parse(input.filters, true, |name| FILTERS.contains(&name))?;
    let ids = input.vpc_ids.unwrap_or_default();
    let tables = service.read(call, "ec2:DescribeVpcs", input.dry_run)?;
    let rows = || tables.vpcs.iter().filter(|row| row.scope == scope);
    check_ids(&ids, |id| rows().any(|row| row.id == *id), "InvalidVpcID.NotFound", "vpc ID")?;
    let request = PageRequest::parse(input.max_results, input.next_token, !ids.is_empty())?;
    let listed = rows()
        .filter(|row| ids.is_empty() || ids.iter().any(|id| row.id == *id.as_str()))
        .filter(|row| filters.pass(&row.tags, |name| values(row, name)))
        .map(|row| (row.id.to_string(), view::vpc(row)));
    let (vpcs, next_token) = request.take(listed);
    Ok(DescribeVpcsResult { vpcs: Some(vpcs), next_token })
}

fn values(row: &Vpc, name: &str) -> Vec<String> {
    vec![match name {
        "cidr" | "cidr-block" | "cidr-block-association.cidr-block" => row.cidr.to_string(),
        "cidr-block-association.state" => "associated".to_owned(),
        "dhcp-options-id" => row.dhcp_options_id.to_string(),
        "is-default" | "isDefault" => row.is_default.to_string(),
        "owner-id" => row.scope.account.to_string(),
        "state" => "available".to_owned(),
        "vpc-id" => row.id.to_string(),
        "instance-tenancy" => "default".to_owned(),
        _ => return Vec::new(),
    }]
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn a_new_account_has_a_default_vpc() {
        let world = World::new();
        let answer =
            world.call("Action=DescribeVpcs&Filter.1.Name=is-default&Filter.1.Value.1=true").await;
        for part in [
            "<isDefault>true</isDefault>",
            "<cidrBlock>172.31.0.0/16</cidrBlock>",
            "<state>available</state>",
            "<ownerId>000000000000</ownerId>",
            "<instanceTenancy>default</instanceTenancy>",
            "<cidrBlockState><state>associated</state></cidrBlockState>",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        let answer =
            world.call("Action=DescribeVpcs&Filter.1.Name=isDefault&Filter.1.Value.1=false").await;
        assert!(answer.contains("<vpcSet/>") || answer.contains("<vpcSet></vpcSet>"), "{answer}");
    }

    #[tokio::test]
    async fn refusals() {
        let world = World::new();
        for (query, error) in [
            (
                "VpcId.1=vpc-1",
                "<Code>InvalidVpcID.NotFound</Code><Message>The vpc ID &apos;vpc-1&apos; does not exist</Message>",
            ),
            (
                "Filter.1.Name=x&Filter.1.Value.1=y",
                "<Code>InvalidParameterValue</Code><Message>The filter &apos;x&apos; is invalid</Message>",
            ),
            ("DryRun=true", "<Code>DryRunOperation</Code>"),
            ("MaxResults=1", "<Code>InvalidParameterValue</Code>"),
        ] {
            let answer =
                world.call(&format!("Action=DescribeVpcs&{query}")).await.replace('\'', "&apos;");
            assert!(answer.contains(error), "{query}: {answer}");
        }
    }
}
