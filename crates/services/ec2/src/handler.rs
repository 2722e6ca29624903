//! The generated handler trait, operation by operation.

use outport_aws_ec2::*;
use outport_identity::Call;

use crate::{Ec2Service, operations};

macro_rules! handler {
    ($($operation:ident: $input:ident => $output:ident,)+) => {
        impl Ec2Handler<Call> for Ec2Service {
            $(async fn $operation(&self, call: &Call, input: $input) -> Result<$output, Ec2Error> {
                operations::$operation::$operation(self, call, input)
            })+
        }
    };
}

handler! {
    describe_availability_zones: DescribeAvailabilityZonesRequest => DescribeAvailabilityZonesResult,
    describe_network_interfaces: DescribeNetworkInterfacesRequest => DescribeNetworkInterfacesResult,
    describe_regions: DescribeRegionsRequest => DescribeRegionsResult,
    describe_security_groups: DescribeSecurityGroupsRequest => DescribeSecurityGroupsResult,
    describe_subnets: DescribeSubnetsRequest => DescribeSubnetsResult,
    describe_vpc_attribute: DescribeVpcAttributeRequest => DescribeVpcAttributeResult,
    describe_vpcs: DescribeVpcsRequest => DescribeVpcsResult,
}
