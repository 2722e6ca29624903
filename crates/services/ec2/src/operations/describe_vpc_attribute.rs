//! `DescribeVpcAttribute`: what a VPC does about names. Every VPC here is a default one, and shown as that.

use outport_aws_ec2::{
    AttributeBooleanValue, DescribeVpcAttributeRequest, DescribeVpcAttributeResult, Ec2Error,
    VpcAttributeName,
};
use outport_identity::{Call, Question};
use outport_model::{Arn, VpcId};
use outport_store::keys::VpcKey;

use crate::page::check_ids;
use crate::{Ec2Service, scope};

pub fn describe_vpc_attribute(
    service: &Ec2Service,
    call: &Call,
    input: DescribeVpcAttributeRequest,
) -> Result<DescribeVpcAttributeResult, Ec2Error> {
    let scope = scope(call);
    let id = input.vpc_id.unwrap_or_default();
    let tables = service.read_about(call, input.dry_run, |tables| {
        let row = tables.vpcs.get(&VpcKey::new(&scope, VpcId::new(&id)));
        let arn = Arn::of("ec2", &scope, format!("vpc/{id}")).to_string();
        let question =
            Question::new("ec2:DescribeVpcAttribute", arn).with("ec2:VpcID", id.as_str());
        match row {
            Some(row) => {
                question.with("ec2:Tenancy", "default").with_resource_tags_of("ec2", &row.tags)
            }
            None => question,
        }
    })?;
    let exists = |id: &str| tables.vpcs.get(&VpcKey::new(&scope, VpcId::new(id))).is_some();
    check_ids(std::slice::from_ref(&id), exists, "InvalidVpcID.NotFound", "vpc ID")?;
    let mut answer =
        DescribeVpcAttributeResult { vpc_id: Some(id), ..DescribeVpcAttributeResult::default() };
    let (shown, value) = match input.attribute {
        Some(VpcAttributeName::EnableDnsSupport) => (&mut answer.enable_dns_support, true),
        Some(VpcAttributeName::EnableDnsHostnames) => (&mut answer.enable_dns_hostnames, true),
        Some(VpcAttributeName::EnableNetworkAddressUsageMetrics) => {
            (&mut answer.enable_network_address_usage_metrics, false)
        }
        None => return Ok(answer),
    };
    *shown = Some(AttributeBooleanValue { value: Some(value) });
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[tokio::test]
    async fn attributes_are_those_of_a_default_vpc() {
        let world = World::new();
        let id = world.store.snapshot().vpcs.iter().next().unwrap().id.clone();
        for (name, value) in [
            ("enableDnsSupport", true),
            ("enableDnsHostnames", true),
            ("enableNetworkAddressUsageMetrics", false),
        ] {
            let form = format!("Action=DescribeVpcAttribute&VpcId={id}&Attribute={name}");
            let answer = world.call(&form).await;
            assert!(answer.contains(&format!("<vpcId>{id}</vpcId>")), "{answer}");
            let expected = format!("<{name}><value>{value}</value></{name}>");
            assert!(answer.contains(&expected), "{answer}");
        }
        let gone = "Action=DescribeVpcAttribute&VpcId=vpc-1&Attribute=enableDnsSupport";
        assert!(world.call(gone).await.contains("<Code>InvalidVpcID.NotFound</Code>"));
    }
}
